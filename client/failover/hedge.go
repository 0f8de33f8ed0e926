package failover

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/proto"
)

// hedgeBurst is how many hedges may be made at once, above Hedge.Share.
const hedgeBurst = 5

// hedging is how the call is hedged: as its options say, else as the policy does.
func (c *call) hedging() *Hedge {
	if c.settings != nil && c.settings.overrides != nil && c.settings.overrides.hedge != nil {
		return c.settings.overrides.hedge
	}
	return &c.policy.Hedge
}

// hedgeDelay is how long the next attempt is left alone before another one joins it. It returns false where none may.
func (c *call) hedgeDelay() (time.Duration, bool) {
	h := c.hedging()
	if !h.enabled() || !c.rules.Idempotent {
		return 0, false
	}
	if h.Quantile > 0 {
		if d, known := c.known.latency.Quantile(h.Quantile); known {
			return d, true
		}
	}
	return h.After, h.After > 0
}

// hedge is an attempt and another one that joins it late. The first runs in the call's goroutine, the second in its own,
// on values of its own, so that neither sees what the other writes. The first to end the call, by a success or a status
// that is not retried, cancels the other. The call goes on when both have ended.
type hedge struct {
	call  call // as it was before the first attempt
	first uint32
	stop  context.CancelFunc // ends the first attempt
	trial bool               // the first attempt is its replica's trial
	reply func() any         // makes another reply, without a look at the call's, which the first attempt may be writing to

	mu     sync.Mutex // guards what follows
	over   bool       // the first attempt has ended: it is too late to begin, or to win
	won    bool       // the second attempt was first to end the call
	second *second    // nil: not begun
}

// second is the attempt that joins.
type second struct {
	call    call
	lease   lease
	outputs outputs
	cancel  context.CancelFunc
	ended   chan struct{} // closed when it has

	outcome Outcome
}

// hedgedAttempt makes an attempt that another may join after the delay. It reports whether one of them succeeded.
func (c *call) hedgedAttempt(l *lease, delay time.Duration) bool {
	ctx, stop := context.WithCancel(c.ctx)
	defer stop()
	l.patience = delay
	h := &hedge{call: *c, first: l.key, stop: stop, trial: l.ejected.Load(), reply: another(c.request.reply)}
	timer := time.AfterFunc(delay, h.begin)
	o := c.attempt(ctx, l)
	timer.Stop()
	s := h.end(o)
	if s == nil {
		return o == OK
	}
	c.attempts = append(c.attempts, s.call.attempts...)
	if h.won && o == Canceled {
		c.canceled = false // it was not the caller who ended the first
		c.fails(l, true)
	}
	switch {
	case o == OK && !(h.won && s.outcome == OK):
		return true
	case s.outcome == OK:
		c.counters.hedgesWon.Add(1)
		s.outputs.copy(c.request)
		return true
	}
	c.core.Join(&s.call.core)
	if o != Rejected && len(s.call.attempts) > 0 { // else the first has ended the call, and the second; or there was no second
		c.last, c.canceled = s.call.last, c.canceled || s.call.canceled
	}
	return false
}

// begin makes the second attempt, if it is not too late and one can be afforded.
func (h *hedge) begin() {
	h.mu.Lock()
	if !h.over {
		h.second = h.prepare()
	}
	s := h.second
	h.mu.Unlock()
	if s == nil {
		return
	}
	defer close(s.ended)
	defer s.cancel()
	s.outcome = s.call.attempt(s.call.ctx, &s.lease)
	if s.outcome == OK || len(s.call.attempts) > 0 { // else its replica was lost before it began
		s.call.counters.hedges.Add(1)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if (s.outcome == OK || s.outcome == Rejected) && !h.over {
		h.won = true
		h.stop()
	}
}

// end takes note that the first attempt has ended so, and returns the second after its end, or nil where there is none.
func (h *hedge) end(o Outcome) *second {
	h.mu.Lock()
	h.over = true
	s := h.second
	h.mu.Unlock()
	if s == nil {
		return nil
	}
	if !h.won && (o == OK || o == Rejected || o == Canceled) {
		s.cancel()
	}
	<-s.ended
	return s
}

// prepare chooses a replica for the second attempt, takes a place at it and pays for it; nil where it may not be. A trial
// needs one to be judged by.
func (h *hedge) prepare() *second {
	c := &h.call
	t := c.backends.table(c.replicas)
	if t == nil || c.rules.Wait && c.queue.crowded() { // those that wait come first
		return nil
	}
	limit := c.limit()
	var buf [8]core.Candidate
	d, ok := c.core.Hedge(c.rules, c.moment(c.ask()), t.candidates(buf[:0], limit), h.first)
	if !ok {
		return nil
	}
	if !t.entries[d.Index].acquire(limit, false) {
		return nil
	}
	if !h.pay() {
		c.counters.denied.Add(1)
		c.abandon(t.entries[d.Index].backend)
		return nil
	}
	s := &second{call: *c, lease: lease{entry: t.entries[d.Index], decision: d, hedge: true}, ended: make(chan struct{})}
	s.call.before = len(c.attempts) + 1
	s.call.attempts = nil
	s.call.ctx, s.cancel = context.WithCancel(c.ctx)
	s.outputs = s.call.request.separate(h.reply())
	return s
}

// pay takes the second attempt from the share of hedges and from the budget. The share is not asked for a trial's, as trials
// are rare.
func (h *hedge) pay() bool {
	c := &h.call
	if !h.trial && !c.hedges.Take(0) {
		return false
	}
	if c.budget != nil && !c.budget.Take(c.now()) {
		if !h.trial {
			c.hedges.Give()
		}
		return false
	}
	return true
}

// outputs are where an attempt has put what is for the caller.
type outputs struct {
	reply any
	opts  []grpc.CallOption
}

// another returns what makes a reply of the same kind.
func another(reply any) func() any {
	if m, ok := reply.(proto.Message); ok {
		kind := m.ProtoReflect().Type()
		return func() any { return kind.New().Interface() }
	}
	return func() any {
		if v := reflect.ValueOf(reply); v.Kind() == reflect.Pointer && !v.IsNil() {
			return reflect.New(v.Type().Elem()).Interface()
		}
		return reply
	}
}

// separate gives the request outputs of its own.
func (r *request) separate(reply any) outputs {
	r.reply = reply
	r.opts = slices.Clone(r.opts)
	for i, o := range r.opts {
		switch o.(type) {
		case grpc.HeaderCallOption:
			r.opts[i] = grpc.Header(new(metadata.MD))
		case grpc.TrailerCallOption:
			r.opts[i] = grpc.Trailer(new(metadata.MD))
		case grpc.PeerCallOption:
			r.opts[i] = grpc.Peer(new(peer.Peer))
		}
	}
	return outputs{r.reply, r.opts}
}

// copy gives the caller what is in the outputs.
func (from outputs) copy(to request) {
	resetOutputs(to.reply, to.opts)
	if m, ok := to.reply.(proto.Message); ok {
		proto.Merge(m, from.reply.(proto.Message))
	} else if v := reflect.ValueOf(to.reply); v.Kind() == reflect.Pointer && !v.IsNil() {
		v.Elem().Set(reflect.ValueOf(from.reply).Elem())
	}
	for i, o := range to.opts {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = *from.opts[i].(grpc.HeaderCallOption).HeaderAddr
		case grpc.TrailerCallOption:
			*o.TrailerAddr = *from.opts[i].(grpc.TrailerCallOption).TrailerAddr
		case grpc.PeerCallOption:
			*o.PeerAddr = *from.opts[i].(grpc.PeerCallOption).PeerAddr
		}
	}
}
