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
	s.call = call{client: c, ctx: ctx, number: c.counters.calls.Add(1), request: request{method: method, cc: cc, invoker: s.invoke, opts: opts}}
	s.call.begin()
	if s.call.settings != nil {
		s.finishes, s.call.settings.finishes = s.call.settings.finishes, nil
	}
	if desc.ClientStreams {
		if err := s.open(); err != nil {
			return nil, err
		}
		s.deliver()
	} else {
		s.mu.Lock()
		s.unwatch = context.AfterFunc(ctx, s.abandon)
		s.mu.Unlock()
	}
	return s, nil
}

// stream is a stream of the caller's, over one after the other of the replicas' streams. An attempt ends, in all that
// is counted, with its first message; what comes after that the caller and the replica have among themselves.
type stream struct {
	desc     *grpc.StreamDesc
	streamer grpc.Streamer
	request  any // the one message of a caller who does not stream
	finishes []func(error)

	mu      sync.Mutex // guards what follows: the caller may leave at any time
	call    call
	settled bool        // the call has ended
	err     error       // with what, unless a first message ended it
	unwatch func() bool // ends the watch for a caller who leaves; nil: there is none
	untold  *settings   // what asks for a report and has none, as the caller has left

	current   atomic.Pointer[streamAttempt]
	delivered atomic.Bool // the stream is the current attempt's for good
	seen      atomic.Bool // the caller has seen the current attempt's header
	over      sync.Once
}

// streamAttempt is the stream of one replica.
type streamAttempt struct {
	grpc.ClientStream
	lease  lease
	on     *replicas.Attempt
	cancel context.CancelFunc

	timer   *time.Timer // nil: no deadline for the first message
	decided atomic.Bool // whether it came in time
	late    atomic.Bool
}

// inTime reports whether a first message that has come now came before the deadline for it.
func (a *streamAttempt) inTime() bool { return a.timer == nil || !a.decided.Swap(true) }

// open makes attempts until one has been sent. It returns what ended the call otherwise. mu must be held.
func (s *stream) open() error {
	for {
		l, err := s.call.next()
		if err != nil {
			s.settle(err)
			return s.finish(s.err)
		}
		if s.attempt(&l) {
			return nil
		}
	}
}

// attempt opens a stream at one replica and sends what the caller has sent. It reports whether that went well; where
// the sending fails, receiving tells why.
func (s *stream) attempt(l *lease) bool {
	if len(s.call.attempts) > 0 {
		resetOutputs(nil, s.call.request.opts)
	}
	s.call.start(l)
	ctx, cancel := context.WithCancel(s.call.ctx)
	a := &streamAttempt{lease: *l, cancel: cancel}
	if d := l.decision.Timeout; d > 0 {
		a.timer = time.AfterFunc(d, func() {
			if !a.decided.Swap(true) {
				a.late.Store(true)
				cancel()
			}
		})
	}
	a.on = s.call.on(ctx, l)
	cs, err := s.streamer(a.on, s.desc, s.call.request.cc, s.call.request.method, s.call.request.opts...)
	if err == nil {
		a.ClientStream = cs
		if !s.desc.ClientStreams {
			if err = cs.SendMsg(s.request); err == io.EOF {
				err = nil
			}
		}
	}
	if err != nil {
		s.end(a, err)
		return false
	}
	s.current.Store(a)
	return true
}

// end takes note of how an attempt ended before its first message.
func (s *stream) end(a *streamAttempt, err error) {
	o, w := OK, wire{sent: true, answered: true} // for all that can be known
	if a.ClientStream == nil || a.on.Ended() {
		w = wireOf(a.on)
	}
	if err != nil {
		if o = s.call.outcome(s.call.ctx, a.on, w, err); o != Canceled && a.late.Load() {
			o = Timeout
		}
		a.cancel()
	}
	if a.timer != nil {
		a.timer.Stop()
	}
	if a.on.Missed() {
		s.call.missed(&a.lease)
		return
	}
	s.call.finish(&a.lease, o, w, err)
}

// settle ends the call. mu must be held.
func (s *stream) settle(err error) {
	s.settled, s.err = true, s.call.end(err)
	if s.unwatch != nil {
		s.unwatch()
	}
}

// deliver makes the stream the current attempt's for good.
func (s *stream) deliver() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.delivered.Swap(true) && !s.settled {
		s.end(s.current.Load(), nil)
		s.settle(nil)
	}
}

// abandon ends the call of a caller who has left, and may never come back for the first message. Traces are the caller's
// own, so they are filled if the caller does.
func (s *stream) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled {
		return
	}
	err := callerError(s.call.ctx)
	if a := s.current.Load(); a != nil {
		s.end(a, err)
	}
	s.untold, s.call.settings = s.call.settings, nil
	s.call.reason = CallerEnded
	s.settle(err)
	s.finish(s.err)
}

// abandoned returns the error of a call that abandon has ended. mu must be held.
func (s *stream) abandoned() error {
	if s.untold != nil {
		s.untold.report(s.call.attempts, s.err)
	}
	return s.err
}

// finish takes note that the stream has ended, and returns the error it ended with.
func (s *stream) finish(err error) error {
	s.over.Do(func() {
		if a := s.current.Load(); a != nil {
			a.cancel()
		}
		for _, finish := range s.finishes {
			if err == io.EOF {
				finish(nil)
			} else {
				finish(err)
			}
		}
	})
	return err
}

// SendMsg sends a message. Where the caller does not stream, it is the one message, with which the call begins.
func (s *stream) SendMsg(m any) error {
	if a := s.current.Load(); a != nil {
		return a.SendMsg(m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled {
		return s.abandoned()
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
			return errNotOpen("RecvMsg")
		}
		err := a.RecvMsg(m)
		switch {
		case s.delivered.Load():
		case (err == nil || err == io.EOF) && a.inTime():
			s.deliver()
		default:
			if err := s.failOver(a, m, err); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			s.finish(err)
		}
		return err
	}
}

// failOver goes on after an attempt that brought no first message. It returns the error of a call that cannot.
func (s *stream) failOver(a *streamAttempt, m any, err error) error {
	if err == nil || err == io.EOF {
		err = status.Error(codes.DeadlineExceeded, "the first message came too late")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.settled {
		return s.abandoned()
	}
	s.end(a, err)
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
		return nil, errNotOpen("Header")
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

func errNotOpen(what string) error {
	return status.Errorf(codes.Internal, "failover: %s before SendMsg, with which the call begins", what)
}
