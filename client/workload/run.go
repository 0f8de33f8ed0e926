package workload

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Tolerance is how late a call of an open loop may start and still be on time. A timer on a
	// busy machine is milliseconds late; a generator that does not keep up falls further behind
	// with every call, and soon exceeds any bound.
	Tolerance = 100 * time.Millisecond

	// lateShare is the share of calls that may be late in a load that still counts as kept: so few
	// do not determine the 99th percentile.
	lateShare = 0.01
)

// Pace tells how well a load kept to its plan. Calls of the warm-up do not count. A closed loop has
// no due times; only Interrupted applies to it.
type Pace struct {
	// Late is the number of calls that the generator did not start on time: those that started more
	// than Tolerance after they were due and had a place, and those that it never started.
	Late int
	// Unmade is the number of calls that were due but never started, because Duration and Tolerance
	// had passed. Late includes them.
	Unmade int
	// Waited is the number of calls that started later because MaxUnderWay calls were under way.
	// The replicas were too slow for them, not the generator.
	Waited int
	// Interrupted is true if the context ended before the load: some calls were not started or were
	// interrupted.
	Interrupted bool
}

// Kept reports whether a load of that many calls kept to its plan: at most one call in a hundred
// was late. If not, the latencies reflect the generator as well as the replicas.
func (p Pace) Kept(calls int) bool { return float64(p.Late) <= lateShare*float64(calls) }

// Run makes the calls with do, which receives the number of the call, and passes the record of each
// to emit when it has ended, one at a time. It returns when the last call has ended. The plan must
// be valid.
//
// After Duration, no more calls start, and those under way may end. In an open loop, calls that
// were due earlier may still start within Tolerance. When ctx ends, no more calls start, and do
// should end those under way; calls that then fail with an error that wraps that of ctx are
// Interrupted.
//
// Emit must return quickly, as [Records.Add] does: calls that have ended wait for it, and occupy a
// worker or a place meanwhile.
func (p Plan) Run(ctx context.Context, do func(ctx context.Context, call int) (Reply, error), emit func(Record)) Pace {
	l := &load{Plan: p, ctx: ctx, do: do, emit: emit, began: time.Now()}
	if p.Rate > 0 {
		l.open()
	} else {
		l.closed()
	}
	return Pace{
		Late: int(l.late.Load() + l.unmade.Load()), Unmade: int(l.unmade.Load()), Waited: int(l.waited.Load()),
		Interrupted: l.interrupted.Load(),
	}
}

// load is a running plan.
type load struct {
	Plan
	ctx      context.Context
	do       func(context.Context, int) (Reply, error)
	emit     func(Record)
	emitting sync.Mutex
	began    time.Time
	started  atomic.Int64 // calls; in a closed loop, also those beyond the last

	late, unmade, waited atomic.Int64 // late does not include unmade
	interrupted          atomic.Bool
}

// call makes the call of the record, and completes the record.
func (l *load) call(r Record) {
	r.Reply, r.Err = l.do(l.ctx, r.Call)
	r.Duration = time.Since(r.Start)
	if r.Err != nil && l.ctx.Err() != nil && errors.Is(r.Err, l.ctx.Err()) {
		r.Interrupted = true
		l.interrupted.Store(true)
	}
	l.emitting.Lock()
	defer l.emitting.Unlock()
	l.emit(r)
}

// next returns the number of the next call.
func (l *load) next() int { return int(l.started.Add(1)) }

// closed runs the workers of a closed loop.
func (l *load) closed() {
	work := func() {
		for {
			now := time.Now()
			after := now.Sub(l.began)
			if l.ended(after) {
				return
			}
			n := l.next()
			if l.Calls > 0 && n > l.Calls { // another worker took the last one
				return
			}
			l.call(Record{Call: n, Intended: now, Start: now, Warmup: after < l.Warmup})
		}
	}
	workers := l.Workers
	if l.Calls > 0 {
		workers = min(workers, l.Calls)
	}
	var working sync.WaitGroup
	for range workers {
		if l.ended(time.Since(l.began)) {
			break
		}
		working.Go(work)
	}
	working.Wait()
}

// ended reports whether a closed loop starts no more calls so long after the start.
func (l *load) ended(after time.Duration) bool {
	switch {
	case l.Duration > 0 && after >= l.Duration, l.Calls > 0 && int(l.started.Load()) >= l.Calls:
		return true
	case l.ctx.Err() != nil:
		l.interrupted.Store(true)
		return true
	}
	return false
}

// open starts the calls of an open loop as they are due.
func (l *load) open() {
	starting, stop := l.ctx, context.CancelFunc(func() {})
	if l.Duration > 0 {
		starting, stop = context.WithDeadline(l.ctx, l.began.Add(l.Duration+Tolerance))
	}
	defer stop()
	g := newGate(l.MaxUnderWay)
	defer g.timer.Stop()
	var calls sync.WaitGroup
	defer calls.Wait()
	for after := range l.Due() {
		if l.ctx.Err() != nil {
			l.interrupted.Store(true)
			return
		}
		r := Record{Intended: l.began.Add(after), Warmup: after < l.Warmup}
		ready, ok := g.pass(starting, r.Intended)
		if !ok {
			l.leaveOut(r)
			continue
		}
		calls.Go(func() {
			defer g.leave()
			if starting.Err() != nil { // the goroutine may have started late too
				l.leaveOut(r)
				return
			}
			r.Call = l.next() // only now, so that calls that are left out leave no gaps
			r.Start = time.Now()
			if ready.After(r.Intended) {
				r.count(&l.waited)
			}
			if r.Start.Sub(ready) > Tolerance {
				r.count(&l.late)
			}
			l.call(r)
		})
	}
}

// leaveOut counts a call that was due and does not start.
func (l *load) leaveOut(r Record) {
	if l.ctx.Err() != nil {
		l.interrupted.Store(true)
	} else {
		r.count(&l.unmade)
	}
}

// count adds one to n unless the call is of the warm-up.
func (r Record) count(n *atomic.Int64) {
	if !r.Warmup {
		n.Add(1)
	}
}

// gate delays the calls of an open loop until they are due and have a place.
type gate struct {
	timer  *time.Timer
	places chan struct{} // contains one element for each call under way
	opened time.Time     // the end of the latest wait for a place
}

func newGate(places int) *gate {
	if places == 0 {
		places = DefaultMaxUnderWay
	}
	return &gate{timer: time.NewTimer(0), places: make(chan struct{}, places)}
}

// pass blocks until a call that is due at that time may start. It returns the time at which the
// call could have started: when it was due, or when it got a place. It returns false if ctx ends
// first.
func (g *gate) pass(ctx context.Context, due time.Time) (ready time.Time, ok bool) {
	if wait := time.Until(due); wait > 0 {
		g.timer.Reset(wait)
		select {
		case <-g.timer.C:
		case <-ctx.Done():
		}
	}
	if ctx.Err() != nil {
		return due, false
	}
	select {
	case g.places <- struct{}{}:
	default:
		select {
		case g.places <- struct{}{}:
			g.opened = time.Now()
		case <-ctx.Done():
			return due, false
		}
	}
	if g.opened.After(due) {
		return g.opened, true
	}
	return due, true
}

func (g *gate) leave() { <-g.places }
