package failover_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Once it is open, a stream that the client sends on is the replica's for good, and that it is open is no proof of anything.
func TestChatGoesOnOnlyUntilItIsOpen(t *testing.T) {
	for _, desc := range []*grpc.StreamDesc{upload, chat} {
		t.Run(fmt.Sprintf("server streams %v", desc.ServerStreams), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				works[0].does(answer(codes.Unavailable))
				var s failover.Statistics
				conn := c.connect(t, failover.Policy{Statistics: &s, Timeout: time.Second})
				for range 3 {
					stream, err := open(t.Context(), conn, desc)
					if err != nil {
						t.Fatal(err)
					}
					if r := s.Read().Replicas[0]; r.InFlight != 0 || r.Attempts[failover.OutcomeOK] == 0 {
						t.Errorf("once it is open: %+v, want it counted as over", r)
					}
					time.Sleep(10 * time.Second) // the attempt's deadline is met
					stream.SendMsg(new(healthv1.HealthCheckRequest))
					err = stream.RecvMsg(new(wrapperspb.StringValue))
					if _, ours := errors.AsType[*failover.Error](err); ours || status.Code(err) != codes.Unavailable {
						t.Errorf("got %v, want the replica's own Unavailable", err)
					}
					wantPath(t, conn, "a:1 failed sent, b:1 ok sent")
				}
				wantPath(t, conn, "b:1 ok sent") // three in a row
			})
		})
	}
}

// The attempt's deadline bounds the wait for a connection.
func TestChatWaitsForAConnectionUntilTheTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		conn := c.client(t, c.target(), failover.Policy{Timeout: time.Second, Rounds: 2}, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		var attempts []failover.Attempt
		start := time.Now()
		_, err := open(t.Context(), conn, chat, failover.Trace(&attempts))
		if took := time.Since(start); path(attempts) != "a:1 timeout, a:1 timeout" || status.Code(err) != codes.DeadlineExceeded || took != 2*time.Second {
			t.Errorf("got %q, %v after %v, want two timeouts in 2s", path(attempts), err, took)
		}
	})
}

// Sending and receiving at a time, on many streams at a time.
func TestChatsSendAndReceiveAtATime(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	for _, r := range c {
		r.other = func(stream grpc.ServerStream) error {
			for {
				m := new(wrapperspb.StringValue)
				if err := stream.RecvMsg(m); err == io.EOF {
					return nil
				} else if err != nil {
					return err
				}
				if err := stream.SendMsg(m); err != nil {
					return err
				}
			}
		}
	}
	conn := c.connect(t, failover.Policy{Order: failover.OrderRoundRobin, Timeout: time.Minute})
	const words = 200
	var chats sync.WaitGroup
	for range 8 {
		chats.Go(func() {
			stream, err := open(t.Context(), conn, chat)
			if err != nil {
				t.Error(err)
				return
			}
			chats.Go(func() {
				for i := range words {
					if err := stream.SendMsg(wrapperspb.String(fmt.Sprint(i))); err != nil {
						t.Error(err)
					}
				}
				stream.CloseSend()
			})
			if got, err := drain(stream); err != nil || len(strings.Fields(got)) != words {
				t.Errorf("got %d words, %v, want %d", len(strings.Fields(got)), err, words)
			}
		})
	}
	chats.Wait()
}

// The sender of a chat is told that the replica is gone before the receiver looks.
func TestChatEndsForItsSender(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c[0].other = fails(codes.Unavailable)
		var finished []error
		stream, err := open(t.Context(), c.connect(t, failover.Policy{}), chat, grpc.OnFinish(func(err error) { finished = append(finished, err) }))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := stream.SendMsg(wrapperspb.String("?")); err != io.EOF {
			t.Errorf("sending: got %v, want EOF", err)
		}
		if err := stream.RecvMsg(new(wrapperspb.StringValue)); status.Code(err) != codes.Unavailable {
			t.Errorf("receiving: got %v, want Unavailable", err)
		}
		if len(finished) != 1 || status.Code(finished[0]) != codes.Unavailable {
			t.Errorf("OnFinish was told %v, want once Unavailable", finished)
		}
	})
}
