package failover

import (
	"context"
	"sync"
	"time"

	"example.com/crashlab/client/failover/internal/core"
)

// joinDelay is how long an attempt is left alone before another one joins it, and whether that is a hedge of the policy's; zero
// where none may.
func (p *plan) joinDelay(d core.Decision) (delay time.Duration, hedge bool) {
	if !p.Rules.Idempotent || !separable(p.request.reply) {
		return 0, false
	}
	return p.Hedging.Delay(d, p.Method)
}

// race is the attempts of a call that are on their way at a time: a first one, and others that join it late. The first runs in the
// call's goroutine, each of the others in its own, with outputs of its own. The first of them to end the call, by a success or a
// status that is not retried, cancels the others.
type race struct {
	plan     plan
	trial    bool               // the first attempt is the trial of a replica that was left out
	stop     context.CancelFunc // ends the first attempt
	newReply func() any         // makes another reply without a look at the call's, which the first attempt may be writing to

	mu     sync.Mutex // guards what follows
	core   core.Call  // with what the attempts have tried
	last   lease      // of the attempt that was last to begin
	hedge  bool       // the next to begin is a hedge of the policy's
	timer  *time.Timer
	over   bool    // it is too late to begin, or to win
	winner *joiner // the first of the others to end the call
	others []*joiner
}

// joiner is an attempt that has joined another.
type joiner struct {
	lease   lease
	request request // with outputs of its own
	ctx     context.Context
	cancel  context.CancelFunc
	ended   chan struct{} // closed when there is a result
	result  result
	panic   any // what the attempt panicked with
}

// race makes an attempt that others may join, the first after the delay. It reports whether one of them succeeded.
func (c *call) race(l *lease, delay time.Duration, hedge bool) bool {
	ctx, stop := context.WithCancel(c.ctx)
	defer stop()
	l.Patience = delay
	r := &race{plan: c.plan, core: c.core, last: *l, trial: l.Ejected(), hedge: hedge, stop: stop, newReply: newReply(c.request.reply)}
	r.mu.Lock()
	r.timer = time.AfterFunc(delay, r.join)
	r.mu.Unlock()
	first := c.attempt(ctx, l, c.request)
	others := r.end(!first.missed && core.Outcome(first.Outcome).Ends())
	c.begun = r.last.number
	ok := c.note(l, first)
	if r.winner != nil && first.Outcome == OutcomeCanceled {
		c.canceled = false // it was not the caller who ended the first
		c.shared.Overtaken(&l.Lease, c.now(), c.news())
	}
	for _, j := range others {
		c.record(j.result)
	}
	if r.winner == nil && ok {
		return true
	}
	if j := r.answered(); j != nil {
		c.counters.hedgesWon.Add(1)
		moveOutputs(c.request, j.request)
		return true
	}
	if ok {
		return true
	}
	for _, j := range others {
		if j != r.winner {
			c.noteOther(first, j)
		}
	}
	if r.winner != nil { // the last word
		c.noteOther(first, r.winner)
	}
	return false
}

// answered returns the joiner that succeeded, after all have ended.
func (r *race) answered() *joiner {
	if r.winner != nil && r.winner.result.Outcome == OutcomeOK {
		return r.winner
	}
	for _, j := range r.others {
		if j.result.Outcome == OutcomeOK && !j.result.missed {
			return j
		}
	}
	return nil
}

// noteOther takes note of a joiner that failed beside the first attempt.
func (c *call) noteOther(first result, j *joiner) {
	r := j.result
	if r.missed || r.Outcome == OutcomeCanceled && ended(c.ctx) == nil { // not made, or canceled for another that has ended the call
		return
	}
	c.core.NoteHedge(j.lease.Key, j.lease.decision.Round, r.forCore())
	if first.missed || first.Outcome != OutcomeRejected { // else the first has ended the call
		c.last, c.answered, c.canceled = r.Err, r.answered, c.canceled || r.Outcome == OutcomeCanceled
	}
}

// join makes another attempt, if it is not too late and one can be afforded.
func (r *race) join() {
	r.mu.Lock()
	var j *joiner
	if !r.over && r.winner == nil {
		j = r.prepare()
	}
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
		if r.last.number == j.lease.number {
			r.last.number--
		}
		return
	}
	r.plan.counters.hedges.Add(1)
	if o := j.result.Outcome; o != OutcomeCanceled && core.Outcome(o).Ends() && !r.over && r.winner == nil {
		r.winner = j
		r.stop()
		r.cancelOthers(j)
	}
}

// cancelOthers ends the joiners but one. mu must be held.
func (r *race) cancelOthers(but *joiner) {
	for _, j := range r.others {
		if j != but {
			j.cancel()
		}
	}
}

// end takes note that the first attempt has ended, and returns the others after their ends. Where it has not ended the call, more may
// join those that are on their way.
func (r *race) end(call bool) []*joiner {
	r.mu.Lock()
	defer r.mu.Unlock()
	if call {
		r.over = true
		if r.winner == nil {
			r.cancelOthers(nil)
		}
	}
	for i := 0; i < len(r.others); i++ {
		j := r.others[i]
		r.mu.Unlock()
		<-j.ended
		r.mu.Lock()
		if j.panic != nil {
			panic(j.panic) // where the caller can recover from it
		}
	}
	r.over = true
	r.timer.Stop()
	return r.others
}

// prepare chooses a replica for another attempt, takes a place at it and pays for it, and sets the timer for the next. It returns
// nil where there may be none. mu must be held.
func (r *race) prepare() *joiner {
	p := &r.plan
	t := p.table()
	if t == nil || p.Rules.Wait && p.queue.crowded() { // those that wait come first
		return nil
	}
	d, ok := p.shared.Hedge(&p.Terms, &r.core, t.members, r.last.Key, p.now())
	if !ok {
		return nil
	}
	if !p.shared.PayHedge(r.hedge, r.trial, p.now()) {
		p.counters.denied.Add(1)
		p.abandon(t.members[d.Index].Replica)
		return nil
	}
	j := &joiner{lease: p.leaseFor(t, d, r.last.number+1), request: p.request.separate(r.newReply()), ended: make(chan struct{})}
	j.lease.hedge = true
	j.ctx, j.cancel = context.WithCancel(p.ctx)
	r.last, r.others = j.lease, append(r.others, j)
	if d.Join > 0 {
		r.hedge = false
		r.timer = time.AfterFunc(d.Join, r.join)
	}
	return j
}
