package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/crashlab/client/workload"
)

type loadCmd struct {
	connection

	Calls          count              `short:"n" placeholder:"N" help:"How many calls to make. (default: 50, or as many as --duration has room for)"`
	Duration       duration           `placeholder:"DURATION" help:"Start no more calls after so long; with -n, the load ends with the first of the two. (default: none)"`
	Concurrency    count              `short:"c" placeholder:"N" help:"How many may be under way at a time, each begun when another ends. (default: 5)"`
	Rate           rate               `placeholder:"N" help:"In place of -c, start N calls a second, however long they take; latency is then from when a call was due, and up to 10000 may be under way."`
	Arrivals       *workload.Arrivals `placeholder:"constant|poisson" help:"How the calls of --rate follow each other: constant, or poisson, as those of many users. (default: constant)"`
	Seed           *seed              `placeholder:"N" help:"Draws poisson arrivals: the same seed, the same times. (default: 1)"`
	Warmup         duration           `placeholder:"DURATION" help:"Leave calls that are due in this first part of the load out of the statistics. (default: 0s)"`
	RequireSuccess share              `default:"0" placeholder:"SHARE" help:"Exit with 99 when a smaller share of the calls succeeds, such as 0.99. (default: 0)"`
	Save           string             `placeholder:"FOLDER" help:"Write all calls to this new folder, for crashlab report, and for crashlab merge to join loads from several machines."`
	StartAt        *startTime         `placeholder:"TIME" help:"Start the calls at this time, such as 2026-12-01T15:00:00Z, so that loads from several machines begin together."`
	Quiet          bool               `short:"q" help:"Only the statistics, no line for each attempt."`
	JSON           bool               `help:"Only the statistics, as one JSON object."`
}

// plan returns the load in the library's terms.
func (l *loadCmd) plan() (workload.Plan, error) {
	p := workload.Plan{
		Calls: int(l.Calls), Duration: time.Duration(l.Duration), Workers: int(l.Concurrency), Rate: float64(l.Rate),
		Seed: 1, Warmup: time.Duration(l.Warmup),
	}
	if l.Arrivals != nil {
		p.Arrivals = *l.Arrivals
	}
	if l.Seed != nil {
		p.Seed = uint64(*l.Seed)
	}
	switch {
	case l.Rate > 0 && l.Concurrency > 0:
		return p, &exit{exitUsage, fmt.Sprintf("--concurrency %d: not with --rate, which starts calls when they are due: want one of the two", l.Concurrency)}
	case l.Arrivals != nil && l.Rate == 0:
		return p, &exit{exitUsage, fmt.Sprintf("--arrivals %v: want --rate with it", p.Arrivals)}
	case l.Seed != nil && p.Arrivals != workload.ArrivalsPoisson:
		return p, &exit{exitUsage, fmt.Sprintf("--seed %d: want --arrivals poisson with it", p.Seed)}
	}
	if p.Calls == 0 && p.Duration == 0 {
		p.Calls = 50
	}
	if p.Rate == 0 && p.Workers == 0 {
		p.Workers = 5
	}
	if err := p.Validate(); err != nil {
		return p, &exit{exitUsage, "--" + err.Error()}
	}
	return p, nil
}

// Run makes the calls and prints what happened. Ctrl-C ends the calls, not the statistics.
func (l *loadCmd) Run(ctx context.Context, out output) error {
	plan, err := l.plan()
	if err != nil {
		return err
	}
	if err := l.checkSave(plan); err != nil {
		return err
	}
	creds, err := secure(l.Client, out)
	if err != nil {
		return err
	}
	ctx, calling := begin(ctx)
	defer calling.end(out)
	c, err := l.dial(ctx, creds)
	if err != nil {
		return err
	}
	defer c.close()

	if l.StartAt != nil {
		if err := l.StartAt.await(ctx); err != nil {
			return err
		}
	}
	run, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	var records workload.Records
	progress := newProgress(out, plan, l.Quiet || l.JSON)
	start := time.Now()
	pace := plan.Run(run, func(ctx context.Context, _ int) (workload.Reply, error) {
		reply, err := c.call(ctx)
		if bad, ok := errors.AsType[*exit](err); ok {
			abort(bad) // there is nothing to call: more of it would say no more
		}
		return reply, err
	}, func(r workload.Record) {
		if noReplicas(run) != nil {
			return
		}
		records.Add(r)
		if !l.Quiet && !l.JSON {
			printCall(out.stdout, r)
		}
		progress.add(r)
	})
	progress.end()
	last := calling.end(out)
	if err := noReplicas(run); err != nil {
		return err
	}

	res := result{
		Summary: workload.Summarize(records.All(), pace), flags: l.connection, plan: plan,
		elapsed: time.Since(start), replicas: c.replicas.list(),
	}
	for _, addr := range res.replicas {
		res.Served[addr] += 0 // those that served nothing too
	}
	saved := l.save(res, start, records.All())
	if l.JSON {
		err = res.printJSON(last.stdout)
	} else {
		err = res.print(last.stdout)
	}
	if err := cmp.Or(err, saved); err != nil {
		return err
	}
	return res.verdict(float64(l.RequireSuccess))
}

// verdict returns nil for a load that was made as planned and of which the required share
// succeeded.
func (r result) verdict(required float64) error {
	switch {
	case r.Pace.Interrupted && r.plan.Calls > 0:
		return &exit{exitInterrupted, fmt.Sprintf("interrupted after %d of %d calls", r.Succeeded+r.Failed+r.Warmup, r.plan.Calls)}
	case r.Pace.Interrupted:
		return &exit{exitInterrupted, fmt.Sprintf("interrupted after %v of %v", rounded(r.elapsed), r.plan.Duration)}
	case !r.Kept():
		return &exit{exitInconclusive, fmt.Sprintf("inconclusive: --rate %v was not kept, %s", r.plan.Rate, r.lateness())}
	case r.Calls() == 0:
		return &exit{exitInconclusive, fmt.Sprintf("inconclusive: no call counts, all were due in the --warmup of %v", r.plan.Warmup)}
	case r.SuccessRate() < required:
		return &exit{exitBelow, fmt.Sprintf("%.4g of the calls succeeded; --require-success %v", r.SuccessRate(), required)}
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
