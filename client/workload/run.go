package workload

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// Tolerance is how much later than it should a call of an open loop may start and still be in
	// time. A timer on a busy machine is late by milliseconds; a generator that does not keep up
	// falls behind further with every call, and soon passes any bound.
	Tolerance = 100 * time.Millisecond

	// lateShare is the share of the calls that may be late in a load that is still the one that was
	// planned: so few do not make the 99th percentile what it is.
	lateShare = 0.01
)

// Pace is how well a load kept to its plan. Calls of the warm-up do not count. A closed loop has no
// times to keep, and can but be Interrupted.
type Pace struct {
	// Late is how many calls the generator did not start in time: those that started more than
	// Tolerance after they were due and there was a place for them, and those that it never
	// started.
	Late int
	// Unmade is how many calls were due and never started, since Duration and Tolerance had passed.
	// They are in Late.
	Unmade int
	// Waited is how many calls started later because MaxUnderWay were under way. The replicas, not
	// the generator, were too slow for them.
	Waited int
	// Interrupted is true when the end of the context came before the end of the load: there are
	// calls that were not started or were interrupted.
	Interrupted bool
}

// Kept reports whether a load of so many calls was the one that was planned: at most one call in a
// hundred was late. Of one that was not, the latencies say as much of the generator as of the
// replicas.
func (p Pace) Kept(calls int) bool { return float64(p.Late) <= lateShare*float64(calls) }

// Run makes the calls and hands each one's record to emit when it has ended, one at a time. do
// makes the call of that number. It returns when the last call has ended. The plan must be valid.
//
// When Duration has passed, no more calls start, and those under way are let end. Of an open loop,
// calls that were due before may yet start within Tolerance. When ctx ends, Run starts no more
// calls and lets do end those under way; those that then fail with an error that wraps ctx's own
// are Interrupted.
//
// emit must return soon: calls that have ended wait for it, and a worker or a place with them.
// [Records.Add] does.
func (p Plan) Run(ctx context.Context, do func(ctx context.Context, call int) (Reply, error), emit func(Record)) Pace {
	l := &load{Plan: p, ctx: ctx, do: do, emit: emit, began: time.Now()}
	if p.Rate > 0 {
		l.open()
	} else {
		l.closed()
	}
	return Pace{
		Late: int(l.late.Load() + l.unmade.Load()), Unmade: int(l.unmade.Load()), Waited: int(l.waited.Load()),
		Interrupted: l.cut.Load(),
	}
}

// load is a plan that runs.
type load struct {
	Plan
	ctx      context.Context
	do       func(context.Context, int) (Reply, error)
	emit     func(Record)
	emitting sync.Mutex
	began    time.Time
	started  atomic.Int64 // calls; of a closed loop also those beyond the last

	late, unmade, waited atomic.Int64 // late has none of the unmade
	cut                  atomic.Bool  // see Pace.Interrupted
}

// call makes the call that the record is of, and completes it.
func (l *load) call(r Record) {
	r.Reply, r.Err = l.do(l.ctx, r.Call)
	r.Duration = time.Since(r.Start)
	if r.Err != nil && l.ctx.Err() != nil && errors.Is(r.Err, l.ctx.Err()) {
		r.Interrupted = true
		l.cut.Store(true)
	}
	l.emitting.Lock()
	defer l.emitting.Unlock()
	l.emit(r)
}

// next returns the number of the call that starts now.
func (l *load) next() int { return int(l.started.Add(1)) }

// closed runs the workers of a closed loop.
func (l *load) closed() {
	work := func() {
		for {
			now := time.Now()
			after := now.Sub(l.began)
			if l.Duration > 0 && after >= l.Duration || l.Calls > 0 && int(l.started.Load()) >= l.Calls {
				return
			}
			if l.ctx.Err() != nil {
				l.cut.Store(true)
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
		working.Go(work)
	}
	working.Wait()
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
			l.cut.Store(true)
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
			if starting.Err() != nil { // a goroutine, too, may have to wait for its turn
				l.leaveOut(r)
				return
			}
			r.Call = l.next() // not before: a call that is left out would leave a gap
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

// leaveOut takes note of a call that was due and does not start.
func (l *load) leaveOut(r Record) {
	if l.ctx.Err() != nil {
		l.cut.Store(true)
	} else {
		r.count(&l.unmade)
	}
}

// count adds the call to the number, if it counts.
func (r Record) count(n *atomic.Int64) {
	if !r.Warmup {
		n.Add(1)
	}
}

// gate lets the calls of an open loop pass when they are due, as long as there are places for them.
type gate struct {
	timer  *time.Timer
	places chan struct{} // one in it for each call under way
	opened time.Time     // when a place was last found after a wait for one
}

func newGate(places int) *gate {
	if places == 0 {
		places = DefaultMaxUnderWay
	}
	return &gate{timer: time.NewTimer(0), places: make(chan struct{}, places)}
}

// pass blocks until the call that is due then may start, and returns when it could have: when it
// was due, or later when there was no place. It returns false if ctx ends first.
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
