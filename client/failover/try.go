package failover

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// result is what became of an attempt.
type result struct {
	Attempt
	executed bool          // or may have been
	answered bool          // the error is the replica's own
	pushback time.Duration // which the replica asks for: zero: none; negative: no repetition
	missed   bool          // it was not made: the replica had lost its connection a moment before, as in a crash
}

func (r *result) forCore() core.Result {
	return core.Result{Final: r.Outcome == OutcomeRejected, Sent: r.executed, Pushback: r.pushback}
}

// ends reports whether the outcome is the call's, so that there is no use in another attempt.
func (r *result) ends() bool {
	return r.Outcome == OutcomeOK || r.Outcome == OutcomeRejected || r.Outcome == OutcomeCanceled
}

// attempt makes one attempt of a unary call. The parent is the caller's context, or one that ends also when the attempt is
// no longer wanted; the request says where the reply goes.
func (p *plan) attempt(parent context.Context, l *lease, r request) result {
	if l.number > 1 {
		resetOutputs(r.reply, r.opts)
	}
	p.start(l)
	ctx, cancel := parent, context.CancelFunc(nil)
	if l.decision.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, l.decision.Timeout)
	}
	on := p.on(ctx, l)
	returned := false
	defer func() {
		if !returned { // it panicked, as a codec of the user's may
			p.missed(l)
		}
	}()
	err := r.invoker(on, r.method, r.req, r.reply, r.cc, r.opts...)
	returned = true
	o, w := OutcomeOK, answeredWire
	if err != nil {
		w = wireOf(on)
		if err == io.EOF {
			w, err = unwritten(ctx, w)
		}
		o = p.outcome(parent, ctx, r.req, w, err)
	}
	if cancel != nil {
		cancel()
	}
	if on.Missed() {
		return p.missed(l)
	}
	return p.finish(l, o, w, err)
}

// unwritten is what gRPC does not say of a request whose stream ended before it was written: it gives back a plain io.EOF
// (grpc-go issue 7230). Either the attempt's context has ended, or the connection.
func unwritten(attempt context.Context, w wire) (wire, error) {
	w.answered = false
	if why := ended(attempt); why != nil {
		return w, status.FromContextError(why).Err()
	}
	return w, status.Error(codes.Unavailable, "the connection broke before the request was written")
}

// on returns the context of an attempt. A call that waits for a connection, or has another attempt on its way, does not want
// a dial that may fail.
func (p *plan) on(ctx context.Context, l *lease) *replicas.Attempt {
	if l.number > 1 {
		ctx = metadata.AppendToOutgoingContext(ctx, previousAttempts, strconv.Itoa(l.number-1))
	}
	on := p.replicas.NewAttempt(ctx, l.replica)
	switch {
	case p.rules.Wait || l.hedge:
		on.RequireReady()
	case l.wait != nil:
		on.Await(l.wait)
	}
	if l.decision.Alone {
		on.Stay()
	}
	return on
}

// missed gives back the place of an attempt that was not made.
func (p *plan) missed(l *lease) result {
	l.ends(l.answers, false)
	p.abandon(l.backend)
	return result{missed: true}
}

// start takes note that the attempt begins.
func (p *plan) start(l *lease) {
	l.start = p.now()
	l.answers = l.begins(l.start)
	ready := l.replica.Ready()
	if !ready {
		l.wait = p.connecting(l)
	}
	if l.conn = l.connection(); !ready {
		l.conn.epoch++
	}
}

// previousAttempts is the header that tells a replica how many attempts of the call went before, as of gRFC A6.
const previousAttempts = "grpc-previous-rpc-attempts"

// finish gives the replica's place back and takes note of how the attempt ended, for the replica and whoever wants to know.
func (p *plan) finish(l *lease, o Outcome, w wire, err error) result {
	p.settle(l, o, w, err)
	a := Attempt{
		Replica: l.addr, Number: l.number, Round: l.decision.Round, Hedge: l.hedge,
		Start: p.born.Add(l.start), Duration: p.now() - l.start, Outcome: o, Sent: w.sent, Err: err,
	}
	if p.policy.OnAttempt != nil {
		p.policy.OnAttempt(p.ctx, p.request.method, a)
	}
	r := result{Attempt: a, answered: w.answered && o != OutcomeCanceled}
	if err != nil {
		r.executed, r.pushback = w.sent && !p.policy.NotExecuted.says(w, err), pushback(w.trailer, err)
	}
	return r
}

// settle takes note of what an attempt says of its replica.
func (p *plan) settle(l *lease, o Outcome, w wire, err error) {
	p.backends.count(l.backend, o)
	l.ends(l.answers, w.answered && o != OutcomeCanceled)
	switch {
	case (o == OutcomeOK || o == OutcomeRejected) && w.answered:
		p.answers(l, o)
	case o == OutcomeFailed && status.Code(err) != codes.Unimplemented: // which concerns the one method
		p.fails(l, core.Failing)
	case w.unprocessed:
		p.turnedAway(l)
	case o == OutcomeLost:
		p.loses(l)
	case o == OutcomeTimeout && w.picked, o == OutcomeCanceled && w.picked && errors.Is(ended(p.ctx), context.DeadlineExceeded):
		p.cutOff(l, w.sent)
	}
	if l.ejected.Load() {
		l.undecided(l.start)
	}
	p.release(l.backend)
}

// answers takes note that a replica has answered.
func (p *plan) answers(l *lease, o Outcome) {
	if l.suspect.Load() {
		p.forgive(l)
	}
	if p.policy.AdaptiveLimit {
		p.hazard.Survived()
	}
	l.ramp.Answered()
	if l.unproven.Load() {
		l.unproven.Store(false)
	}
	took := p.now() - l.start
	l.took.Store(int64(max(took, 1)))
	p.compare(l.backend, &p.known.latency, took, true)
	if o != OutcomeOK {
		return
	}
	p.known.latency.Add(took)
	if p.policy.Order == OrderSticky && p.client.last.Load() != l.key {
		p.client.last.Store(l.key)
	}
}

// loses takes note that the connection to a replica broke. That counts once, however many attempts were lost with it.
func (p *plan) loses(l *lease) {
	l.loss.Store(&loss{l.conn, time.Now()})
	if !l.crashed(l.conn) {
		return
	}
	if p.policy.AdaptiveLimit {
		p.hazard.Crashed()
	}
	p.fails(l, core.HungUp)
}

// abandon gives back a place that no attempt was made with.
func (c *client) abandon(b *backend) {
	if b.ejected.Load() {
		b.undecided(c.now())
	}
	c.release(b)
}

// release gives a place at the replica back, to a call that waits for one.
func (c *client) release(b *backend) {
	b.inFlight.Add(-1)
	c.offer()
}

// crashed reports whether the loss of the connection is news: all attempts in flight were lost with it, and it counts once.
func (b *backend) crashed(conn connection) bool {
	last := b.crash.Load()
	if last != nil && last.replica == conn.replica && last.epoch >= conn.epoch {
		return false
	}
	return b.crash.CompareAndSwap(last, &conn)
}
