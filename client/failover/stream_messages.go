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
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/emptypb"
)

// SendMsg sends a message. If the caller does not stream, its only message begins the call.
func (s *stream) SendMsg(m any) error {
	return s.guarded(func() error { return s.send(m) })
}

func (s *stream) send(m any) error {
	if !s.desc.ClientStreams {
		return s.sendOnly(m)
	}
	a := s.current.Load()
	if !s.committed.Load() {
		if a = s.keep(m); a == nil {
			return io.EOF // RecvMsg returns the reason
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

// sendOnly begins a call with its only message.
func (s *stream) sendOnly(m any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return s.ended()
	}
	if s.current.Load() != nil {
		return status.Error(codes.Internal, "failover: SendMsg called twice on a call with one request message")
	}
	s.sent = append(s.sent, m)
	return s.open()
}

// keep stores a message in case the call fails over, and returns the current attempt to send it to,
// or nil if the stream is over. If there is more to keep than ReplayLimit allows, it commits the
// call.
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

// messageCost is what a kept message counts beyond its encoded size, so that empty messages count.
const messageCost = 64

// messageSize returns what a kept message counts, or false if its kind is unknown.
func messageSize(m any) (int, bool) {
	switch m := m.(type) {
	case proto.Message:
		return messageCost + proto.Size(m), true
	case protoadapt.MessageV1:
		return messageCost + proto.Size(protoadapt.MessageV2Of(m)), true
	}
	return 0, false
}

// sendElsewhere fails over after sending has failed; the next attempt repeats what was sent. If
// there is no next attempt it returns an error, which is io.EOF if RecvMsg has the reason.
func (s *stream) sendElsewhere(a *streamAttempt, err error) error {
	md, _ := a.ClientStream.Header() // does not block, as the stream has ended
	a.receive.Lock()                 // a goroutine in RecvMsg sees the end, and fails over by itself
	defer a.receive.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.over || s.committed.Load():
		return io.EOF
	case s.current.Load() != a:
		return nil // the next attempt has sent the message with the others
	case err != io.EOF:
		return s.failOver(a, nil, err)
	case md != nil:
		s.commit(a, true)
		return io.EOF
	}
	// Without a header there is no message either, so RecvMsg does not discard one.
	if err = a.RecvMsg(new(emptypb.Empty)); err == io.EOF {
		s.commit(a, true)
		return io.EOF
	}
	if s.failOver(a, nil, err) != nil {
		return io.EOF
	}
	return nil
}

// CloseSend ends the caller's side of the stream. If the caller does not stream, its message has
// already ended it.
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

// RecvMsg receives a message. It fails over until the first one arrives.
func (s *stream) RecvMsg(m any) error {
	return s.guarded(func() error { return s.receive(m) })
}

func (s *stream) receive(m any) error {
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

// receiveFrom receives from an attempt. It reports whether to receive again, from the next attempt;
// otherwise err is for the caller.
func (s *stream) receiveFrom(a *streamAttempt, m any) (again bool, err error) {
	a.receive.Lock()
	defer a.receive.Unlock()
	if s.current.Load() != a {
		return true, nil
	}
	return s.received(a, m, a.RecvMsg(m))
}

// received handles what RecvMsg of an attempt returned. It returns the same as receiveFrom.
func (s *stream) received(a *streamAttempt, m any, err error) (again bool, _ error) {
	if s.committed.Load() && err == nil && s.desc.ServerStreams {
		return false, nil // a later message
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

// failOver goes on to the next attempt after one without a first message. It returns an error if
// the call has ended.
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

// Header returns the header of the current attempt. A caller that has seen the header of a replica
// must not get the messages of another, so the call no longer fails over.
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

// Trailer returns the trailer of the last attempt.
func (s *stream) Trailer() metadata.MD {
	if a := s.current.Load(); a != nil {
		return a.ClientStream.Trailer()
	}
	return nil
}

// Context returns the context of the current attempt, or the caller's if there is none yet.
func (s *stream) Context() context.Context {
	if a := s.current.Load(); a != nil {
		return a.ClientStream.Context()
	}
	return s.call.ctx
}

// invoke is a grpc.UnaryInvoker made of the stream's grpc.Streamer, with which call.resolved asks
// gRPC why the resolver failed.
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

// notOpen returns the error of a method that needs an attempt, if there is none.
func (s *stream) notOpen(what string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return s.ended()
	}
	return status.Errorf(codes.Internal, "failover: %s before SendMsg, which begins the call", what)
}
