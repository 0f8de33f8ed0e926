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
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// streaming carries a stream through the replicas. Where the server alone sends a stream, the call goes on to the next
// replica until a first message has been delivered; else until the stream is open.
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
		s.deliver(s.current.Load())
	}
	return s, nil
}

// stream is a stream of the caller's, over one after the other of the replicas' streams. An attempt ends, in all that
// is counted, with its first message; what comes after that the caller and the replica have among themselves.
type stream struct {
	desc     *grpc.StreamDesc
	streamer grpc.Streamer
	finishes []func(error)
	unwatch  func() bool // no longer calls abandoned

	current   atomic.Pointer[streamAttempt]
	delivered atomic.Bool // the stream is the current attempt's for good
	seen      atomic.Bool // the caller has seen the current attempt's header

	mu      sync.Mutex // guards what follows; held while the call opens its next attempt
	call    call
	request any       // the one message of a caller who does not stream
	over    bool      // the stream has ended
	err     error     // with this
	untold  *settings // what asks for a report and has none yet, as the caller has left
}

// streamAttempt is the stream of one replica.
type streamAttempt struct {
	grpc.ClientStream
	lease  lease
	on     *replicas.Attempt
	cancel context.CancelFunc

	timer   *time.Timer // nil: no deadline for the first message
	decided atomic.Bool // whether it came in time
}

// inTime reports whether what has come now, a first message or an error, came before the deadline for it.
func (a *streamAttempt) inTime() bool { return a.timer == nil || !a.decided.Swap(true) }

// errLate is the error of an attempt whose deadline has passed.
var errLate = status.Error(codes.DeadlineExceeded, "failover: no message within the attempt's timeout")

// open makes attempts until one has been sent. It returns what ended the call otherwise. mu must be held.
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

// attempt opens a stream at one replica and sends what the caller has sent. It reports whether that went well; where
// the sending fails, receiving tells why.
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
	cs, err := s.streamer(a.on, s.desc, s.call.request.cc, s.call.request.method, s.call.request.opts...)
	if err == nil {
		a.ClientStream = cs
		if s.desc.ClientStreams {
			if !a.inTime() {
				err = errLate
			}
		} else if err = cs.SendMsg(s.request); err == io.EOF {
			err = nil
		}
	}
	if err != nil {
		s.fail(a, err)
		return false
	}
	s.current.Store(a)
	return true
}

// fail takes note of how an attempt ended that brought no first message, or too late. mu must be held.
func (s *stream) fail(a *streamAttempt, err error) {
	w := answeredWire
	if a.ClientStream == nil || a.on.Ended() {
		w = wireOf(a.on)
	}
	o := s.call.outcome(s.call.ctx, a.on, s.request, w, err)
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

// deliver makes the stream the current attempt's for good. Where the caller streams it is open, which says nothing of the
// replica yet. mu must be held.
func (s *stream) deliver(a *streamAttempt) {
	s.delivered.Store(true)
	if a.timer != nil {
		a.timer.Stop()
	}
	s.note(a, OutcomeOK, wire{picked: true, sent: true, answered: !s.desc.ClientStreams}, nil)
	s.call.end(nil)
}

// finish takes note that the stream has ended, and returns the error it ended with. mu must be held.
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
	if !s.delivered.Load() {
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

// ended returns the error of a stream that is over. A caller who has left, and comes back to ask, has its traces filled now:
// they are the caller's own, to be written in no other goroutine. mu must be held.
func (s *stream) ended() error {
	if s.untold != nil {
		s.untold.report(s.call.attempts, s.err)
		s.untold = nil
	}
	return s.err
}

// SendMsg sends a message. Where the caller does not stream, it is the one message, with which the call begins.
func (s *stream) SendMsg(m any) error {
	if a := s.current.Load(); a != nil {
		err := a.SendMsg(m)
		if err != nil && err != io.EOF && s.delivered.Load() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.finish(err)
		}
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return s.ended()
	}
	s.request = m
	return s.open()
}

// CloseSend ends the caller's side of the stream. A caller who does not stream has ended it with the message.
func (s *stream) CloseSend() error {
	if !s.desc.ClientStreams {
		return nil
	}
	return s.current.Load().CloseSend()
}

// RecvMsg receives a message. The first may come from one replica after the other.
func (s *stream) RecvMsg(m any) error {
	for {
		a := s.current.Load()
		if a == nil {
			return s.notOpen("RecvMsg")
		}
		err := a.RecvMsg(m)
		if again, err := s.received(a, m, err); !again {
			return err
		}
	}
}

// received takes note of what an attempt has brought. It reports whether to receive from the next attempt, or what the caller
// receives.
func (s *stream) received(a *streamAttempt, m any, err error) (again bool, _ error) {
	if s.delivered.Load() && err == nil && s.desc.ServerStreams {
		return false, nil // in the midst of it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.delivered.Load():
	case s.over:
		return false, s.ended()
	case (err == nil || err == io.EOF) && a.inTime():
		s.deliver(a)
	default:
		err = s.failOver(a, m, err)
		return err == nil, err
	}
	if err != nil || !s.desc.ServerStreams {
		s.finish(err)
	}
	return false, err
}

// failOver goes on after an attempt that brought no first message. It returns the error of a call that cannot.
func (s *stream) failOver(a *streamAttempt, m any, err error) error {
	if err == nil || err == io.EOF {
		err = errLate
	}
	s.fail(a, err)
	if s.seen.Load() {
		s.call.core.Note(core.Result{Final: true})
	}
	resetOutputs(m, nil)
	return s.open()
}

// Header returns the header of the replica whose stream it is, or of the one being tried. With a header the caller has seen
// something of that replica, so the call does not go on to another.
func (s *stream) Header() (metadata.MD, error) {
	a := s.current.Load()
	if a == nil {
		return nil, s.notOpen("Header")
	}
	md, err := a.ClientStream.Header()
	if md != nil {
		s.seen.Store(true)
	}
	return md, err
}

// Trailer returns the trailer of the replica whose stream it was.
func (s *stream) Trailer() metadata.MD {
	if a := s.current.Load(); a != nil {
		return a.ClientStream.Trailer()
	}
	return nil
}

// Context returns the context of the stream under way, or the caller's before there is one.
func (s *stream) Context() context.Context {
	if a := s.current.Load(); a != nil {
		return a.ClientStream.Context()
	}
	return s.call.ctx
}

// invoke makes a unary call, as for a health check, with what a stream's interceptor is given.
func (s *stream) invoke(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, opts ...grpc.CallOption) error {
	cs, err := s.streamer(ctx, new(grpc.StreamDesc), cc, method, opts...)
	if err != nil {
		return err
	}
	if err := cs.SendMsg(req); err != nil {
		return err
	}
	return cs.RecvMsg(reply)
}

// notOpen is the error of a stream that has no attempt yet, or has come to none.
func (s *stream) notOpen(what string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return s.ended()
	}
	return status.Errorf(codes.Internal, "failover: %s before SendMsg, with which the call begins", what)
}
