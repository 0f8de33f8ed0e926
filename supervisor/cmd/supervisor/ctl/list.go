package ctl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"
	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

// redrawPeriod is how often a table on a terminal is redrawn, because its times change.
const redrawPeriod = time.Second

type listCmd struct {
	Watch bool `group:"Table" short:"w" help:"Show the table again after each event, until Ctrl-C. On a terminal it is redrawn in place."`
	Wide  bool `group:"Table" help:"Show CPU time and resident memory too."`
}

// Help shows examples.
func (listCmd) Help() string {
	return `Examples:

    supervisor ctl list --wide
    supervisor ctl list --output json`
}

func (l *listCmd) Run(c *Command, k *kong.Context) error {
	return c.call(k, func(ctx context.Context, s supervisorv1.SupervisorClient, w io.Writer) error {
		if !l.Watch {
			return l.show(ctx, c, s, w)
		}
		return l.watch(ctx, c, s, w)
	})
}

func (l *listCmd) show(ctx context.Context, c *Command, s supervisorv1.SupervisorClient, w io.Writer) error {
	reply, err := s.List(ctx, &supervisorv1.ListRequest{Usage: l.Wide || c.Output.json()})
	if err != nil {
		return err
	}
	if err := c.writeStatuses(w, reply.GetReplicas(), l.Wide); err != nil || c.Output.json() {
		return err
	}
	return writeLosses(w, reply.GetSinks())
}

// writeStatuses writes a table, or a line of JSON per replica.
func (c *Command) writeStatuses(w io.Writer, replicas []*supervisorv1.Status, wide bool) error {
	if !c.Output.json() {
		return writeTable(w, replicas, wide)
	}
	for _, one := range replicas {
		if err := writeJSON(w, one); err != nil {
			return err
		}
	}
	return nil
}

// writeEmpty writes an empty reply if the output is JSON.
func (c *Command) writeEmpty(w io.Writer, reply proto.Message, err error) error {
	if err != nil || !c.Output.json() {
		return err
	}
	return writeJSON(w, reply)
}

// watch shows the table after each event until the supervisor has ended. Events that arrive while
// the table is drawn count as one.
func (l *listCmd) watch(ctx context.Context, c *Command, s supervisorv1.SupervisorClient, w io.Writer) error {
	news, ended, err := notices(ctx, s)
	if err != nil {
		return err
	}
	frame := c.frames(w)
	var tick <-chan time.Time
	if frame.inPlace {
		ticker := time.NewTicker(redrawPeriod)
		defer ticker.Stop()
		tick = ticker.C
	}
	for {
		err := frame.draw(func(w io.Writer) error { return l.show(ctx, c, s, w) })
		if status.Code(err) == codes.Unavailable {
			return streamEnd(<-ended) // the stream tells whether the supervisor ended normally
		}
		if err != nil {
			return err
		}
		select {
		case <-news:
		case <-tick:
		case err := <-ended:
			return streamEnd(err)
		}
	}
}

// notices watches for new events. It returns a channel that receives a token after one or more
// events, and one that receives the error that ended their stream.
func notices(ctx context.Context, s supervisorv1.SupervisorClient) (<-chan struct{}, <-chan error, error) {
	stream, err := s.Watch(ctx, &supervisorv1.WatchRequest{})
	if err != nil {
		return nil, nil, err
	}
	if _, err := stream.Header(); err != nil { // the header comes when the watch has begun
		return nil, nil, err
	}
	news, ended := make(chan struct{}, 1), make(chan error, 1)
	go func() {
		for {
			if _, err := stream.Recv(); err != nil {
				ended <- err
				return
			}
			select {
			case news <- struct{}{}:
			default:
			}
		}
	}()
	return news, ended, nil
}

