package ctl

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

type watchCmd struct {
	After *sequence `group:"Events" placeholder:"N" help:"Begin after the event with this number; 0 for the first event of all. (default: new events)"`
}

// Help shows examples.
func (watchCmd) Help() string {
	return `Examples:

    supervisor ctl watch
    supervisor ctl watch --after 0 --output json`
}

func (o *watchCmd) Run(c *Command, k *kong.Context) error {
	return c.call(k, func(ctx context.Context, s supervisorv1.SupervisorClient, w io.Writer) error {
		stream, err := s.Watch(ctx, &supervisorv1.WatchRequest{After: (*uint64)(o.After)})
		if err != nil {
			return err
		}
		return writeEvents(w, stream.Recv, c.Output.json())
	})
}

type rollingRestartCmd struct {
	names `embed:""`
	Wait  wait `group:"Replicas" default:"30s" placeholder:"TIMEOUT" help:"With --wait=TIME, wait that long for each replica to be ready; exit with 1 if one is not. 0s: do not wait. (default: ${default})"`
}

// Help shows examples.
func (rollingRestartCmd) Help() string {
	return `Examples:

    supervisor ctl rolling-restart --all
    supervisor ctl rolling-restart a b --wait=1m`
}

func (r *rollingRestartCmd) Run(c *Command, k *kong.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	return c.call(k, func(ctx context.Context, s supervisorv1.SupervisorClient, w io.Writer) error {
		err := r.Wait.during(ctx, s, r.include, func(ctx context.Context) error {
			stream, err := s.RollingRestart(ctx, &supervisorv1.RollingRestartRequest{Names: r.Names, All: r.All})
			if err != nil {
				return err
			}
			return writeEvents(w, stream.Recv, c.Output.json())
		})
		if err != nil || r.Wait == 0 {
			return err
		}
		reply, err := nonEmpty(s.List(ctx, &supervisorv1.ListRequest{}))
		if err != nil {
			return err
		}
		all := slices.DeleteFunc(reply.GetReplicas(), func(s *supervisorv1.Status) bool { return !r.include(s) })
		return r.Wait.ready(ctx, s, replicaNames(all))
	})
}

// writeEvents writes the events of a stream until it ends.
func writeEvents[R interface{ GetEvent() *supervisorv1.Event }](w io.Writer, receive func() (R, error), asJSON bool) error {
	for {
		reply, err := receive()
		if err != nil {
			return streamEnd(err)
		}
		if err := writeEvent(w, reply.GetEvent(), asJSON); err != nil {
			return err
		}
	}
}

// writeEvent writes an event in one line.
func writeEvent(w io.Writer, e *supervisorv1.Event, asJSON bool) error {
	if asJSON {
		return writeJSON(w, e)
	}
	line := []string{e.GetTime().AsTime().Local().Format("15:04:05.000"), fmt.Sprintf("#%d", e.GetSequence())}
	if e.GetReplica() != "" {
		line = append(line, e.GetReplica())
	}
	line = append(line, strings.ReplaceAll(enumText(e.GetKind(), "EVENT_KIND_"), "-", " "))
	_, err := fmt.Fprintln(w, strings.Join(append(line, eventDetails(e)...), " "))
	return err
}

// pairs are texts in the form key=value.
type pairs []string

func (p *pairs) add(key string, value any) { *p = append(*p, fmt.Sprintf("%s=%v", key, value)) }

// text adds a quoted value unless it is empty.
func (p *pairs) text(key, value string) {
	if value != "" {
		p.add(key, strconv.Quote(value))
	}
}

// eventDetails returns the remaining fields that the event has.
func eventDetails(e *supervisorv1.Event) []string {
	var p pairs
	if e.GetIncarnation() != 0 {
		p.add("incarnation", e.GetIncarnation())
	}
	if e.GetPid() != 0 {
		p.add("pid", e.GetPid())
	}
	if e.GetExit() != nil {
		p.exit(e.GetExit())
	}
	if next := e.GetNext(); next != nil {
		if next.GetRelaunch() {
			p.add("relaunch_in", next.GetDelay().AsDuration().Round(time.Microsecond))
		}
		p.text("reason", next.GetReason())
	}
	if e.GetAfter() != nil {
		p.add("after", e.GetAfter().AsDuration().Round(time.Microsecond))
	}
	if e.GetSignal() != "" {
		p.add("signal", e.GetSignal())
	}
	if e.GetLost() != 0 {
		p.add("lines", e.GetLost())
	}
	p.text("reason", e.GetReason())
	p.text("error", e.GetError())
	return p
}

func (p *pairs) exit(e *supervisorv1.Exit) {
	switch {
	case e.GetError() != "":
		p.text("error", e.GetError())
	case e.GetSignal() != "":
		p.add("signal", e.GetSignal())
	default:
		p.add("exit_code", e.GetCode())
	}
	if up := e.GetUptime().AsDuration(); up > 0 {
		p.add("uptime", up.Round(time.Millisecond))
	}
}
