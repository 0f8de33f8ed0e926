package replicas

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/metadata"
)

// Attempt is the context of one attempt. It carries the interceptor's choice to the picker, and the
// fate of the request back. It is the only allocation of a call whose first attempt succeeds, hence
// the order and size of its fields.
type Attempt struct {
	context.Context
	replica *Replica
	wait    *Wait // nil: do not wait for another dial if the last one has failed

	// Trailer is the trailer that the server sent. It is valid when Sent is.
	Trailer metadata.MD

	err   error // of the request
	ended atomic.Bool

	// Sent reports whether any byte of the request may have reached the wire, Answered whether any
	// byte of a reply may have come back. They are valid when the attempt has ended: for a unary
	// attempt when its invoker returns; for a stream, see Ended.
	Sent, Answered bool

	begun       bool
	need        need
	stay        bool
	unprocessed bool
}

// need is which state of the replica an attempt needs.
type need uint8

const (
	dialed  need = iota // the end of a dial
	ready               // a connection
	missing             // a connection, but there was none
)

// The address of attemptKey is the context key of an Attempt. Comparing addresses is faster than
// comparing values.
var attemptKey int

// ErrResolved is the error of an attempt at no replica when there is a View to choose from.
var ErrResolved error = &DownError{errors.New("the target is resolved")}

// NewAttempt returns the context of an attempt at the replica. An attempt at nil is never sent: it
// waits for the resolver, and fails with the resolver's error or ErrResolved.
func (s *Set) NewAttempt(ctx context.Context, r *Replica) *Attempt {
	if r == nil {
		r = s.noReplica
	}
	return &Attempt{Context: ctx, replica: r}
}

// Wait says how an attempt waits for a connection.
type Wait struct {
	// Dial is the number of the dial whose end it waits for, as Wake returns it.
	Dial uint64
	// Better, unless nil, is called whenever the state of a replica changes while the attempt
	// waits. It reports whether the attempt should be made at another replica; if so, this one is
	// Missed. It is called by the goroutine that makes the attempt.
	Better func() bool
}

// Await sets how the attempt waits if the replica has no connection.
func (a *Attempt) Await(w *Wait) { a.wait = w }

// dial returns the number of the dial that the attempt waits for.
func (a *Attempt) dial() uint64 {
	if a.wait == nil {
		return 0
	}
	return a.wait.Dial
}

// RequireReady makes the attempt fail at once if the replica has no connection, instead of waiting
// for a dial.
func (a *Attempt) RequireReady() { a.need = ready }

// Stay lets gRPC repeat, once and at the same replica, a request that the replica has refused
// unprocessed. Without Stay the attempt fails as not sent, so that another replica is tried.
func (a *Attempt) Stay() { a.stay = true }

// refused reports whether gRPC is about to repeat a request that was sent and must not. gRPC
// repeats a request only if the replica provably has not processed it: a GOAWAY excluded it, or the
// stream was reset with REFUSED_STREAM (RFC 9113, section 8.7).
func (a *Attempt) refused() bool { return a.begun && a.ended.Load() && a.Sent && !a.stay }

// Unprocessed reports whether the attempt failed because the replica refused the request
// unprocessed. It is valid when Sent is.
func (a *Attempt) Unprocessed() bool { return a.unprocessed }

// Picked reports whether the request was given a connection. It is valid when Sent is. A request
// that was picked but not sent failed on the client side, for instance for want of credentials; if
// the connection is to blame, gRPC picks again.
func (a *Attempt) Picked() bool { return a.begun }

// Missed reports whether the attempt failed because it required a connection and there was none. It
// is valid when Sent is.
func (a *Attempt) Missed() bool { return a.need == missing }

// Ended reports whether the request has ended, or never began, so that Sent, Answered and Trailer
// may be read. When the context of a stream is done, gRPC ends the stream in another goroutine,
// perhaps after the stream's user has seen the error. A stream that has not Ended must be treated
// as sent and answered.
func (a *Attempt) Ended() bool { return !a.begun || a.ended.Load() }

// Value returns the attempt itself for attemptKey.
func (a *Attempt) Value(key any) any {
	if key == &attemptKey {
		return a
	}
	return a.Context.Value(key)
}

// picked sets the cautious values that hold until done, which gRPC does not call for every request.
// gRPC picks again within an attempt only if the request provably was not processed, so only the
// last pick counts.
func (a *Attempt) picked() {
	if a.ended.Load() {
		a.ended.Store(false)
	}
	a.begun, a.Sent, a.Answered = true, true, true
}

// unpicked sets the values of a request without a connection. A request that was picked before has
// provably not been processed.
func (a *Attempt) unpicked() { a.begun, a.Sent, a.Answered, a.Trailer = false, false, false, nil }

// done records the end of the request.
func (a *Attempt) done(info balancer.DoneInfo) {
	a.Sent, a.Answered, a.Trailer, a.err = info.BytesSent, info.BytesReceived, info.Trailer, info.Err
	a.ended.Store(true)
}

// notice holds the function that gRPC calls at the end of a request. Notices are pooled to avoid
// allocating a closure for each request; gRPC calls the function once, which returns the notice to
// the pool.
type notice struct {
	attempt *Attempt
	call    func(balancer.DoneInfo)
}

var notices sync.Pool // of *notice

// onDone returns a function that calls done. It must be called at most once.
func (a *Attempt) onDone() func(balancer.DoneInfo) {
	n, ok := notices.Get().(*notice)
	if !ok {
		n = new(notice)
		n.call = n.done
	}
	n.attempt = a
	return n.call
}

func (n *notice) done(info balancer.DoneInfo) {
	a := n.attempt
	n.attempt = nil
	notices.Put(n)
	a.done(info)
}
