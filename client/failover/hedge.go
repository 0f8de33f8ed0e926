package failover

import (
	"context"
	"sync"
	"time"

	"example.com/crashlab/client/failover/internal/core"
)

// hedgeBurst is how many hedges may be made at once, above Hedge.Share.
const hedgeBurst = 5

// hedgeDelay is how long the next attempt is left alone before another one joins it. It returns false where none may.
func (p *plan) hedgeDelay() (time.Duration, bool) {
	h := p.hedge
	if !h.enabled() || !p.rules.Idempotent || !separable(p.request.reply) {
		return 0, false
	}
	if h.Quantile > 0 {
		if d, known := p.known.latency.Quantile(h.Quantile); known {
			return d, true
		}
	}
	return h.After, h.After > 0
}

// hedge is a second attempt that joins the first late. The first runs in the call's goroutine, the second in its own, with
// outputs of its own. The first of them to end the call, by a success or a status that is not retried, cancels the other.
type hedge struct {
	plan     plan
	core     core.Call          // as the first attempt left it
	first    lease              // the attempt that it joins
	trial    bool               // which is the trial of a replica that was left out
	stop     context.CancelFunc // ends the first attempt
	newReply func() any         // makes another reply without a look at the call's, which the first attempt may be writing to

	mu    sync.Mutex // guards what follows
	over  bool       // the first attempt has ended: it is too late to begin, or to win
	won   bool       // the second attempt was first to end the call
	begun *second    // nil: not begun
}

// second is a hedge that was begun.
type second struct {
	lease   lease
	request request // with outputs of its own
	cancel  context.CancelFunc
	ended   chan struct{} // closed when there is a result
	result  result
	panic   any // what the attempt panicked with
}

// hedgedAttempt makes an attempt that another may join after the delay. It reports whether one of them succeeded.
func (c *call) hedgedAttempt(l *lease, delay time.Duration) bool {
	ctx, stop := context.WithCancel(c.ctx)
	defer stop()
	l.patience = delay
	h := &hedge{plan: c.plan, core: c.core, first: *l, trial: l.ejected.Load(), stop: stop, newReply: newReply(c.request.reply)}
	timer := time.AfterFunc(delay, h.begin)
	first := c.attempt(ctx, l, c.request)
	timer.Stop()
	s := h.end(first.Outcome)
	ok := c.note(l, first)
	if s == nil {
		return ok
	}
	if h.won && first.Outcome == OutcomeCanceled {
		c.canceled = false // it was not the caller who ended the first
		c.fails(l, true)
	}
	return c.join(ok && !(h.won && s.result.Outcome == OutcomeOK), first, s)
}

// join takes note of a hedge beside the first attempt, which answered the call or did not. It reports whether one of them did.
func (c *call) join(answered bool, first result, s *second) bool {
	r := s.result
	if !r.missed {
		c.record(r)
	}
	switch {
	case answered:
		return true
	case r.Outcome == OutcomeOK && !r.missed:
		c.counters.hedgesWon.Add(1)
		moveOutputs(c.request, s.request)
		return true
	case r.missed:
		return false
	}
	c.core.NoteHedge(s.lease.key, s.lease.decision.Round, r.forCore())
	if first.missed || first.Outcome != OutcomeRejected { // else the first has ended the call
		c.last, c.answered, c.canceled = r.Err, r.answered, c.canceled || r.Outcome == OutcomeCanceled
	}
	return false
}

// begin makes the second attempt, if it is not too late and one can be afforded.
func (h *hedge) begin() {
	h.mu.Lock()
	var ctx context.Context
	if !h.over {
		ctx = h.prepare()
	}
	s := h.begun
	h.mu.Unlock()
	if s == nil {
		return
	}
	defer close(s.ended)
	defer s.cancel()
	defer func() { s.panic = recover() }()
	s.result = h.plan.attempt(ctx, &s.lease, s.request)
	if s.result.missed {
		return
	}
	h.plan.counters.hedges.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if o := s.result.Outcome; (o == OutcomeOK || o == OutcomeRejected) && !h.over {
		h.won = true
		h.stop()
	}
}

// end takes note that the first attempt has ended so, and returns the second after its end, or nil where there is none.
func (h *hedge) end(o Outcome) *second {
	h.mu.Lock()
	h.over = true
	s := h.begun
	h.mu.Unlock()
	if s == nil {
		return nil
	}
	if !h.won && (o == OutcomeOK || o == OutcomeRejected || o == OutcomeCanceled) {
		s.cancel()
	}
	<-s.ended
	if s.panic != nil {
		panic(s.panic) // where the caller can recover from it
	}
	return s
}

// prepare chooses a replica for the second attempt, takes a place at it and pays for it. It returns the attempt's context, or
// nil where there may be no second attempt. mu must be held.
func (h *hedge) prepare() context.Context {
	p := &h.plan
	t := p.backends.table(p.replicas)
	if t == nil || p.rules.Wait && p.queue.crowded() { // those that wait come first
		return nil
	}
	limit := p.limit()
	var buf [8]core.Candidate
	d, ok := h.core.Hedge(p.rules, p.moment(p.ask()), t.candidates(buf[:0], limit), h.first.key)
	if !ok || !t.entries[d.Index].acquire(limit, false) {
		return nil
	}
	if !h.pay() {
		p.counters.denied.Add(1)
		p.abandon(t.entries[d.Index].backend)
		return nil
	}
	l := lease{entry: t.entries[d.Index], decision: d, number: h.first.number + 1, hedge: true}
	ctx, cancel := context.WithCancel(p.ctx)
	h.begun = &second{lease: l, request: p.request.separate(h.newReply()), cancel: cancel, ended: make(chan struct{})}
	return ctx
}

// pay takes the second attempt from the share of hedges and from the budget. The trial of a replica that was left out needs a
// hedge to be judged by; the share is not asked for it, as trials are rare.
func (h *hedge) pay() bool {
	p := &h.plan
	if !h.trial && !p.hedges.Take(0) {
		return false
	}
	if p.budget != nil && !p.budget.Take(p.now()) {
		if !h.trial {
			p.hedges.Give()
		}
		return false
	}
	return true
}
