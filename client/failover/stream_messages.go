package failover

import (
	"context"
	"io"

	"example.com/crashlab/client/failover/internal/core"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"
)

// SendMsg sends a message. Where the caller does not stream, it is the one message, with which the
// call begins.
func (s *stream) SendMsg(m any) error {
	if !s.desc.ClientStreams {
		return s.sendOnly(m)
	}
	a := s.current.Load()
	if !s.committed.Load() {
		if a = s.keep(m); a == nil {
			return io.EOF // RecvMsg says why
		}
	}
	err := a.SendMsg(m)
	switch {
	case err == nil:
		return nil
	case !s.committed.Load():
		return s.sendElsewhere(a, err)
	case err != io.EOF:
		s.mu.Lock()
		defer s.mu.Unlock()
		s.finish(err)
	}
	return err
}

// sendOnly opens the call with its one message.
func (s *stream) sendOnly(m any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return s.ended()
	}
	if s.current.Load() != nil {
		return status.Error(codes.Internal, "failover: a second message of a call that has one")
	}
	s.sent = append(s.sent, m)
	return s.open()
}

// keep keeps a message for the case that the call goes on to another attempt, and returns the
// attempt under way to send it to; nil where the stream is over. With more than may be kept, the
// call is committed.
func (s *stream) keep(m any) *streamAttempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.current.Load()
	switch {
	case s.over:
		return nil
	case s.committed.Load():
		return a
	}
	size, known := messageSize(m)
	if s.size += size; !known || s.size > s.call.policy.ReplayLimit {
		s.commit(a, false)
		return a
	}
	s.sent = append(s.sent, m)
	return a
}

// messageSize returns the encoded size of a message. It returns false for one of an unknown kind.
func messageSize(m any) (int, bool) {
	if m, ok := m.(proto.Message); ok {
		return proto.Size(m), true
	}
	return 0, false
}

// sendElsewhere takes the call to another attempt, which gets what was sent, after sending has
// failed. Where there is none it returns an error: io.EOF where the stream has ended, and then
// RecvMsg says why.
func (s *stream) sendElsewhere(a *streamAttempt, err error) error {
	md, _ := a.ClientStream.Header() // which does not wait, as the stream has ended
	a.receive.Lock()                 // whoever receives sees that it has ended, and goes on by itself
	defer a.receive.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over || s.committed.Load():
		return io.EOF
	case s.current.Load() != a:
		return nil // the message has been sent with the others
	case err != io.EOF:
		return s.failOver(a, nil, err)
	case md != nil:
		s.commit(a, true)
		return io.EOF
	}
	// Without a header there is no message either, so that none is lost here.
	if err = a.RecvMsg(new(emptypb.Empty)); err == io.EOF {
		s.commit(a, true)
		return io.EOF
	}
	if s.failOver(a, nil, err) != nil {
		return io.EOF
	}
	return nil
}

// CloseSend ends the caller's side of the stream. A caller who does not stream has ended it with
// the message.
func (s *stream) CloseSend() error {
	if !s.desc.ClientStreams {
		return nil
	}
	s.mu.Lock()
	s.closed = true
	a := s.current.Load()
	s.mu.Unlock()
	return a.CloseSend()
}

// RecvMsg receives a message. The first may come from one replica after the other.
func (s *stream) RecvMsg(m any) error {
	for {
		a := s.current.Load()
		if a == nil {
			return s.notOpen("RecvMsg")
		}
		if again, err := s.receiveFrom(a, m); !again {
			return err
		}
	}
}

// receiveFrom receives from an attempt. It reports whether to receive from the next one, or what
// the caller receives.
func (s *stream) receiveFrom(a *streamAttempt, m any) (again bool, err error) {
	a.receive.Lock()
	defer a.receive.Unlock()
	if s.current.Load() != a {
		return true, nil
	}
	return s.received(a, m, a.RecvMsg(m))
}

// received takes note of what an attempt has brought. It reports whether to receive from the next
// attempt, or what the caller receives.
func (s *stream) received(a *streamAttempt, m any, err error) (again bool, _ error) {
	if s.committed.Load() && err == nil && s.desc.ServerStreams {
		return false, nil // in the midst of it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.committed.Load():
	case s.over:
		return false, s.ended()
	case (err == nil || err == io.EOF) && a.inTime():
		s.commit(a, true)
	default:
		err = s.failOver(a, m, err)
		return err == nil, err
	}
	if err != nil || !s.desc.ServerStreams {
		s.finish(err)
	}
	return false, err
}

// failOver goes on after an attempt that brought no first message. It returns the error of a call
// that cannot.
func (s *stream) failOver(a *streamAttempt, m any, err error) error {
	if err == nil || err == io.EOF {
		err = errLate
	}
	s.fail(a, err)
	if s.seen.Load() {
		s.call.core.Note(core.Result{Final: true})
	}
	resetReply(m)
	return s.open()
}

// Header returns the header of the replica whose stream it is, or of the one being tried. With a
// header the caller has seen something of that replica, so the call does not go on to another.
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

// invoke makes a unary call with what a stream's interceptor is given: the question to the
// resolver.
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
