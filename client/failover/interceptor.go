package failover

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// client is one connection's policy and replicas.
type client struct {
	policy        Policy
	replicas      *replicas.Set
	serviceConfig grpc.DialOption
	calls         atomic.Uint64 // for RoundRobin
}

// request is what gRPC hands to a unary interceptor.
type request struct {
	method  string
	req     any
	reply   any
	cc      *grpc.ClientConn
	invoker grpc.UnaryInvoker
	opts    []grpc.CallOption
}

// unary carries one call through the replicas.
func (c *client) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	var start uint64
	if c.policy.Order == RoundRobin {
		start = c.calls.Add(1) - 1
	}
	var attempts []Attempt
	trace := traceOf(opts)
	call := newCall(&c.policy, start)
	err := c.run(ctx, &call, request{method, req, reply, cc, invoker, opts}, trace != nil, &attempts)
	if trace != nil {
		*trace = attempts
	}
	if err != nil {
		return &Error{Method: method, Rounds: call.round, Attempts: attempts, cause: err}
	}
	return nil
}

func traceOf(opts []grpc.CallOption) *[]Attempt {
	for _, o := range opts {
		if o, ok := o.(traceOption); ok {
			return o.attempts
		}
	}
	return nil
}

// run asks the call's core what to do, and does it. It returns nil after a success, and otherwise what ended the call.
// Failed attempts are noted for the error; a success only for a trace.
func (c *client) run(ctx context.Context, call *call, r request, traced bool, attempts *[]Attempt) error {
	var last error
	for {
		if ended(ctx) != nil {
			return callerError(ctx)
		}
		view, err := c.view(ctx, r)
		if err != nil {
			return err
		}
		c.replicas.Want()
		var buf [8]candidate
		switch d := call.next(candidates(buf[:0], view)); d.action {
		case giveUp:
			if last == nil {
				return noReplicas(view.Err)
			}
			return last
		case pause:
			if err := sleep(ctx, d.wait); err != nil {
				return err
			}
		case try:
			a := c.attempt(ctx, view.Replicas[d.index], r, len(*attempts) > 0)
			a.Round = call.round
			if a.Outcome == OK && !traced {
				return nil
			}
			*attempts = append(*attempts, a)
			if a.Outcome == OK {
				return nil
			}
			call.ended(a.Outcome)
			last = a.Err
		}
	}
}

// view returns the replicas as the resolver found them, and waits for the resolver where it has not spoken yet.
func (c *client) view(ctx context.Context, r request) (*replicas.View, error) {
	for {
		changed := c.replicas.Changed()
		if v := c.replicas.View(); v != nil {
			return v, nil
		}
		if awaitResolver(ctx, r.cc, changed) {
			continue
		}
		if ended(ctx) != nil {
			return nil, callerError(ctx)
		}
		// The resolver failed, or the connection is closed. Only a request is told why.
		err := r.invoker(replicas.NewAttempt(ctx, nil), r.method, r.req, r.reply, r.cc, r.opts...)
		switch {
		case errors.Is(err, replicas.ErrResolved):
		case status.Code(err) == codes.Unavailable:
			return nil, noReplicas(errors.New(status.Convert(err).Message()))
		default:
			return nil, err
		}
	}
}

// awaitResolver brings an idle connection to life and reports whether changed was closed. It gives up when the
// context ends, the connection is closed, or the resolver fails.
func awaitResolver(ctx context.Context, cc *grpc.ClientConn, changed <-chan struct{}) bool {
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan struct{})
	cc.Connect()
	go func() {
		defer close(failed)
		for s := cc.GetState(); s != connectivity.Shutdown && s != connectivity.TransientFailure; s = cc.GetState() {
			if !cc.WaitForStateChange(watch, s) {
				return
			}
		}
	}()
	select {
	case <-changed:
		return true
	case <-failed:
		return false
	}
}

func noReplicas(why error) error {
	return &statusError{codes.Unavailable, fmt.Errorf("%w: %w", ErrNoReplicas, why)}
}

func candidates(to []candidate, v *replicas.View) []candidate {
	for _, r := range v.Replicas {
		to = append(to, candidate{id: r.ID, ready: r.Ready()})
	}
	return to
}

// attempt tries the call at one replica, under a deadline of its own.
func (c *client) attempt(ctx context.Context, replica *replicas.Replica, r request, again bool) Attempt {
	if again {
		resetOutputs(r.reply, r.opts)
	}
	if !replica.Ready() {
		replica.Wake()
	}
	start := time.Now()
	actx, cancel := ctx, context.CancelFunc(func() {})
	if c.policy.Timeout > 0 {
		actx, cancel = context.WithTimeout(ctx, c.policy.Timeout)
	}
	on := replicas.NewAttempt(actx, replica)
	err := r.invoker(on, r.method, r.req, r.reply, r.cc, r.opts...)
	o := c.outcome(ctx, actx, on, err)
	cancel()
	return Attempt{Replica: replica.Addr, Start: start, Duration: time.Since(start), Outcome: o, Sent: on.Sent, Err: err}
}

// outcome tells how an attempt ended. The error's text is never looked at: whose deadline passed the two contexts know,
// and what happened on the wire the attempt.
func (c *client) outcome(caller, attempt context.Context, on *replicas.Attempt, err error) Outcome {
	code := status.Code(err)
	switch {
	case err == nil:
		return OK
	case ended(caller) != nil && (code == codes.Canceled || code == codes.DeadlineExceeded):
		return Canceled
	case ended(attempt) != nil && code == codes.DeadlineExceeded:
		return Timeout
	case !c.policy.retryable(code):
		return Rejected
	case !on.Sent:
		return Refused
	case on.Answered:
		return Failed
	default:
		return Lost
	}
}

// ended returns why the context has ended, or nil. A replica that enforces a deadline may answer a moment before the
// context's own timer fires, so the deadline itself counts.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d, ok := ctx.Deadline(); ok && !time.Now().Before(d) {
		return context.DeadlineExceeded
	}
	return nil
}

// resetOutputs clears what an earlier attempt has left where the caller will look: gRPC leaves a header, trailer or
// peer as it was when a later attempt gets no stream, and a reply that came before an error stays filled.
func resetOutputs(reply any, opts []grpc.CallOption) {
	if m, ok := reply.(proto.Message); ok {
		proto.Reset(m)
	}
	for _, o := range opts {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = nil
		case grpc.TrailerCallOption:
			*o.TrailerAddr = nil
		case grpc.PeerCallOption:
			o.PeerAddr.Addr, o.PeerAddr.LocalAddr, o.PeerAddr.AuthInfo = nil, nil, nil
		}
	}
}

// sleep returns after d, or with the caller's error when the caller's context ends first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return callerError(ctx)
	}
}

// callerError returns the error of a call that its caller's context has ended.
func callerError(ctx context.Context) error {
	err := ended(ctx)
	return &statusError{status.FromContextError(err).Code(), err}
}