// streamEnd returns nil for the error of a stream that ended because the supervisor did, and any
// other error unchanged.
func streamEnd(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (c *Command) frames(w io.Writer) *frames {
	file, ok := w.(*os.File)
	f := &frames{w: w, inPlace: !c.Output.json() && ok && isatty.IsTerminal(file.Fd()), apart: !c.Output.json()}
	if f.inPlace {
		f.size = func() (columns, rows int) {
			size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
			if err != nil {
				return 0, 0
			}
			return int(size.Col), int(size.Row)
		}
	}
	return f
}

// frames draws a changing text repeatedly.
type frames struct {
	w       io.Writer
	inPlace bool                       // each frame replaces the previous one
	apart   bool                       // an empty line separates frames
	size    func() (columns, rows int) // of the terminal; nil, or zeros: unknown
	drawn   bool
	buffer  bytes.Buffer
}

// draw writes the output of show, in one write to avoid flicker.
func (f *frames) draw(show func(io.Writer) error) error {
	f.buffer.Reset()
	if err := show(&f.buffer); err != nil {
		return err
	}
	text := f.buffer.String()
	switch {
	case f.inPlace:
		if f.size != nil {
			text = fit(text, f.size)
		}
		start := "\x1b[H" // to the top
		if !f.drawn {
			start += "\x1b[2J" // and clear all
		}
		// Of what was there before, the rest of each line goes, and the lines below.
		text = start + strings.ReplaceAll(text, "\n", "\x1b[K\n") + "\x1b[J"
	case f.drawn && f.apart:
		text = "\n" + text
	}
	f.drawn = true
	_, err := io.WriteString(f.w, text)
	return err
}

// fit cuts a text to the size of a terminal, so that its first line stays in view.
func fit(text string, size func() (columns, rows int)) string {
	columns, rows := size()
	if columns < 1 || rows < 3 {
		return text
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if most := rows - 1; len(lines) > most { // the cursor has the last row
		more := len(lines) - most + 1
		lines = append(lines[:most-1:most-1], fmt.Sprintf("and %d more lines", more))
	}
	for i, line := range lines {
		if runes := []rune(line); len(runes) > columns {
			lines[i] = string(runes[:columns])
		}
	}
	return strings.Join(lines, "\n") + "\n"
}

type getCmd struct {
	Name string `arg:"" help:"Name of the replica."`
}

// Help shows examples.
func (getCmd) Help() string {
	return `Examples:

    supervisor ctl get a
    supervisor ctl get a --output json`
}

func (g *getCmd) Run(c *Command, k *kong.Context) error {
	return c.call(k, func(ctx context.Context, s supervisorv1.SupervisorClient, w io.Writer) error {
		reply, err := s.Get(ctx, &supervisorv1.GetRequest{Replica: g.Name, Usage: true})
		switch {
		case err != nil:
			return err
		case c.Output.json():
			return writeJSON(w, reply.GetStatus())
		}
		return writeDetails(w, reply.GetStatus())
	})
}

// writeTable writes a line per replica, and below the table why replicas are not ready or not
// healthy. There is a column for groups only if there are several, and columns for CPU time and
// memory only in a wide table.
func writeTable(w io.Writer, replicas []*supervisorv1.Status, wide bool) error {
	groups := map[string]bool{}
	for _, s := range replicas {
		groups[s.GetGroup()] = true
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(group, cpu, memory any, cells ...any) {
		if wide {
			cells = slices.Insert(cells, 5, cpu, memory)
		}
		if len(groups) > 1 {
			cells = slices.Insert(cells, 1, group)
		}
		fmt.Fprintf(t, strings.Repeat("%v\t", len(cells)-1)+"%v\n", cells...)
	}
	row("GROUP", "CPU", "MEMORY", "REPLICA", "STATE", "PID", "INCARNATION", "UPTIME", "RESTARTS", "LAST EXIT")
	for _, s := range replicas {
		row(orDash(s.GetGroup()), cpuText(s), memoryText(s), s.GetReplica(), stateText(s), orDash(s.GetPid()),
			orDash(s.GetIncarnation()), uptimeText(s), s.GetRestarts(), lastExitText(s))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, s := range replicas {
		if s.GetAnswer() == "" {
			continue
		}
		if _, err := fmt.Fprintf(w, "%s is %s: %s\n", s.GetReplica(), stateText(s), s.GetAnswer()); err != nil {
			return err
		}
	}
	return nil
}

// writeLosses writes a line per sink that has lost lines.
func writeLosses(w io.Writer, sinks []*supervisorv1.Sink) error {
	for _, s := range sinks {
		if s.GetLost() == 0 && s.GetError() == "" {
			continue
		}
		line := fmt.Sprintf("%s lost %d lines", s.GetName(), s.GetLost())
		if s.GetError() != "" {
			line += ": " + s.GetError()
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func writeDetails(w io.Writer, s *supervisorv1.Status) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	state, ready := stateText(s), "-"
	if s.GetAnswer() != "" {
		state += ": " + s.GetAnswer()
	}
	if s.GetReady() != nil {
		ready = spanText(s.GetTime().AsTime().Sub(s.GetReady().AsTime()))
	}
	for _, line := range []struct {
		key   string
		value any
	}{
		{"replica", s.GetReplica()},
		{"group", orDash(s.GetGroup())},
		{"address", orDash(s.GetAddr())},
		{"state", state},
		{"pid", orDash(s.GetPid())},
		{"incarnation", orDash(s.GetIncarnation())},
		{"uptime", uptimeText(s)},
		{"ready for", ready},
		{"cpu", cpuText(s)},
		{"memory", memoryText(s)},
		{"restarts", s.GetRestarts()},
		{"exits", fmt.Sprintf("%d, of which %d never ready", s.GetExits(), s.GetFailures())},
		{"last exit", lastExitText(s)},
		{"lost lines", s.GetLost()},
		{"policy", policyText(s.GetPolicy())},
	} {
		fmt.Fprintf(t, "%s\t%v\n", line.key, line.value)
	}
	return t.Flush()
}

func orDash[T comparable](v T) any {
	var zero T
	if v == zero {
		return "-"
	}
	return v
}

func stateText(s *supervisorv1.Status) string {
	text := enumText(s.GetState(), "STATE_")
	if s.GetBlocker() != "" {
		text += " for " + s.GetBlocker()
	}
	if s.GetNext() != nil {
		text += " " + spanText(s.GetNext().AsTime().Sub(s.GetTime().AsTime()))
	}
	return text
}

func uptimeText(s *supervisorv1.Status) string {
	if s.GetLaunched() == nil {
		return "-"
	}
	return spanText(s.GetTime().AsTime().Sub(s.GetLaunched().AsTime()))
}

func cpuText(s *supervisorv1.Status) string {
	if s.Cpu == nil {
		return "-"
	}
	if d := s.Cpu.AsDuration(); d < 10*time.Second {
		return d.String() // exact: the system counts in hundredths of a second
	}
	return spanText(s.Cpu.AsDuration())
}

func memoryText(s *supervisorv1.Status) string {
	if s.Memory == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f MB", float64(s.GetMemory())/1e6)
}

func lastExitText(s *supervisorv1.Status) string {
	if s.GetLast() == nil {
		return "-"
	}
	return exitText(s.GetLast()) + ", " + spanText(s.GetTime().AsTime().Sub(s.GetExited().AsTime())) + " ago"
}

func exitText(e *supervisorv1.Exit) string {
	switch {
	case e.GetError() != "":
		return strings.ReplaceAll(e.GetError(), "\n", " ")
	case e.GetSignal() != "":
		return e.GetSignal()
	}
	return fmt.Sprintf("exit code %d", e.GetCode())
}
