package otelfailover

import (
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// stream ends its call when the stream ends: with an error that the caller receives, or with the
// caller's context, after which the caller need not use the stream any more.
type stream struct {
	grpc.ClientStream
	desc *grpc.StreamDesc
	call *call

	over   sync.Once
	detach func() bool // from the context

	// busy is read-locked by methods that may end the stream, because they know the reason better
	// than the context does.
	busy sync.RWMutex
}

func newStream(ctx context.Context, cs grpc.ClientStream, desc *grpc.StreamDesc, c *call) *stream {
	s := &stream{ClientStream: cs, desc: desc, call: c}
	s.busy.Lock()
	defer s.busy.Unlock()
	s.detach = context.AfterFunc(ctx, func() {
		s.busy.Lock()
		defer s.busy.Unlock()
		s.end(status.FromContextError(ctx.Err()).Err())
	})
	return s
}

// SendMsg sends a message. An error other than io.EOF ends the call; after io.EOF, RecvMsg returns
// the reason.
func (s *stream) SendMsg(m any) error {
	s.busy.RLock()
	defer s.busy.RUnlock()
	err := s.ClientStream.SendMsg(m)
	if err != nil && err != io.EOF {
		s.end(err)
	}
	return err
}

// RecvMsg receives a message. It ends the call at the end of the stream or, if the server does not
// stream, with the only message.
func (s *stream) RecvMsg(m any) error {
	s.busy.RLock()
	defer s.busy.RUnlock()
	err := s.ClientStream.RecvMsg(m)
	if err != nil || !s.desc.ServerStreams {
		s.end(err)
	}
	return err
}

func (s *stream) end(err error) {
	s.over.Do(func() {
		s.detach()
		if err == io.EOF {
			err = nil
		}
		s.call.end(err)
	})
}
