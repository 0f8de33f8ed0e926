package replicas

import (
	"context"
	"errors"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/balancer"
)

// Attempt is the context of one attempt: it carries the interceptor's choice to the picker, and back what became of
// the request. It is the one thing that a call without trouble allocates, hence its fields' order and size.
type Attempt struct {
	context.Context
	set     *Set
	replica *Replica

	// Pushback is the wait that the server asks for before a repetition, zero for none; negative if it asks for no
	// repetition at all (gRFC A6). Valid as Sent is.
	Pushback time.Duration

	ended atomic.Bool

	// Sent and Answered are valid when the attempt has ended: whether any byte of the request may have reached the
	// wire, and whether any byte of a reply may have come back. A unary attempt has ended when its invoker returns. For
	// a stream see Ended.
	Sent, Answered bool

	begun bool
	need  need
}

// need is what an attempt needs of the replica's state.
type need uint8

const (
	dialed  need = iota // a dial's end
	ready               // a connection
	missing             // a connection, and there was none
)

// attemptKey is the key of an Attempt in itself. Its address is, which compares faster than a value.
var attemptKey int

// ErrResolved is the error of an attempt at no replica: there is a View to choose from.
var ErrResolved error = &DownError{errors.New("the target is resolved")}

// NewAttempt returns the context of an attempt at the replica. An attempt at nil is never sent: it waits for the
// resolver and fails with the resolver's error, or ErrResolved.
func (s *Set) NewAttempt(ctx context.Context, r *Replica) *Attempt {
	return &Attempt{Context: ctx, set: s, replica: r}
}

// RequireReady lets the attempt fail at once where the replica has no connection, instead of waiting for a dial.
func (a *Attempt) RequireReady() { a.need = ready }

// Missed reports whether the attempt has failed for want of a connection that it required. Valid as Sent is.
func (a *Attempt) Missed() bool { return a.need == missing }

// Ended reports whether the request has ended, or never began, so that Sent, Answered and Pushback may be read. gRPC ends
// a stream whose context is done in a goroutine of its own, perhaps after it has told the stream's user: one that has
// not Ended must pass for sent and answered.
func (a *Attempt) Ended() bool { return !a.begun || a.ended.Load() }

// Value gives the picker the attempt itself.
func (a *Attempt) Value(key any) any {
	if key == &attemptKey {
		return a
	}
	return a.Context.Value(key)
}

// picked is what holds until done says better, and there are ends of a request that gRPC does not report to it. gRPC
// picks again within an attempt only when the request provably was not processed, so the last pick is what counts.
func (a *Attempt) picked() {
	if a.ended.Load() {
		a.ended.Store(false)
	}
	a.begun, a.Sent, a.Answered = true, true, true
}

// done takes the end of the request.
func (a *Attempt) done(info balancer.DoneInfo) {
	a.Sent, a.Answered = info.BytesSent, info.BytesReceived
	// Whatever info.Err says, which is nil for a stream that the server ended while the request was being sent.
	a.Pushback = pushback(info.Trailer["grpc-retry-pushback-ms"])
	a.ended.Store(true)
}

// pushback reads a trailer as gRFC A6 has it, and as gRPC's own retries do: whatever is not one number, 0 or above, asks
// for no repetition.
func pushback(values []string) time.Duration {
	if len(values) == 0 {
		return 0
	}
	ms, err := strconv.ParseInt(values[0], 10, 64)
	if err != nil || ms < 0 || len(values) > 1 {
		return -1
	}
	return time.Duration(min(ms, math.MaxInt64/int64(time.Millisecond))) * time.Millisecond
}

// notice is the function that gRPC calls at the end of a request. A fresh closure for each would be an allocation, so
// they are kept: gRPC calls one once, and with that gives it back.
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
