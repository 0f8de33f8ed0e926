package failover

import (
	"context"
	"sync"
	"time"

	"example.com/crashlab/client/failover/internal/core"
)

// race runs concurrent attempts of a call. The first runs in the call's goroutine, each of the
// others in its own goroutine with its own outputs.
type race struct {
	plan     plan
	stop     context.CancelFunc // cancels the first attempt
	newReply func() any         // does not read the call's reply, which the first attempt may be writing

	mu     sync.Mutex // guards what follows
	core   core.Race
	timer  *time.Timer
	others []*joiner
}

// joiner is an attempt that has joined another.
type joiner struct {
	lease   lease
	request request // with its own outputs
	ctx     context.Context
	cancel  context.CancelFunc
	ended   chan struct{} // closed when result is set
	result  result
	winner  bool
	panic   any // what the attempt panicked with
}

// race makes an attempt that others may join, the first of them after delay. It reports whether one
// succeeded.
func (c *call) race(l *lease, delay time.Duration, hedge bool) bool {
	ctx, stop := context.WithCancel(c.ctx)
	defer stop()
	l.HedgeDelay = delay
	r := c.newRace(l, hedge, stop)
	r.mu.Lock()
	r.timer = time.AfterFunc(delay, r.join)
	r.mu.Unlock()
	defer r.abort()
	first := c.attempt(ctx, l, c.request)
	others := r.end(first)
	c.begun = r.core.Number()
	return c.conclude(l, first, others)
}

// newRace returns a race that begins with the lease. It gives the place back if the reply's type
// panics.
func (c *call) newRace(l *lease, hedge bool, stop context.CancelFunc) (r *race) {
	defer func() {
		if r == nil {
			c.abandon(l.Replica)
		}
	}()
	return &race{plan: c.plan, core: core.NewRace(&c.core, &l.Lease, l.number, hedge), stop: stop, newReply: newReply(c.request.reply)}
}

// conclude records how the attempts of a race ended. It reports whether one succeeded.
func (c *call) conclude(l *lease, first result, others []*joiner) bool {
	if first.missed && c.begun == l.number {
		c.begun--
	}
	c.record(first)
	racers := make([]core.Racer, 0, len(others))
	for _, j := range others {
		c.record(j.result)
		racers = append(racers, j.result.racer(&j.lease, j.winner))
	}
	f := c.core.Finish(first.racer(l, false), racers, ended(c.ctx) != nil)
	if f.Overtaken {
		c.shared.Overtaken(&l.Lease, c.now(), c.observer())
	}
	if f.Success > 0 {
		c.counters.hedgesWon.Add(1)
		moveOutputs(c.request, others[f.Success-1].request)
	}
	if f.Last >= 0 {
		last := first
		if f.Last > 0 {
			last = others[f.Last-1].result
		}
		c.last, c.answered, c.canceled = last.Err, last.answered, f.Canceled
	}
	return f.Success >= 0
}

// racer returns the result of an attempt in the form of the core.
func (r *result) racer(l *lease, winner bool) core.Racer {
	return core.Racer{
		Key: l.Key, Round: l.decision.Round, Outcome: core.Outcome(r.Outcome), Missed: r.missed, Winner: winner, Result: r.forCore(),
	}
}

// join makes another attempt, if it is not too late and the budget allows it.
func (r *race) join() {
	r.mu.Lock()
	j := r.prepare()
	r.mu.Unlock()
	if j == nil {
		return
	}
	defer close(j.ended)
	defer j.cancel()
	defer func() { j.panic = recover() }()
	j.result = r.plan.attempt(j.ctx, &j.lease, j.request)
	r.mu.Lock()
	defer r.mu.Unlock()
	if j.result.missed {
		r.core.Missed(j.lease.number)
		return
	}
	r.plan.counters.hedges.Add(1)
	if j.winner = r.core.Joined(core.Outcome(j.result.Outcome)); j.winner {
		r.stop()
		r.cancelOthers(j)
	}
}

// cancelOthers cancels all joiners except one. mu must be held.
func (r *race) cancelOthers(but *joiner) {
	for _, j := range r.others {
		if j != but {
			j.cancel()
		}
	}
}

// end records the end of the first attempt, waits for the others, and returns them.
func (r *race) end(first result) []*joiner {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.core.First(core.Outcome(first.Outcome), first.missed) {
		r.cancelOthers(nil)
	}
	for i := 0; i < len(r.others); i++ {
		j := r.others[i]
		r.mu.Unlock()
		<-j.ended
		r.mu.Lock()
		if j.panic != nil {
			panic(j.panic) // in the goroutine of the caller, which can recover
		}
	}
	r.core.Close()
	r.timer.Stop()
	return r.others
}

// abort keeps other attempts from joining or going on after a panic. It does nothing to a race that
// has ended.
func (r *race) abort() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.core.Close()
	r.timer.Stop()
	r.cancelOthers(nil)
}

// prepare chooses a replica for another attempt, takes a place there and pays for it, and sets the
// timer for the next attempt. It returns nil if there may be no further attempt. mu must be held.
func (r *race) prepare() *joiner {
	p := &r.plan
	t := p.table()
	if t == nil {
		return nil
	}
	d, ok := p.shared.Join(&p.Terms, &r.core, t.roster, p.queue.crowded(), p.now())
	if !ok {
		return nil
	}
	if !p.shared.PayJoin(&r.core, d, t.members[d.Index].Key, p.now()) {
		p.counters.denied.Add(1)
		p.abandon(t.members[d.Index].Replica)
		return nil
	}
	j := &joiner{lease: p.leaseFor(t, d, r.core.Number()), request: p.request.separate(r.newReply()), ended: make(chan struct{})}
	j.lease.hedge = true
	j.ctx, j.cancel = context.WithCancel(p.ctx)
	r.others = append(r.others, j)
	if d.Join > 0 {
		r.timer = time.AfterFunc(d.Join, r.join)
	}
	return j
}
