package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/trials"
)

// trialPrinter shows how a run goes on: on a terminal as a line that changes; else as a line, or a
// JSON object, for each trial that has ended and every few seconds.
type trialPrinter struct {
	w      io.Writer // nil: show nothing
	design *design.Design
	form   form
	ended  int // trials, and
	shown  time.Time
}

// form is how progress is written.
type form int

const (
	lines form = iota
	changing
	objects
)

// periods are how long progress of each form is not shown again while no trial ends.
var periods = [...]time.Duration{lines: 10 * time.Second, changing: 0, objects: time.Second}

func newTrialPrinter(out output, d *design.Design, quiet, asJSON bool) *trialPrinter {
	p := &trialPrinter{w: out.stderr, design: d, ended: -1}
	switch {
	case quiet:
		p.w = nil
	case asJSON:
		p.form = objects
	case isTerminal(out.stderr):
		p.form = changing
	}
	return p
}

// print shows the progress, if it is time to.
func (p *trialPrinter) print(now trials.Progress) {
	if p.w == nil || now.Ended == p.ended && time.Since(p.shown) < periods[p.form] {
		return
	}
	p.ended, p.shown = now.Ended, time.Now()
	switch p.form {
	case objects:
		p.printJSON(now)
	case changing:
		fmt.Fprintf(p.w, "\r\033[K%s", cut(p.line(now), columns(p.w)-1))
	default:
		fmt.Fprintln(p.w, p.line(now))
	}
}

// columns is how wide a terminal is; 80 where it does not say.
func columns(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 80
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 {
		return 80
	}
	return int(size.Col)
}

// cut cuts a line that is longer, since one that is broken could not be replaced by the next.
func cut(line string, most int) string {
	if runes := []rune(line); len(runes) > most {
		return string(runes[:most])
	}
	return line
}

// line is such as
//
//	3 of 20 trials, 40s left, waiting, concurrency 5: 41 ok, 2 failed, ●●○, p99 812ms, 1.43 attempts sent per call
func (p *trialPrinter) line(now trials.Progress) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d trials", now.Ended, now.Trials)
	if now.Left > 0 {
		fmt.Fprintf(&b, ", %v left", now.Left.Round(time.Second))
	}
	if len(now.Running) > 0 {
		t := now.Running[0]
		fmt.Fprintf(&b, ", %s: %d ok, %d failed, %s", p.design.Cells[t.Trial.Cell].Title(), t.Succeeded, t.Failed, dots(t.Up))
		if t.Succeeded > 0 {
			fmt.Fprintf(&b, ", p99 %v", rounded(t.P99))
		}
		if n := t.Succeeded + t.Failed; n > 0 {
			fmt.Fprintf(&b, ", %.2f attempts sent per call", float64(t.Sent)/float64(n))
		}
		if more := len(now.Running) - 1; more > 0 {
			fmt.Fprintf(&b, ", and %s more", plural(more, "trial"))
		}
	}
	return b.String()
}

// dots shows each replica: ● is ready, ○ is not.
func dots(up []bool) string {
	var b strings.Builder
	for _, ready := range up {
		if ready {
			b.WriteRune('●')
		} else {
			b.WriteRune('○')
		}
	}
	return b.String()
}

// printJSON writes the progress as one JSON object on a line.
func (p *trialPrinter) printJSON(now trials.Progress) {
	type running struct {
		Trial     int     `json:"trial"`
		Cell      string  `json:"cell"`
		Succeeded int     `json:"succeeded"`
		Failed    int     `json:"failed"`
		Sent      int     `json:"sent"`
		P99       float64 `json:"p99_ms"`
		Up        []bool  `json:"up"`
	}
	j := struct {
		Run     string    `json:"run"`
		Trials  int       `json:"trials"`
		Ended   int       `json:"ended"`
		Elapsed float64   `json:"elapsed_ms"`
		Left    float64   `json:"left_ms"`
		Running []running `json:"running"`
	}{now.Dir, now.Trials, now.Ended, ms(now.Elapsed), ms(now.Left), []running{}}
	for _, t := range now.Running {
		j.Running = append(j.Running, running{
			t.Trial.Number, p.design.Cells[t.Trial.Cell].Title(), t.Succeeded, t.Failed, t.Sent, ms(t.P99), t.Up,
		})
	}
	_ = json.NewEncoder(p.w).Encode(j) // where stderr is gone, there is nobody to tell
}

// end takes the line that changes away.
func (p *trialPrinter) end() {
	if p.w != nil && p.form == changing {
		fmt.Fprint(p.w, "\r\033[K")
	}
}

// printDesign shows what a design would run.
func printDesign(w io.Writer, d *design.Design) error {
	if d.Question != "" {
		fmt.Fprintln(w, d.Question)
	}
	for _, c := range d.Cells {
		fmt.Fprintf(w, "  %s\n", c.Title())
	}
	_, err := fmt.Fprintf(w, "%s, %s each: %s, %d at a time\n", plural(len(d.Cells), "cell"), plural(d.Repeats, "repeat"),
		plural(len(d.Trials()), "trial"), d.Parallel)
	return err
}
