package replicas

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/metadata"
)

// Attempt is the context of one attempt: it carries the interceptor's choice to the picker, and
// back what became of the request. It is the one thing that a call without trouble allocates, hence
// its fields' order and size.
type Attempt struct {
	context.Context
	replica *Replica
	wait    *Wait // nil: for no dial where the last one has failed

	// Trailer is what the server sent behind its status. Valid as Sent is.
	Trailer metadata.MD

	err   error // of the request
	ended atomic.Bool

	// Sent and Answered are valid when the attempt has ended: whether any byte of the request may
	// have reached the wire, and whether any byte of a reply may have come back. A unary attempt
	// has ended when its invoker returns. For a stream see Ended.
	Sent, Answered bool

	begun       bool
	need        need
	stay        bool
	unprocessed bool
}

// need is what an attempt needs of the replica's state.
type need uint8

const (
	dialed  need = iota // a dial's end
	ready               // a connection
	missing             // a connection, and there was none
)

// attemptKey is the key of an Attempt in itself. Its address is, which compares faster than a
// value.
var attemptKey int

// ErrResolved is the error of an attempt at no replica: there is a View to choose from.
var ErrResolved error = &DownError{errors.New("the target is resolved")}

// NewAttempt returns the context of an attempt at the replica. An attempt at nil is never sent: it
// waits for the resolver and fails with the resolver's error, or ErrResolved.
func (s *Set) NewAttempt(ctx context.Context, r *Replica) *Attempt {
	if r == nil {
		r = s.nobody
	}
	return &Attempt{Context: ctx, replica: r}
}

// Wait says how an attempt waits for a connection.
type Wait struct {
	// Dial is the number of the dial whose end it waits for, as Wake returns it.
	Dial uint64
	// Better, unless nil, is asked whenever the state of a replica changes while the attempt waits:
	// whether it would better be made elsewhere. Then it is not made, as if a connection had been
	// required. It is called by the goroutine that makes the attempt.
	Better func() bool
}

// Await says how the attempt waits for its connection, where there is none.
func (a *Attempt) Await(w *Wait) { a.wait = w }

// dial is the number of the dial that the attempt waits for.
func (a *Attempt) dial() uint64 {
	if a.wait == nil {
		return 0
	}
	return a.wait.Dial
}

// RequireReady lets the attempt fail at once where the replica has no connection, instead of
// waiting for a dial.
func (a *Attempt) RequireReady() { a.need = ready }

// Stay lets gRPC repeat a request that the replica has refused unprocessed at the same replica,
// which it does once. Otherwise the attempt fails, as unsent, so that another replica is tried.
func (a *Attempt) Stay() { a.stay = true }

// refused reports whether gRPC is about to repeat a request that was sent. It does so only when the
// replica provably has not processed it: its connection was shut down by a GOAWAY that excludes the
// request, or the stream was reset with REFUSED_STREAM (RFC 9113, section 8.7).
func (a *Attempt) refused() bool { return a.begun && a.ended.Load() && a.Sent && !a.stay }

// Unprocessed reports whether the attempt has failed because the replica took the request and said
// that it has not processed it. Valid as Sent is.
func (a *Attempt) Unprocessed() bool { return a.unprocessed }

// Picked reports whether the request got as far as a connection. Valid as Sent is. One that did and
// was not Sent failed by our own doing, such as credentials that cannot be had: where the
// connection is to blame, gRPC picks again.
func (a *Attempt) Picked() bool { return a.begun }

// Missed reports whether the attempt has failed for want of a connection that it required. Valid as
// Sent is.
func (a *Attempt) Missed() bool { return a.need == missing }

// Ended reports whether the request has ended, or never began, so that Sent, Answered and Trailer
// may be read. gRPC ends a stream whose context is done in a goroutine of its own, perhaps after it
// has told the stream's user: one that has not Ended must pass for sent and answered.
func (a *Attempt) Ended() bool { return !a.begun || a.ended.Load() }

// Value gives the picker the attempt itself.
func (a *Attempt) Value(key any) any {
	if key == &attemptKey {
		return a
	}
	return a.Context.Value(key)
}

// picked is what holds until done says better, and there are ends of a request that gRPC does not
// report to it. gRPC picks again within an attempt only when the request provably was not
// processed, so the last pick is what counts.
func (a *Attempt) picked() {
	if a.ended.Load() {
		a.ended.Store(false)
	}
	a.begun, a.Sent, a.Answered = true, true, true
}

// unpicked is what holds while the request has no connection. An earlier pick's request has
// provably not been processed.
func (a *Attempt) unpicked() { a.begun, a.Sent, a.Answered, a.Trailer = false, false, false, nil }

// done takes the end of the request.
func (a *Attempt) done(info balancer.DoneInfo) {
	a.Sent, a.Answered, a.Trailer, a.err = info.BytesSent, info.BytesReceived, info.Trailer, info.Err
	a.ended.Store(true)
}

// notice is the function that gRPC calls at the end of a request. A fresh closure for each would be
// an allocation, so they are kept: gRPC calls one once, and with that gives it back.
type notice struct {
	attempt *Attempt
	call    func(balancer.DoneInfo)
}

var notices sync.Pool // of *notice

// onDone returns a function that tells the attempt its end. It must be called at most once.
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
