package replicas

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

// DownError is the error of a request whose replica has no connection or has refused it
// unprocessed, or for which the resolver has found no replica. The request counts as not sent.
type DownError struct{ cause error }

// newDownError returns the error for the failure of a dial or of the resolver. Its context must not
// be mistaken for the caller's, so errors.Is does not find a context error.
func newDownError(err error) *DownError {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		err = errors.New(err.Error())
	}
	return &DownError{err}
}

// Error returns the network error's text if there is one, without gRPC's wrapping.
func (e *DownError) Error() string {
	if op, ok := errors.AsType[*net.OpError](e.cause); ok {
		return op.Error()
	}
	return status.Convert(e.cause).Message()
}

// Unwrap returns the error of the dial or the resolver.
func (e *DownError) Unwrap() error { return e.cause }

// GRPCStatus makes gRPC return the error at once, even for calls that wait for ready: the
// interceptor decides when to try again.
func (e *DownError) GRPCStatus() *status.Status { return status.New(codes.Unavailable, e.Error()) }

var errUnprocessed = errors.New("the replica has not processed the request")

var errMissed error = &DownError{errors.New("the connection is lost")}

var errPlain error = status.Error(codes.Internal, "failover: the call has bypassed the failover interceptors")

// picker maps an attempt to the connection of its replica.
type picker struct {
	set  *Set
	view *View
}

func (p *picker) Pick(info balancer.PickInfo) (balancer.PickResult, error) {
	a, ok := info.Ctx.Value(&attemptKey).(*Attempt)
	if !ok || a.replica.set != p.set {
		return balancer.PickResult{}, errPlain
	}
	r := a.replica
	if r == p.set.noReplica {
		return balancer.PickResult{}, ErrResolved
	}
	if a.refused() {
		a.unpicked()
		a.unprocessed = true
		return balancer.PickResult{}, &DownError{cmp.Or(a.err, errUnprocessed)}
	}
	if r.state() == connectivity.Shutdown {
		// After idle mode, another value stands for the same replica.
		if successor := p.view.find(r.ID); successor != nil {
			r = successor
		}
	}
	res, err := r.pick(info, a)
	switch {
	case err == nil:
		a.picked()
		res.Done = a.onDone()
	case a.need == ready:
		a.unpicked()
		a.need = missing
		err = errMissed
	default:
		a.unpicked()
	}
	return res, err
}

// pick returns the replica's connection, ErrNoSubConnAvailable while the dial that the attempt
// waits for is under way, or a DownError.
func (r *Replica) pick(info balancer.PickInfo, a *Attempt) (balancer.PickResult, error) {
	s := r.reported.Load()
	switch s.ConnectivityState {
	case connectivity.Ready:
		return s.Picker.Pick(info)
	case connectivity.Shutdown:
		return balancer.PickResult{}, &DownError{fmt.Errorf("replica %s is gone from the target", r.Addr)}
	}
	// A picker may be replaced before an attempt has seen it. The number of the failed dial shows
	// that the awaited dial has ended, even if others have followed.
	if f := r.failure.Load(); f != nil && f.dial >= a.dial() {
		return balancer.PickResult{}, f.err
	}
	if a.wait != nil && a.wait.Better != nil && a.wait.Better() {
		a.need = missing
		return balancer.PickResult{}, errMissed
	}
	return balancer.PickResult{}, balancer.ErrNoSubConnAvailable
}
