package failover_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A client-streaming call that has sent more than is kept is committed to its replica. That is no
// evidence for the replica.
func TestChatIsCommittedByWhatWasSent(t *testing.T) {
	for _, desc := range []*grpc.StreamDesc{upload, chat} {
		t.Run(fmt.Sprintf("server streams %v", desc.ServerStreams), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				works[0].does(answer(codes.Unavailable))
				c[0].other = func(stream grpc.ServerStream) error {
					stream.RecvMsg(new(wrapperspb.StringValue))
					return fails(codes.Unavailable)(stream)
				}
				conn := c.connect(t, failover.Policy{Timeout: time.Second, ReplayLimit: 10})
				for range 3 {
					stream, err := open(t.Context(), conn, desc)
					if err != nil {
						t.Fatal(err)
					}
					if r := conn.Statistics().Replicas[0]; r.InFlight != 1 {
						t.Errorf("once it is open: %+v, want it in flight", r)
					}
					time.Sleep(10 * time.Second) // the attempt's deadline is met
					stream.SendMsg(wrapperspb.String("more than ten bytes"))
					if r := conn.Statistics().Replicas[0]; r.InFlight != 0 || r.Attempts[failover.OutcomeOK] == 0 {
						t.Errorf("with too much to keep: %+v, want it counted as over", r)
					}
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

// Until the first message arrives, a client-streaming call fails over to another replica, which
// gets everything that was sent.
func TestChatFailsOver(t *testing.T) {
	type step struct {
		name string
		ill  func(*replica, *testing.T)
		all  bool // also for methods that are not idempotent
	}
	before := func(r *replica, _ *testing.T) { r.other = fails(codes.Unavailable) }
	after := func(r *replica, _ *testing.T) {
		r.other = func(stream grpc.ServerStream) error {
			stream.RecvMsg(new(wrapperspb.StringValue))
			return fails(codes.Unavailable)(stream)
		}
	}
	atEnd := func(r *replica, _ *testing.T) {
		r.other = func(stream grpc.ServerStream) error {
			for stream.RecvMsg(new(wrapperspb.StringValue)) == nil {
			}
			return fails(codes.Unavailable)(stream)
		}
	}
	refuses := func(r *replica, t *testing.T) { r.raw(t, resetStream(http2.ErrCodeRefusedStream)) }
	drains := func(r *replica, t *testing.T) { r.raw(t, goAway) }
	for _, desc := range []*grpc.StreamDesc{upload, chat} {
		for _, tc := range []step{
			{"before it receives", before, false}, {"after a message", after, false}, {"at the end", atEnd, false},
			{"refuses", refuses, true}, {"drains", drains, true},
		} {
			t.Run(fmt.Sprintf("%s, server streams %v", tc.name, desc.ServerStreams), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newCluster(t, 3)
					tc.ill(c[0], t)
					tc.ill(c[1], t)
					c[2].other = repeats
					conn := c.connect(t, failover.Policy{Idempotent: map[string]bool{"/": !tc.all}})
					var attempts []failover.Attempt
					stream, err := open(t.Context(), conn, desc, failover.Trace(&attempts))
					if err != nil {
						t.Fatal(err)
					}
					for i := range 5 {
						if err := stream.SendMsg(wrapperspb.String(fmt.Sprint(i))); err != nil {
							t.Fatal(err)
						}
						synctest.Wait() // so that the stream has ended, if it does, before the next
					}
					stream.CloseSend()
					m := new(wrapperspb.StringValue)
					if err := stream.RecvMsg(m); err != nil || m.GetValue() != "0 1 2 3 4" {
						t.Errorf("got %q, %v, want all that was sent", m.GetValue(), err)
					}
					want := "a:1 failed sent, b:1 failed sent, c:1 ok sent"
					if tc.all {
						want = "a:1 refused, b:1 refused, c:1 ok sent"
					}
					if path(attempts) != want {
						t.Errorf("got %q, want %q", path(attempts), want)
					}
				})
			})
		}
	}
}

// repeats answers with all that the client has sent, in one message.
func repeats(stream grpc.ServerStream) error {
	var words []string
	for {
		m := new(wrapperspb.StringValue)
		if err := stream.RecvMsg(m); err == io.EOF {
			return say(stream, strings.Join(words, " "))
		} else if err != nil {
			return err
		}
		words = append(words, m.GetValue())
	}
}

// If no attempt is left, sending returns io.EOF, as in gRPC, and receiving returns the reason.
func TestChatThatNoReplicaTakes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		for _, r := range c {
			r.other = fails(codes.Unavailable)
		}
		stream, err := open(t.Context(), c.connect(t, failover.Policy{}), chat)
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			synctest.Wait()
			err = stream.SendMsg(wrapperspb.String("?"))
		}
		if err != io.EOF {
			t.Errorf("sending: got %v, want EOF", err)
		}
		failed, ok := errors.AsType[*failover.Error](stream.RecvMsg(new(wrapperspb.StringValue)))
		if !ok || path(failed.Attempts) != "a:1 failed sent, b:1 failed sent" {
			t.Errorf("receiving: got %v, want both attempts", failed)
		}
	})
}

