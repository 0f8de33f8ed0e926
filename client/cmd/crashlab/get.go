package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/crashlab/client/failover"
)

type getCmd struct {
	connection
}

// Help shows examples.
func (getCmd) Help() string {
	return `Examples:

    crashlab get
    crashlab get --target 127.0.0.1:7101,127.0.0.1:7102 --policy recommended`
}

// Run makes the call and prints its attempts. If the call failed, it returns an error.
func (g *getCmd) Run(ctx context.Context, out output) error {
	creds, err := secure(g.Client, out)
	if err != nil {
		return err
	}
	ctx, calling := begin(ctx)
	defer calling.end(out)
	c, err := g.dial(ctx, creds)
	if err != nil {
		return err
	}
	defer c.close()
	start := time.Now()
	reply, err := c.call(ctx)
	took := time.Since(start)
	stopped := ctx.Err() != nil
	out = calling.end(out)
	if err != nil && !stopped {
		if none := c.unreachable(err); none != nil {
			return none
		}
	}
	for i, a := range reply.Attempts {
		line := fmt.Sprintf("attempt %d, round %d: %v", i+1, a.Round, a)
		if a.Err != nil {
			line += ": " + message(a.Err)
		}
		if err := printLines(out.stdout, line+"\n", "  "); err != nil {
			return err
		}
	}
	if err != nil && stopped {
		return interrupted
	}
	if failed, ok := errors.AsType[*failover.Error](err); ok {
		return fmt.Errorf("the call failed after %s in %v: %s", plural(len(reply.Attempts), "attempt"), rounded(took), cause(failed))
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(out.stdout, "OK %d from replica %s, incarnation %d, in %v\n", reply.Value, reply.Replica, reply.Incarnation, rounded(took))
	return nil
}
