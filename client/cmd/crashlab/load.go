package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/crashlab/client/workload"
)

type loadCmd struct {
	connection

	Calls          count `short:"n" default:"50" placeholder:"N" help:"How many calls to make. (default: 50)"`
	Concurrency    count `short:"c" default:"5" placeholder:"N" help:"How many may be under way at a time. (default: 5)"`
	RequireSuccess share `default:"0" placeholder:"SHARE" help:"Exit with 99 when a smaller share of the calls succeeds, such as 0.99. (default: 0)"`
	Quiet          bool  `short:"q" help:"Only the statistics, no line for each attempt."`
	JSON           bool  `help:"Only the statistics, as one JSON object."`
}

// Run makes the calls and prints what happened. Ctrl-C ends the calls, not the statistics.
func (l *loadCmd) Run(ctx context.Context, out output) error {
	c, err := l.dial(ctx)
	if err != nil {
		return err
	}
	defer c.close()

	run, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	var records []workload.Record
	progress := newProgress(out, int(l.Calls), l.Quiet || l.JSON)
	plan := workload.Plan{Calls: int(l.Calls), Workers: int(l.Concurrency)}
	start := time.Now()
	plan.Run(run, func(ctx context.Context, _ int) (workload.Reply, error) {
		reply, err := c.call(ctx)
		if bad, ok := errors.AsType[*exit](err); ok {
			abort(bad) // there is nothing to call: more of it would say no more
		}
		return reply, err
	}, func(r workload.Record) {
		if noReplicas(run) != nil {
			return
		}
		records = append(records, r)
		if !l.Quiet && !l.JSON {
			printCall(out.stdout, r)
		}
		progress.add(r)
	})
	progress.end()
	if err := noReplicas(run); err != nil {
		return err
	}

	res := result{
		Summary: workload.Summarize(records), flags: l.connection, workers: plan.Workers,
		elapsed: time.Since(start), replicas: c.replicas.list(),
	}
	for _, addr := range res.replicas {
		res.Served[addr] += 0 // those that served nothing too
	}
	if l.JSON {
		err = res.printJSON(out.stdout)
	} else {
		err = res.print(out.stdout)
	}
	switch {
	case err != nil:
		return err
	case res.Succeeded+res.Failed < int(l.Calls): // only Ctrl-C leaves some undone
		return &exit{exitInterrupted, fmt.Sprintf("interrupted after %d of %d calls", res.Succeeded+res.Failed, l.Calls)}
	case res.SuccessRate() < float64(l.RequireSuccess):
		return &exit{exitBelow, fmt.Sprintf("%.4g of the calls succeeded; --require-success %v", res.SuccessRate(), l.RequireSuccess)}
	}
	return nil
}

// noReplicas returns what aborted the run, or nil.
func noReplicas(run context.Context) error {
	if err, ok := errors.AsType[*exit](context.Cause(run)); ok {
		return err
	}
	return nil
}
