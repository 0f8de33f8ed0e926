package otelfailover

import (
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"
)

// stream ends its call when the stream ends: with what the caller receives or sends, or with the
// caller's context, after which the caller may leave the stream alone.
type stream struct {
	grpc.ClientStream
	desc *grpc.StreamDesc
	call *call

	over   sync.Once
	detach func() bool // from the context

	// busy is held for reading in a method that may end the stream: that knows better why than the
	// context does.
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

// SendMsg sends a message. An error other than io.EOF is the call's; RecvMsg tells what is behind
// an io.EOF.
func (s *stream) SendMsg(m any) error {
	s.busy.RLock()
	defer s.busy.RUnlock()
	err := s.ClientStream.SendMsg(m)
	if err != nil && err != io.EOF {
		s.end(err)
	}
	return err
}

// RecvMsg receives a message: the only one, where the server does not stream.
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
