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

// streaming carries a stream through the replicas. The call goes on to the next replica until it is
// committed: by a first message or a header that the caller has received or, where the caller
// streams, when what it has sent is more than is kept.
func (c *client) streaming(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	s := &stream{desc: desc, streamer: streamer}
	s.call.plan = c.plan(ctx, request{method: method, cc: cc, invoker: s.invoke, opts: opts})
	if s.call.settings != nil {
		s.finishes, s.call.settings.finishes = s.call.settings.finishes, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unwatch = context.AfterFunc(ctx, s.abandoned)
	if desc.ClientStreams {
		if err := s.open(); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// stream is a stream of the caller's, over one after the other of the replicas' streams. An attempt
// ends, in all that is counted, with its first message; what comes after that the caller and the
// replica have among themselves.
type stream struct {
	desc     *grpc.StreamDesc
	streamer grpc.Streamer
	finishes []func(error)
	unwatch  func() bool // no longer calls abandoned

	current   atomic.Pointer[streamAttempt]
	committed atomic.Bool // the stream is the current attempt's for good
	seen      atomic.Bool // the caller has seen the current attempt's header

	mu     sync.Mutex // guards what follows; held while the call opens its next attempt
	call   call
	sent   []any     // the caller's messages so far, for the next attempt; none once committed
	size   int       // of them, in bytes
	closed bool      // the caller has sent all
	over   bool      // the stream has ended
	err    error     // with this
	untold *settings // what asks for a report and has none yet, as the caller has left
}

// streamAttempt is the stream of one replica.
type streamAttempt struct {
	grpc.ClientStream
	lease  lease
	on     *replicas.Attempt
	cancel context.CancelFunc

	timer   *time.Timer // nil: no deadline for the first message, or, where the caller streams, for the opening
	decided atomic.Bool // whether it came in time

	receive sync.Mutex // held by the goroutine that receives; taken before the stream's mu
}

// inTime reports whether what has come now, a first message or an error, came before the deadline
// for it.
func (a *streamAttempt) inTime() bool { return a.timer == nil || !a.decided.Swap(true) }

// errLate is the error of an attempt whose deadline has passed.
var errLate = status.Error(codes.DeadlineExceeded, "failover: no message within the attempt's timeout")

// open makes attempts until one has been sent. It returns what ended the call otherwise. mu must be
// held.
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

// attempt opens a stream at one replica and sends what the caller has sent. It reports whether that
// went well; where the sending fails, receiving tells why.
func (s *stream) attempt(l *lease) bool {
	if l.number > 1 {
		resetOutputs(nil, s.call.request.opts)
	}
	s.call.start(l)
	ctx, cancel := context.WithCancel(s.call.ctx)
	a := &streamAttempt{lease: *l, cancel: cancel}
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

// begin opens the attempt's stream and sends what the caller has sent. A stream that has ended by
// then says why when it is received from.
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
		a.timer = nil // the first message comes when the caller has sent what it takes
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

// fail takes note of how an attempt ended that brought no first message, or too late. mu must be
// held.
func (s *stream) fail(a *streamAttempt, err error) {
	w := answeredWire
	if a.ClientStream == nil || a.on.Ended() {
		w = wireOf(a.on)
	}
	var last any // which is the one that an error of our own is about
	if n := len(s.sent); n > 0 {
		last = s.sent[n-1]
	}
	o := s.call.outcome(s.call.ctx, a.on, last, w, err)
	if !a.inTime() && o != OutcomeCanceled {
		o, err = OutcomeTimeout, errLate
	}
	a.end()
	if a.on.Missed() {
		s.call.note(&a.lease, s.call.missed(&a.lease))
		return
	}
	s.note(a, o, w, err)
}

// note takes note of how an attempt ended. mu must be held.
func (s *stream) note(a *streamAttempt, o Outcome, w wire, err error) {
	s.call.note(&a.lease, s.call.finish(&a.lease, o, w, err))
}

// end lets go of what an attempt that is over has held.
func (a *streamAttempt) end() {
	a.cancel()
	if a.timer != nil {
		a.timer.Stop()
	}
}

// commit makes the stream the current attempt's for good, as the replica has answered, or as more
// was sent than is kept, which says nothing of the replica. mu must be held.
func (s *stream) commit(a *streamAttempt, answered bool) {
	s.committed.Store(true)
	s.sent = nil
	if a.timer != nil {
		a.timer.Stop()
	}
	s.note(a, OutcomeOK, wire{Wire: core.Wire{Picked: true, Sent: true, Answered: answered}}, nil)
	s.call.end(nil)
}

// finish takes note that the stream has ended, and returns the error it ended with. mu must be
// held.
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

// abandoned takes note that the caller's context has ended: the caller need not receive any more.
func (s *stream) abandoned() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	err := callerError(s.call.ctx)
	if !s.committed.Load() {
		if a := s.current.Load(); a != nil {
			a.end()
			// What became of the request is not asked: the caller's goroutine may be at it still.
			s.note(a, OutcomeCanceled, answeredWire, err)
		}
		s.untold, s.call.settings = s.call.settings, nil
		err = s.call.end(&failure{ReasonCallerEnded, err})
	}
	s.finish(err)
}

// ended returns the error of a stream that is over. A caller who has left, and comes back to ask,
// has its traces filled now: they are the caller's own, to be written in no other goroutine. mu
// must be held.
func (s *stream) ended() error {
	if s.untold != nil {
		s.untold.report(s.call.attempts, s.err)
		s.untold = nil
	}
	return s.err
}
