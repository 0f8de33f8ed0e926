package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
)

type loadCmd struct {
	Calls       count              `group:"Load" short:"n" placeholder:"N" help:"Number of calls. (default: 50, or unlimited with --duration)"`
	Duration    duration           `group:"Load" placeholder:"DURATION" help:"Start no more calls after this time; with -n, the load ends at whichever comes first. (default: none)"`
	Concurrency workers            `group:"Load" short:"c" placeholder:"N" help:"Closed loop: N callers, each of which makes its next call when its last has ended. (default: 5)"`
	Rate        rate               `group:"Load" placeholder:"N" help:"Open loop, instead of -c: start N calls a second, however long they take, with up to 10000 at a time. Latency counts from when a call was due."`
	Arrivals    *workload.Arrivals `group:"Load" placeholder:"constant|poisson" help:"Arrivals of the calls of --rate: constant, or poisson, like those of many independent users. (default: constant)"`
	Seed        *seed              `group:"Load" placeholder:"N" help:"Seed of poisson arrivals; the same seed gives the same times. (default: 1)"`
	Warmup      duration           `group:"Load" placeholder:"DURATION" help:"Leave the calls that are due in this first part of the load out of the statistics. (default: 0s)"`
	StartAt     *startTime         `group:"Load" placeholder:"TIME" help:"Start at this time, such as 2026-12-01T15:00:00Z, so that loads from several machines start together."`
	connection
	Quiet          bool   `group:"Output" short:"q" help:"Print only the statistics, not each attempt."`
	JSON           bool   `group:"Output" help:"Print only the statistics, as one JSON object."`
	Save           string `group:"Output" placeholder:"FOLDER" help:"Write all calls to this new folder, for crashlab report and crashlab merge."`
	RequireSuccess share  `group:"Output" default:"0" placeholder:"SHARE" help:"Exit with 99 if a smaller share of the calls succeeds, such as 0.99. (default: 0)"`
}

// Help shows the recommended policy and examples.
func (loadCmd) Help() string {
	return `The policy recommended for production, --policy recommended, stands for
--deadline 10s --timeout 0s --pause 0s --order least-in-flight --when-down wait
--max-in-flight adaptive --budget 0.2 --budget-per-second 10 --budget-burst 100:

    crashlab load -q --policy recommended

Examples:

    # fifty calls by five callers, each attempt shown
    crashlab load -n 50 -c 5
    # 100 calls a second for ten seconds, as from many independent users
    crashlab load -q --policy recommended --rate 100 --arrivals poisson \
      --duration 10s`
}

// plan returns the plan of the library.
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
	start := time.Now()
	records, pace, err := l.makeCalls(ctx, c, plan, out)
	last := calling.end(out)
	if err != nil {
		return err
	}

	res := result{
		Summary: workload.Summarize(records, pace), flags: l.connection, plan: plan,
		elapsed: time.Since(start), replicas: c.replicas.list(), sent: slices.ContainsFunc(records, sent),
	}
	for _, addr := range res.replicas {
		res.Served[addr] += 0 // lists the replicas that served nothing too
	}
	saved := l.save(res, start, records)
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

// makeCalls makes the calls of the plan and shows each unless l is quiet. The error is a
// configuration that cannot work, or that no replica can be reached: then the calls are not shown.
func (l *loadCmd) makeCalls(ctx context.Context, c *client, plan workload.Plan, out output) ([]workload.Record, workload.Pace, error) {
	run, abort := context.WithCancelCause(ctx)
	defer abort(nil)
	var records workload.Records
	var held []workload.Record // not shown yet, because no replica has been reached
	var unreachable error
	reached := false
	progress := newProgress(out, plan, l.Quiet || l.JSON)
	start := time.Now()
	pace := plan.Run(run, func(ctx context.Context, _ int) (workload.Reply, error) {
		reply, err := c.call(ctx)
		if bad, ok := errors.AsType[*exit](err); ok {
			abort(bad) // the other calls would fail in the same way
		}
		return reply, err
	}, func(r workload.Record) {
		if abortedBy(run) != nil {
			return
		}
		records.Add(r)
		progress.add(r)
		held = append(held, r)
		if reached = reached || sent(r); !reached {
			if unreachable = c.unreachable(r.Err); unreachable != nil {
				if time.Since(start) > patience {
					abort(unreachable)
				}
				return
			}
		}
		unreachable = nil
		l.show(out, held)
		held = nil
	})
	progress.clear()
	switch err := abortedBy(run); {
	case err != nil:
		return nil, pace, err
	case !pace.Interrupted && unreachable != nil:
		return nil, pace, unreachable
	}
	l.show(out, held)
	return records.All(), pace, nil
}

// show prints the attempts of calls unless l is quiet.
func (l *loadCmd) show(out output, calls []workload.Record) {
	if l.Quiet || l.JSON {
		return
	}
	for _, r := range calls {
		printCall(out.stdout, r)
	}
}

// verdict returns nil for a load that was made as planned and of which the required share
// succeeded.
func (r result) verdict(required float64) error {
	switch {
	case r.Pace.Interrupted && r.plan.Calls > 0:
		return &exit{exitInterrupted, fmt.Sprintf("interrupted after %d of %d calls", r.Succeeded+r.Failed+r.Warmup, r.plan.Calls)}
	case r.Pace.Interrupted:
		return &exit{exitInterrupted, fmt.Sprintf("interrupted after %v of %v", rounded(r.elapsed), r.plan.Duration)}
	case r.Succeeded == 0 && r.Failed > 0 && !r.sent:
		return &exit{exitFailed, "not one call could be sent"}
	case !r.Kept():
		return &exit{exitInconclusive, fmt.Sprintf("inconclusive: --rate %v was not kept, %s", r.plan.Rate, r.lateness())}
	case r.Calls() == 0:
		return &exit{exitInconclusive, fmt.Sprintf("inconclusive: no call counts, all were due in the --warmup of %v", r.plan.Warmup)}
	case r.SuccessRate() < required:
		return &exit{exitBelow, fmt.Sprintf("%.4g of the calls succeeded; --require-success %v", r.SuccessRate(), required)}
	}
	return nil
}

// abortedBy returns the error that aborted the run, or nil.
func abortedBy(run context.Context) error {
	if err, ok := errors.AsType[*exit](context.Cause(run)); ok {
		return err
	}
	return nil
}

// sent reports whether any attempt of the call was sent.
func sent(r workload.Record) bool {
	return slices.ContainsFunc(r.Attempts, func(a failover.Attempt) bool { return a.Sent })
}