// A caller that is still sending does not lose a message that the replica has sent.
func TestChatKeepsMessagesBeforeFailure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].other = func(stream grpc.ServerStream) error {
			say(stream, "a1")
			return fails(codes.Unavailable)(stream)
		}
		c[1].other = says("b1")
		stream, err := open(t.Context(), c.connect(t, failover.Policy{}), chat)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := stream.SendMsg(wrapperspb.String("?")); err != io.EOF {
			t.Errorf("sending: got %v, want EOF", err)
		}
		if got, err := drain(stream); got != "a1" || status.Code(err) != codes.Unavailable {
			t.Errorf("got %q, %v, want a1 and then Unavailable", got, err)
		}
	})
}

// An error on the client side ends the call.
func TestChatWithAMessageTooLarge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].other, c[1].other = repeats, repeats
		conn := c.connect(t, failover.Policy{Retryable: []codes.Code{codes.ResourceExhausted}})
		stream, err := open(t.Context(), conn, chat, grpc.MaxCallSendMsgSize(10))
		if err != nil {
			t.Fatal(err)
		}
		err = stream.SendMsg(wrapperspb.String("more than ten bytes"))
		if status.Code(err) != codes.ResourceExhausted || reason(err) != failover.ReasonNotRetryable {
			t.Errorf("got %v, want ResourceExhausted, not retried", err)
		}
		if again := stream.RecvMsg(new(wrapperspb.StringValue)); again != err {
			t.Errorf("receiving: got %v, want the same", again)
		}
		if snapshot := conn.Statistics(); snapshot.Failed[failover.ReasonNotRetryable] != 1 || snapshot.Replicas[0].InFlight != 0 {
			t.Errorf("got %+v, want one call that failed and nothing in flight", snapshot)
		}
	})
}

// Chats at replicas that fail at any moment: the replica that completes one has received each
// message once, in order.
func TestChatsAtReplicasThatFail(t *testing.T) {
	const words = 20
	c := newCluster(t, 3)
	for i, r := range c {
		r.other = func(stream grpc.ServerStream) error {
			if i == 2 {
				return repeats(stream)
			}
			for range rand.IntN(words) {
				if stream.RecvMsg(new(wrapperspb.StringValue)) != nil {
					break
				}
			}
			return fails(codes.Unavailable)(stream)
		}
	}
	conn := c.connect(t, failover.Policy{Ejection: failover.Ejection{Off: true}})
	var want []string
	for i := range words {
		want = append(want, fmt.Sprint(i))
	}
	var chats sync.WaitGroup
	for range 100 {
		chats.Go(func() {
			stream, err := open(t.Context(), conn, chat)
			if err != nil {
				t.Error(err)
				return
			}
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				for _, word := range want {
					if err := stream.SendMsg(wrapperspb.String(word)); err != nil {
						t.Error(err)
					}
				}
				stream.CloseSend()
			}()
			if got, err := drain(stream); err != nil || got != strings.Join(want, " ") {
				t.Errorf("got %q, %v, want all words in order", got, err)
			}
			<-sent
		})
	}
	chats.Wait()
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

// Many streams send and receive concurrently.
func TestChatsSendAndReceiveConcurrently(t *testing.T) {
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

// The sender of a chat learns that the replica is gone before the receiver does.
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
			t.Errorf("OnFinish got %v, want Unavailable once", finished)
		}
	})
}
