package failover

import (
	"context"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// fakeStream is a replica's stream with given results.
type fakeStream struct {
	grpc.ClientStream
	recv func() error
}

func (fakeStream) SendMsg(any) error     { return nil }
func (s fakeStream) RecvMsg(m any) error { return s.recv() }

// The transport attaches resources to the context of each attempt of a stream. The context must end
// with the attempt, and that of the last attempt with the stream, not only with the caller's
// context.
func TestStreamAttemptContextEndsWithAttempt(t *testing.T) {
	for _, tc := range []struct {
		name     string
		desc     grpc.StreamDesc
		recv     []error // of each attempt
		receives int     // by the caller
	}{
		{"to its end", grpc.StreamDesc{ServerStreams: true}, []error{status.Error(codes.Unavailable, "no"), status.Error(codes.Unavailable, "no"), io.EOF}, 1},
		{"it fails", grpc.StreamDesc{ServerStreams: true}, []error{status.Error(codes.Unavailable, "no"), status.Error(codes.NotFound, "no")}, 1},
		{"an upload", grpc.StreamDesc{ClientStreams: true}, []error{nil}, 1},
		{"a chat", grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, []error{io.EOF}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, conn := readyClient(t, Policy{Idempotent: map[string]bool{"/": true}})
			var contexts []context.Context
			stream, err := c.streaming(t.Context(), &tc.desc, conn, "/m", func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
				for i, earlier := range contexts {
					if earlier.Err() == nil {
						t.Errorf("attempt %d is still alive when attempt %d begins", i+1, len(contexts)+1)
					}
				}
				contexts = append(contexts, ctx)
				end := tc.recv[len(contexts)-1]
				return fakeStream{recv: func() error { return end }}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if !tc.desc.ClientStreams {
				stream.SendMsg(nil)
			}
			for range tc.receives {
				stream.RecvMsg(nil)
			}
			if len(contexts) != len(tc.recv) {
				t.Fatalf("%d attempts, want %d", len(contexts), len(tc.recv))
			}
			if contexts[len(contexts)-1].Err() == nil {
				t.Error("the last attempt is still alive when the stream has ended")
			}
		})
	}
}
