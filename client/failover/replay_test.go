package failover_test

import (
	"io"
	"testing"
	"testing/synctest"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// swallows receives all that the client sends, and never answers.
func swallows(stream grpc.ServerStream) error {
	for {
		if err := stream.RecvMsg(new(emptypb.Empty)); err == io.EOF {
			return hangs(stream)
		} else if err != nil {
			return err
		}
	}
}

// A stream of empty messages does not keep them without bound: each counts 64 bytes.
func TestEmptyMessagesAreBounded(t *testing.T) {
	for limit, kept := range map[int]int{0: 4096, 64: 1, 1000: 15, 1: 0} {
		bubble(t, func(t *testing.T) {
			c := newCluster(t, 1)
			c[0].other = swallows
			conn := c.connect(t, failover.Policy{ReplayLimit: limit})
			stream, err := open(t.Context(), conn, chat)
			if err != nil {
				t.Fatal(err)
			}
			send := func() (committed bool) {
				if err := stream.SendMsg(new(emptypb.Empty)); err != nil {
					t.Fatal(err)
				}
				return conn.Statistics().Replicas[0].Attempts[failover.OutcomeOK] > 0
			}
			n := 0
			for ; n <= 5000 && !send(); n++ {
			}
			if n != kept {
				t.Errorf("ReplayLimit %d: kept %d messages, want %d", limit, n, kept)
			}
		})
	}
}

// A stream of messages of either protobuf API fails over within ReplayLimit. The size of anything
// else is unknown, so it commits the call.
func TestKindsOfMessagesKept(t *testing.T) {
	long := string(make([]byte, 2000))
	for name, tc := range map[string]struct {
		message, reply any
		opts           []grpc.CallOption
		want           string
	}{
		"API v2":           {wrapperspb.String("go"), new(wrapperspb.StringValue), nil, "a:1 failed sent, b:1 ok sent"},
		"API v1":           {&oldMessage{Value: "go"}, new(oldMessage), nil, "a:1 failed sent, b:1 ok sent"},
		"too long, API v2": {wrapperspb.String(long), new(wrapperspb.StringValue), nil, "a:1 ok sent"},
		"too long, API v1": {&oldMessage{Value: long}, new(oldMessage), nil, "a:1 ok sent"},
		"JSON":             {&value{"go"}, new(value), []grpc.CallOption{grpc.ForceCodec(jsonCodec{})}, "a:1 ok sent"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c[0].other = fails(codes.Unavailable)
				c[1].other = says("well")
				var attempts []failover.Attempt
				conn := c.connect(t, failover.Policy{ReplayLimit: 1000})
				stream, err := open(t.Context(), conn, chat, append(tc.opts, failover.Trace(&attempts))...)
				if err != nil {
					t.Fatal(err)
				}
				if err := stream.SendMsg(tc.message); err != nil && err != io.EOF {
					t.Fatal(err)
				}
				synctest.Wait()
				err = stream.RecvMsg(tc.reply)
				if failed := tc.want == "a:1 ok sent"; path(attempts) != tc.want || (status.Code(err) == codes.Unavailable) != failed {
					t.Errorf("got %q, %v, want %q", path(attempts), err, tc.want)
				}
			})
		})
	}
}
