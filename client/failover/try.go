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

// result is how an attempt ended.
type result struct {
	Attempt
	executed bool          // the request was executed, or may have been
	answered bool          // the error is an answer of the replica
	pushback time.Duration // asked for by the replica; zero: none; negative: no repetition
	missed   bool          // it was not made: the replica had just lost its connection, as in a crash
}

func (r *result) forCore() core.Result {
	return core.Result{Final: r.Outcome == OutcomeRejected, Sent: r.executed, Pushback: r.pushback}
}

// attempt makes one attempt of a unary call. The parent is the caller's context, or one derived
// from it that cancels the attempt alone; the request holds the reply to fill.
func (p *plan) attempt(parent context.Context, l *lease, r request) result {
	ctx, cancel := parent, context.CancelFunc(nil)
	over := false
	defer func() {
		if over {
			return
		}
		// A panic, as in a codec of the user's.
		if cancel != nil {
			cancel()
		}
		p.missed(l)
	}()
	p.start(l)
	if l.number > 1 {
		resetOutputs(r.reply, r.opts)
	}
	if l.decision.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, l.decision.Timeout)
	}
	on := p.on(ctx, l)
	err := r.invoker(on, r.method, r.req, r.reply, r.cc, r.opts...)
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
	over = true
	if on.Missed() {
		return p.missed(l)
	}
	return p.finish(l, o, w, err)
}

// unwritten returns what happened to a request whose stream ended before the request was written.
// gRPC returns only io.EOF (grpc-go issue 7230); the cause is the attempt's context or the
// connection.
func unwritten(attempt context.Context, w wire) (wire, error) {
	w.Answered = false
	if why := ended(attempt); why != nil {
		return w, status.FromContextError(why).Err()
	}
	return w, status.Error(codes.Unavailable, "the connection broke before the request was written")
}

// on returns the context of an attempt. A call that may wait for another replica, or has another
// attempt in flight, does not start a dial that may fail.
func (p *plan) on(ctx context.Context, l *lease) *replicas.Attempt {
	if l.number > 1 {
		ctx = metadata.AppendToOutgoingContext(ctx, previousAttempts, strconv.Itoa(l.number-1))
	}
	on := p.replicas.NewAttempt(ctx, l.replica)
	switch {
	case p.Rules.Wait || l.hedge:
		on.RequireReady()
	case l.wait != nil:
		on.Await(l.wait)
	}
	if l.decision.Alone {
		on.Stay()
	}
	return on
}

// connecting returns how an attempt at a replica without a connection waits for one: until its dial
// ends, or another replica becomes the better choice.
func (p *plan) connecting(l *lease) *replicas.Wait {
	tried, key, terms, c := l.core, l.Key, p.Terms, p.client
	return &replicas.Wait{Dial: l.replica.Wake(), Better: func() bool {
		return c.table() != nil && c.shared.Better(&terms, &tried, key, c.now())
	}}
}

// missed gives back the place of an attempt that was not made.
func (p *plan) missed(l *lease) result {
	p.shared.Miss(&l.Lease, p.now())
	p.offer()
	return result{missed: true}
}

// start records the beginning of an attempt.
func (p *plan) start(l *lease) {
	if !l.Begin(p.now()) {
		l.wait = p.connecting(l)
	}
}

// previousAttempts is the header with the number of earlier attempts of the call (gRFC A6).
const previousAttempts = "grpc-previous-rpc-attempts"

// finish records how an attempt ended, gives its place back, and calls OnAttempt.
func (p *plan) finish(l *lease, o Outcome, w wire, err error) result {
	now := p.now()
	p.backends.count(l.backend, o)
	p.settle(l, p.ending(o, w, err), now)
	a := Attempt{
		Replica: l.backend.addr, Number: l.number, Round: l.decision.Round, Hedge: l.hedge,
		Start: p.born.Add(l.Start), Duration: now - l.Start, Outcome: o, Sent: w.Sent, Err: err,
	}
	if p.policy.OnAttempt != nil {
		p.policy.OnAttempt(p.ctx, p.request.method, a)
	}
	r := result{Attempt: a, answered: w.Answered && o != OutcomeCanceled}
	if err != nil {
		r.executed, r.pushback = w.Sent && !p.policy.NotExecuted.matches(w, err), pushback(w.trailer, err)
	}
	return r
}

// settle judges the replica of an attempt that has ended, and gives its place back, even if
// OnReplica panics.
func (p *plan) settle(l *lease, e core.End, now time.Duration) {
	defer p.release(l.Replica)
	p.shared.Settle(&l.Lease, e, now, p.observer())
}

// ending returns what an attempt's end says about its replica.
func (p *plan) ending(o Outcome, w wire, err error) core.End {
	deadline := o == OutcomeCanceled && errors.Is(ended(p.ctx), context.DeadlineExceeded)
	return core.Outcome(o).End(w.Wire, deadline, status.Code(err) == codes.Unimplemented)
}

// abandon gives back a place that was not used for an attempt.
func (c *client) abandon(r *core.Replica) {
	c.shared.Abandon(r, c.now())
	c.offer()
}

// release gives back a place at the replica, and offers it to the calls that wait.
func (c *client) release(r *core.Replica) {
	c.shared.Release(r)
	c.offer()
}
