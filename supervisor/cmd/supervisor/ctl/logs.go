package ctl

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/alecthomas/kong"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

type logsCmd struct {
	Name   string `arg:"" help:"Name of the replica."`
	Follow bool   `group:"Lines" short:"f" help:"Show new lines as the replica writes them, until Ctrl-C."`
	Lines  count  `group:"Lines" short:"n" placeholder:"N" default:"1000" help:"Number of last lines, 0 to 1000. (default: ${default})"`
}

// Help shows examples.
func (logsCmd) Help() string {
	return `Examples:

    supervisor ctl logs a -n 20
    supervisor ctl logs a --follow`
}

func (l *logsCmd) Run(c *Command, k *kong.Context) error {
	return c.call(k, func(ctx context.Context, s supervisorv1.SupervisorClient, w io.Writer) error {
		stream, err := s.Logs(ctx, &supervisorv1.LogsRequest{Replica: l.Name, Follow: l.Follow, Lines: new(uint32(l.Lines))})
		if err != nil {
			return err
		}
		for {
			reply, err := stream.Recv()
			if err != nil {
				return streamEnd(err)
			}
			if c.Output.json() {
				err := json.NewEncoder(w).Encode(map[string]any{"missed": reply.GetMissed(), "text": string(reply.GetText())})
				if err != nil {
					return err
				}
				continue
			}
			if n := reply.GetMissed(); n > 0 {
				fmt.Fprintf(k.Stderr, "%d lines missed\n", n)
			}
			if _, err := w.Write(reply.GetText()); err != nil {
				return err
			}
		}
	})
}

type reopenCmd struct{}

// Help shows examples.
func (reopenCmd) Help() string {
	return `Examples:

    supervisor ctl reopen
    mv events.jsonl events.old && supervisor ctl reopen`
}

func (*reopenCmd) Run(c *Command, k *kong.Context) error {
	return c.call(k, func(ctx context.Context, s supervisorv1.SupervisorClient, w io.Writer) error {
		reply, err := s.Reopen(ctx, &supervisorv1.ReopenRequest{})
		return c.writeEmpty(w, reply, err)
	})
}
