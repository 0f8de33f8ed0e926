package failover

import (
	"context"
	"reflect"
	"strconv"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// attempt makes one attempt of a unary call and takes note of its end. The parent is the caller's context, or one that
// ends also when the attempt is no longer wanted.
func (c *call) attempt(parent context.Context, l *lease) Outcome {
	if len(c.attempts) > 0 {
		resetOutputs(c.request.reply, c.request.opts)
	}
	c.start(l)
	ctx, cancel := parent, context.CancelFunc(nil)
	if l.decision.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, l.decision.Timeout)
	}
	on := c.on(ctx, l)
	err := c.request.invoker(on, c.request.method, c.request.req, c.request.reply, c.request.cc, c.request.opts...)
	o, w := OK, wire{sent: true, answered: true}
	if err != nil {
		w = wireOf(on)
		o = c.outcome(parent, ctx, w, err)
	}
	if cancel != nil {
		cancel()
	}
	if on.Missed() {
		c.missed(l)
	} else {
		c.finish(l, o, w, err)
	}
	return o
}

// on returns the context of an attempt. Who waits for a connection, or has another attempt on its way, has no use for a
// dial that may fail.
func (c *call) on(ctx context.Context, l *lease) *replicas.Attempt {
	on := c.replicas.NewAttempt(c.announce(ctx), l.replica)
	if c.rules.Wait || l.hedge {
		on.RequireReady()
	}
	return on
}

// missed takes back an attempt whose replica had lost its connection a moment before, as in a crash: the call has not had
// its turn there, and has not spent what it paid.
func (c *call) missed(l *lease) {
	c.core.Untry(l.key)
	c.paid = c.last != nil
	c.abandon(l.backend)
}

// wire is what is known of an attempt that failed from below.
type wire struct {
	sent, answered bool
	pushback       time.Duration // zero: none; negative: no repetition
}

func wireOf(on *replicas.Attempt) wire { return wire{on.Sent, on.Answered, on.Pushback} }

// start takes note that the attempt begins.
func (c *call) start(l *lease) {
	l.start = c.now()
	ready := l.replica.Ready()
	if !ready {
		l.replica.Wake()
	}
	if l.conn = l.connection(); !ready {
		l.conn.epoch++
	}
}

// previousAttempts is the header that tells a replica how many attempts of the call went before, as of gRFC A6.
const previousAttempts = "grpc-previous-rpc-attempts"

// announce returns the context of an attempt that follows others.
func (c *call) announce(ctx context.Context) context.Context {
	if n := c.before + len(c.attempts); n > 0 {
		return metadata.AppendToOutgoingContext(ctx, previousAttempts, strconv.Itoa(n))
	}
	return ctx
}

// finish gives the replica's place back and takes note of how the attempt ended, for the call, the replica and whoever
// wants to know.
func (c *call) finish(l *lease, o Outcome, w wire, err error) {
	c.settle(l, o, w)
	if o == OK && !c.traced() {
		return
	}
	a := Attempt{
		Replica: l.addr, Number: c.before + len(c.attempts) + 1, Round: l.decision.Round, Hedge: l.hedge,
		Start: c.born.Add(l.start), Duration: c.now() - l.start, Outcome: o, Sent: w.sent, Err: err,
	}
	if o != OK {
		c.last, c.canceled = err, o == Canceled
		c.know()
		c.core.Note(core.Result{Final: o == Rejected, Sent: w.sent, Pushback: w.pushback})
	}
	c.attempts = append(c.attempts, a)
	if c.policy.OnAttempt != nil {
		c.policy.OnAttempt(c.ctx, c.request.method, a)
	}
}

// settle takes note of what an attempt says of its replica.
func (c *call) settle(l *lease, o Outcome, w wire) {
	c.backends.count(l.backend, o)
	switch {
	case (o == OK || o == Rejected) && w.answered:
		c.thrives(l, o)
	case o == Failed:
		c.fails(l, false)
	case o == Timeout:
		c.fails(l, true)
		c.learn(l) // it would have taken longer
	default:
		if o == Lost {
			c.loses(l)
		}
		if l.ejected.Load() {
			l.undecided(l.start)
		}
	}
	c.release(l.backend)
}

// thrives takes note that a replica has answered.
func (c *call) thrives(l *lease, o Outcome) {
	if l.suspect.Load() {
		c.forgive(l)
	}
	if c.policy.AdaptiveLimit {
		c.hazard.Survived()
	}
	if o != OK {
		return
	}
	c.learn(l)
	if c.policy.Order == Sticky && c.client.last.Load() != l.key {
		c.client.last.Store(l.key)
	}
}

// loses takes note that the connection to a replica broke.
func (c *call) loses(l *lease) {
	l.loss.Store(&loss{l.conn, time.Now()})
	if c.policy.AdaptiveLimit && l.crashed(l.conn) {
		c.hazard.Crashed()
	}
}

// learn takes note of how long the attempt took, where what attempts of the method take bears on a decision: on the share
// of the time that each replica gets, or on when to hedge.
func (c *call) learn(l *lease) {
	if c.known != nil && c.rules.Idempotent {
		c.known.latency.Add(c.now() - l.start)
	}
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
	if c.queue.crowded() {
		c.dispatch()
	}
}

// crashed reports whether the loss of the connection is news: all attempts in flight were lost with it, and it counts once.
func (b *backend) crashed(conn connection) bool {
	last := b.crash.Load()
	if last != nil && last.replica == conn.replica && last.epoch >= conn.epoch {
		return false
	}
	return b.crash.CompareAndSwap(last, &conn)
}

// outcome tells how an attempt that failed ended. The error's text is never looked at: whose deadline passed the two
// contexts know, and what happened on the wire the attempt.
func (c *call) outcome(parent, attempt context.Context, w wire, err error) Outcome {
	code := status.Code(err)
	switch {
	case ended(parent) != nil && (code == codes.Canceled || code == codes.DeadlineExceeded):
		return Canceled
	case code == codes.DeadlineExceeded && (ended(attempt) != nil || !w.answered):
		return Timeout // not answered: a timeout that the service config gives the method
	case !c.policy.retryable(code):
		return Rejected
	case !w.sent:
		return Refused
	case w.answered:
		return Failed
	default:
		return Lost
	}
}

// resetOutputs clears what an earlier attempt has left where the caller will look: gRPC leaves a header, trailer or
// peer as it was when a later attempt gets no stream, and a reply that came before an error stays filled.
func resetOutputs(reply any, opts []grpc.CallOption) {
	if m, ok := reply.(proto.Message); ok {
		proto.Reset(m)
	} else if v := reflect.ValueOf(reply); v.Kind() == reflect.Pointer && !v.IsNil() {
		v.Elem().SetZero() // a reply of another codec, such as JSON
	}
	for _, o := range opts {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = nil
		case grpc.TrailerCallOption:
			*o.TrailerAddr = nil
		case grpc.PeerCallOption:
			*o.PeerAddr = peer.Peer{}
		}
	}
}
