// Package workload drives calls through a failover client and records what became of each.
package workload

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/crashlab/client/failover"
)

// Plan is a closed-loop workload: a number of workers make calls, each worker the next one when its last has ended.
type Plan struct {
	// Calls is how many calls are made in all; Workers is how many may be under way at a time. Both from 1.
	Calls, Workers int
}

// Reply is what a call brought back.
type Reply struct {
	// Text is the reply for people, such as "OK 3". Empty when the call failed.
	Text string
	// Attempts are all attempts of the call, in order.
	Attempts []failover.Attempt
}

// Record is one call, after its end.
type Record struct {
	Reply
	// Call is its number in the run, from 1.
	Call     int
	Start    time.Time
	Duration time.Duration
	// Err is why the call failed; nil when it succeeded.
	Err error
	// Interrupted is true when the end of the run ended the call, so that it says nothing of the replicas.
	Interrupted bool
}

// Served returns the replica that answered; empty when the call failed.
func (r Record) Served() string {
	if r.Err != nil {
		return ""
	}
	for _, a := range slices.Backward(r.Attempts) { // of a hedged call it need not be the last
		if a.Outcome == failover.OK {
			return a.Replica
		}
	}
	return ""
}

// Run makes the calls and hands each one's record to emit when it has ended, one at a time. do makes the call of that
// number. When ctx ends, Run starts no more calls, lets do end those under way, and returns; those that then fail with an
// error that wraps ctx's own are Interrupted.
func (p Plan) Run(ctx context.Context, do func(ctx context.Context, call int) (Reply, error), emit func(Record)) {
	var (
		last    atomic.Int64
		emitMu  sync.Mutex
		workers sync.WaitGroup
	)
	work := func() {
		for ctx.Err() == nil {
			n := int(last.Add(1))
			if n > p.Calls {
				return
			}
			r := Record{Call: n, Start: time.Now()}
			r.Reply, r.Err = do(ctx, n)
			r.Duration = time.Since(r.Start)
			r.Interrupted = ctx.Err() != nil && errors.Is(r.Err, ctx.Err())
			emitMu.Lock()
			emit(r)
			emitMu.Unlock()
		}
	}
	for range min(p.Workers, p.Calls) {
		workers.Go(work)
	}
	workers.Wait()
}
