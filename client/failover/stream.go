package failover

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// streaming is the interceptor of streams. The call fails over until it is committed to a replica:
// when the caller has received a first message or a header, or has sent more than is kept for a
// repetition.
func (c *client) streaming(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s := &stream{desc: desc, streamer: streamer}
	s.call.plan = c.plan(ctx, request{method: method, cc: cc, invoker: s.invoke, opts: opts})
	if s.call.settings != nil {
		s.finishes, s.call.settings.finishes = s.call.settings.finishes, nil
	}
	err := s.guarded(func() error {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.unwatch = context.AfterFunc(ctx, s.contextEnded)
		if desc.ClientStreams {
			return s.open()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// stream is the caller's stream. Beneath it is the stream of one replica after another. For all
// that is counted, an attempt ends with its first message; later messages pass straight through.
type stream struct {
	desc     *grpc.StreamDesc
	streamer grpc.Streamer
	finishes []func(error)
	unwatch  func() bool // stops watching the caller's context

	current   atomic.Pointer[streamAttempt]
	committed atomic.Bool // the stream stays with the current attempt
	seen      atomic.Bool // the caller has seen the current attempt's header

	mu            sync.Mutex // guards what follows; held while the call opens its next attempt
	call          call
	placed        *streamAttempt // the attempt that has a place at its replica, or nil
	sent          []any          // the caller's messages so far, for the next attempt; nil once committed
	size          int            // of sent, as messageSize counts it
	closed        bool           // the caller has called CloseSend
	over          bool           // the stream has ended
	err           error          // the error it ended with
	pendingReport *settings      // to be reported when the caller returns to the stream
}

// streamAttempt is the stream of one replica.
type streamAttempt struct {
	grpc.ClientStream
	lease  lease
	on     *replicas.Attempt
	cancel context.CancelFunc

	timer   *time.Timer // the deadline of the first message or, if the caller streams, of opening; nil: none
	decided atomic.Bool // the timer has fired, or what it waits for has arrived

	receive sync.Mutex // held by the goroutine that receives; taken before the stream's mu
}

// inTime reports whether the attempt has met its deadline, now that a first message or an error has
// arrived.
func (a *streamAttempt) inTime() bool { return a.timer == nil || !a.decided.Swap(true) }

// errLate is the error of an attempt that missed its deadline.
var errLate = status.Error(codes.DeadlineExceeded, "failover: no message within the attempt's timeout")

// open makes attempts until one has been sent. It returns an error if the call has ended instead.
// mu must be held.
func (s *stream) open() error {
	for {
		l, failure := s.call.lease()
		if failure != nil {
			return s.finish(s.call.end(failure))
		}
		if s.attempt(&l) {
			return nil
		}
	}
}

// attempt opens a stream at one replica and repeats what the caller has sent. It reports whether
// that succeeded.
func (s *stream) attempt(l *lease) bool {
	if l.number > 1 {
		resetOutputs(nil, s.call.request.opts)
	}
	ctx, cancel := context.WithCancel(s.call.ctx)
	a := &streamAttempt{lease: *l, cancel: cancel}
	l = &a.lease
	s.placed = a
	s.call.start(l)
	if d := l.decision.Timeout; d > 0 {
		a.timer = time.AfterFunc(d, func() {
			if !a.decided.Swap(true) {
				cancel()
			}
		})
	}
	a.on = s.call.on(ctx, l)
	if err := s.begin(a); err != nil {
		s.fail(a, err)
		return false
	}
	s.current.Store(a)
	return true
}

// begin opens the attempt's stream and repeats what the caller has sent. If the stream ends
// meanwhile, begin returns nil and RecvMsg returns the reason.
func (s *stream) begin(a *streamAttempt) error {
	cs, err := s.streamer(a.on, s.desc, s.call.request.cc, s.call.request.method, s.call.request.opts...)
	if err != nil {
		return err
	}
	a.ClientStream = cs
	if s.desc.ClientStreams {
		if !a.inTime() {
			return errLate
		}
		a.timer = nil // when the first message comes depends on the caller
	}
	for _, m := range s.sent {
		if err := cs.SendMsg(m); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
	if s.closed {
		return cs.CloseSend()
	}
	return nil
}

// fail records an attempt whose first message did not arrive, or arrived too late. mu must be held.
func (s *stream) fail(a *streamAttempt, err error) {
	w := answeredWire
	if a.ClientStream == nil || a.on.Ended() {
		w = wireOf(a.on)
	}
	var last any // the message that a client-side error is about
	if n := len(s.sent); n > 0 {
		last = s.sent[n-1]
	}
	o := s.call.outcome(s.call.ctx, a.on, last, w, err)
	if !a.inTime() && o != OutcomeCanceled {
		o, err = OutcomeTimeout, errLate
	}
	a.end()
	if a.on.Missed() {
		s.miss(a)
		return
	}
	s.note(a, o, w, err)
}

// note records how an attempt ended. mu must be held.
func (s *stream) note(a *streamAttempt, o Outcome, w wire, err error) {
	s.placed = nil
	s.call.note(&a.lease, s.call.finish(&a.lease, o, w, err))
}

// miss takes back an attempt that was not made. mu must be held.
func (s *stream) miss(a *streamAttempt) {
	s.placed = nil
	s.call.note(&a.lease, s.call.missed(&a.lease))
}

// end releases the resources of an attempt.
func (a *streamAttempt) end() {
	a.cancel()
	if a.timer != nil {
		a.timer.Stop()
	}
}

// commit ties the stream to the current attempt. answered says whether the replica has answered;
// otherwise the caller has sent more than is kept, which says nothing about the replica. mu must be
// held.
func (s *stream) commit(a *streamAttempt, answered bool) {
	s.committed.Store(true)
	s.sent = nil
	if a.timer != nil {
		a.timer.Stop()
	}
	s.note(a, OutcomeOK, wire{Wire: core.Wire{Picked: true, Sent: true, Answered: answered}}, nil)
	s.call.end(nil)
}

// finish records the end of the stream, and returns the error it ended with. mu must be held.
func (s *stream) finish(err error) error {
	if s.over {
		return s.err
	}
	s.over, s.err = true, err
	s.unwatch()
	if a := s.current.Load(); a != nil {
		a.end()
	}
	for _, finish := range s.finishes {
		if err == io.EOF {
			finish(nil)
		} else {
			finish(err)
		}
	}
	return err
}

// errPanicked is the error of a stream in which the user's code has panicked.
var errPanicked = status.Error(codes.Internal, "failover: the stream ended with a panic")

// guarded calls f. If the user's code panics in it, such as a codec or OnAttempt, the stream ends
// and gives back its place at the replica. mu must not be held.
func (s *stream) guarded(f func() error) error {
	returned := false
	defer func() {
		if !returned {
			s.abort()
		}
	}()
	err := f()
	returned = true
	return err
}

// abort ends the stream after a panic.
func (s *stream) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.placed; a != nil {
		a.end()
		s.miss(a)
	}
	s.finish(errPanicked)
}

// contextEnded ends the stream when the caller's context ends, after which the caller need not
// receive.
func (s *stream) contextEnded() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	err := callerError(s.call.ctx)
	if !s.committed.Load() {
		if a := s.placed; a != nil {
			a.end()
			// The state of the request is not read: the caller's goroutine may still be using it.
			s.note(a, OutcomeCanceled, answeredWire, err)
		}
		s.pendingReport, s.call.settings = s.call.settings, nil
		err = s.call.end(&failure{ReasonCallerEnded, err})
	}
	s.finish(err)
}

// ended returns the error of a stream that is over. If the caller's context ended the stream, this
// is where traces are filled: they belong to the caller, and no other goroutine may write them. mu
// must be held.
func (s *stream) ended() error {
	if s.pendingReport != nil {
		s.pendingReport.report(s.call.attempts, s.err)
		s.pendingReport = nil
	}
	return s.err
}
