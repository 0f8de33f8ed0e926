package failover

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync/atomic"
	"time"

	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/peer"
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
	own := ownOptions(opts)
	call := newCall(&c.policy, start)
	err := c.run(ctx, &call, request{method, req, reply, cc, invoker, own.rest}, len(own.traces) > 0, &attempts)
	for _, trace := range own.traces {
		*trace = slices.Clone(attempts)
	}
	if err != nil {
		err = &Error{Method: method, Attempts: attempts, cause: err}
	}
	for _, finish := range own.finishes {
		finish(err)
	}
	return err
}

// options are the call options that concern the call as a whole, and the rest, which each attempt gets.
type options struct {
	traces   []*[]Attempt
	finishes []func(error)
	rest     []grpc.CallOption
}

func ownOptions(opts []grpc.CallOption) options {
	own := options{rest: opts}
	for _, o := range opts {
		switch o := o.(type) {
		case traceOption:
			own.traces = append(own.traces, o.attempts)
		case grpc.OnFinishCallOption:
			own.finishes = append(own.finishes, o.OnFinish)
		}
	}
	if len(own.finishes) > 0 {
		own.rest = slices.DeleteFunc(slices.Clone(opts), func(o grpc.CallOption) bool {
			_, finish := o.(grpc.OnFinishCallOption)
			return finish
		})
	}
	return own
}

// run asks the call's core what to do, and does it. It returns nil after a success, and otherwise what ended the call.
// Failed attempts are noted for the error; a success only for a trace.
func (c *client) run(ctx context.Context, call *call, r request, traced bool, attempts *[]Attempt) error {
	var last error
	for {
		view, err := c.view(ctx, r)
		if err != nil {
			return err
		}
		c.replicas.Want()
		var buf [8]candidate
		d := call.next(candidates(buf[:0], view))
		switch {
		case d.action == giveUp && last != nil:
			return last
		case d.action == giveUp:
			return noReplicas(view.Err)
		case ended(ctx) != nil:
			return callerError(ctx)
		case d.action == pause:
			if err := c.pause(ctx, r.cc, d.wait); err != nil {
				return err
			}
		case d.action == try:
			a := c.attempt(ctx, view.Replicas[d.index], r, len(*attempts) > 0)
			a.Round = call.round
			if a.Outcome == OK && !traced {
				return nil
			}
			*attempts = append(*attempts, a)
			if a.Outcome == OK {
				return nil
			}
			call.note(a.Outcome)
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
		if !c.replicas.Claimed() {
			return nil, status.Error(codes.FailedPrecondition, "failover: another service config has replaced the failover policy: "+
				"give it in Policy.ServiceConfig")
		}
		if awaitResolver(ctx, r.cc, changed) {
			continue
		}
		if ended(ctx) != nil {
			return nil, callerError(ctx)
		}
		// The resolver failed, or the connection is closed. Only a request is told why.
		err := r.invoker(c.replicas.NewAttempt(ctx, nil), r.method, r.req, r.reply, r.cc, r.opts...)
		switch {
		case errors.Is(err, replicas.ErrResolved):
		case status.Code(err) == codes.Unavailable:
			return nil, noReplicas(errors.New(status.Convert(err).Message()))
		default:
			return nil, err
		}
	}
}

// awaitResolver brings an idle connection to life, again where it idles meanwhile, as a call that waits here is none to
// gRPC yet. It reports whether changed was closed, and gives up when the context ends, the connection is closed, or the
// resolver fails.
func awaitResolver(ctx context.Context, cc *grpc.ClientConn, changed <-chan struct{}) bool {
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan struct{})
	go func() {
		defer close(failed)
		for s := cc.GetState(); s != connectivity.Shutdown && s != connectivity.TransientFailure; s = cc.GetState() {
			if s == connectivity.Idle {
				cc.Connect()
			}
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
	on := c.replicas.NewAttempt(actx, replica)
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
	case code == codes.DeadlineExceeded && (ended(attempt) != nil || !on.Answered):
		return Timeout // not answered: a timeout that the service config gives the method
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

// pause returns after d, with the caller's error when the caller's context ends first, or when the connection is closed.
func (c *client) pause(ctx context.Context, cc *grpc.ClientConn, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		changed := c.replicas.Changed() // as when the connection is closed
		if cc.GetState() == connectivity.Shutdown {
			return status.Error(codes.Canceled, "the connection is closing")
		}
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return callerError(ctx)
		case <-changed:
		}
	}
}

// callerError returns the error of a call that its caller's context has ended.
func callerError(ctx context.Context) error {
	err := ended(ctx)
	return &statusError{status.FromContextError(err).Code(), err}
}
