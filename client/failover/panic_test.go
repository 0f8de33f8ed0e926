package failover_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// bomb panics in the user's code at one place, the nth time that it gets there. It is a codec and
// credentials, and its methods on… are hooks of a policy.
type bomb struct {
	place string
	left  atomic.Int64                    // panics when it falls to zero
	ctx   atomic.Pointer[context.Context] // of the last attempt
}

func (b *bomb) at(place string) {
	if b.place == place && b.left.Add(-1) == 0 {
		panic("boom")
	}
}

func (b *bomb) Marshal(v any) ([]byte, error) {
	b.at("Marshal")
	return proto.Marshal(v.(proto.Message))
}

func (b *bomb) Unmarshal(data []byte, v any) error {
	b.at("Unmarshal")
	return proto.Unmarshal(data, v.(proto.Message))
}

func (*bomb) Name() string { return "proto" }

func (b *bomb) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	b.ctx.Store(&ctx)
	b.at("credentials")
	return nil, nil
}

func (*bomb) RequireTransportSecurity() bool { return false }

func (b *bomb) onAttempt(context.Context, string, failover.Attempt) { b.at("OnAttempt") }
func (b *bomb) onCall(context.Context, failover.Call)               { b.at("OnCall") }
func (b *bomb) onReplica(e failover.ReplicaEvent) {
	if e.State == failover.ReplicaEjected {
		b.at("OnReplica")
	}
}

// recovered calls f and returns what it panicked with.
func recovered(f func()) (p any) {
	defer func() { p = recover() }()
	f()
	return nil
}

// usages are ways to make a call, each of which sends and receives one message.
var usages = map[string]func(context.Context, grpc.ClientConnInterface) error{
	"unary": func(ctx context.Context, conn grpc.ClientConnInterface) error {
		return conn.Invoke(ctx, workMethod, wrapperspb.String("go"), new(wrapperspb.StringValue))
	},
	"download": func(ctx context.Context, conn grpc.ClientConnInterface) error {
		_, _, err := fetch(ctx, conn)
		return err
	},
	"upload": func(ctx context.Context, conn grpc.ClientConnInterface) error {
		return sendAndReceive(ctx, conn, upload)
	},
	"chat": func(ctx context.Context, conn grpc.ClientConnInterface) error { return sendAndReceive(ctx, conn, chat) },
}

func sendAndReceive(ctx context.Context, conn grpc.ClientConnInterface, desc *grpc.StreamDesc) error {
	stream, err := open(ctx, conn, desc)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(wrapperspb.String("go")); err != nil {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != nil || !desc.ServerStreams {
		return err
	}
	_, err = drain(stream)
	return err
}

// A call in which the user's code panics, wherever that is, gives its place back, once, and the
// caller can recover. A stream's attempt ends.
func TestPanicGivesThePlaceBack(t *testing.T) {
	for _, tc := range []struct {
		place  string
		nth    int64 // the panic, at the nth time
		failed bool  // the first attempt fails and is repeated elsewhere
	}{
		{"Marshal", 1, false},
		{"Marshal", 2, true},
		{"Unmarshal", 1, false},
		{"Unmarshal", 1, true},
		{"credentials", 1, false},
		{"credentials", 2, true},
		{"OnAttempt", 1, false},
		{"OnAttempt", 1, true},
		{"OnAttempt", 2, true},
		{"OnCall", 1, false},
		{"OnCall", 1, true},
		{"OnReplica", 1, true},
	} {
		for usage, use := range usages {
			name := tc.place + " in " + usage
			if tc.failed {
				name += " that fails over"
			}
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c := newCluster(t, 2)
					serves := func(stream grpc.ServerStream) error {
						if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != nil {
							return err
						}
						return say(stream, "well")
					}
					c[0].other, c[1].other = serves, serves
					var ill atomic.Bool
					c[0].other = func(stream grpc.ServerStream) error {
						if ill.Swap(false) {
							stream.RecvMsg(new(wrapperspb.StringValue))
							return status.Error(codes.Unavailable, "ill")
						}
						return serves(stream)
					}
					b := &bomb{place: tc.place}
					conn := c.connect(t, failover.Policy{
						MaxInFlight: 1, OnAttempt: b.onAttempt, OnCall: b.onCall, OnReplica: b.onReplica, Ejection: failover.Ejection{After: 1},
					}, grpc.WithDefaultCallOptions(grpc.ForceCodec(b)), grpc.WithPerRPCCredentials(b))
					ctx, cancel := context.WithCancel(t.Context())
					ill.Store(tc.failed)
					b.left.Store(tc.nth)
					if p := recovered(func() { use(ctx, conn) }); p != "boom" {
						t.Fatalf("recovered %v, want the panic", p)
					}
					wantNoneInFlight(t, conn)
					if attempt := *b.ctx.Load(); usage != "unary" && attempt.Err() == nil {
						t.Error("the context of the attempt has not ended")
					}
					cancel()
					wantNoneInFlight(t, conn)
					for range 4 { // two of them at replicas that are on trial
						time.Sleep(time.Minute)
						if err := use(t.Context(), conn); err != nil {
							t.Errorf("afterwards: %v", err)
						}
						wantNoneInFlight(t, conn)
					}
				})
			})
		}
	}
}

func wantNoneInFlight(t *testing.T, conn *failover.Client) {
	t.Helper()
	synctest.Wait()
	for _, r := range conn.Statistics().Replicas {
		if r.InFlight != 0 {
			t.Errorf("%s has %d attempts in flight, want none", r.Replica, r.InFlight)
		}
	}
}

// A stream that has ended with a panic stays ended.
func TestStreamAfterAPanic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c[0].other = hangs
		b := &bomb{place: "Marshal"}
		conn := c.connect(t, failover.Policy{}, grpc.WithDefaultCallOptions(grpc.ForceCodec(b)))
		stream, err := open(t.Context(), conn, chat)
		if err != nil {
			t.Fatal(err)
		}
		b.left.Store(1)
		if p := recovered(func() { stream.SendMsg(wrapperspb.String("go")) }); p != "boom" {
			t.Fatalf("recovered %v, want the panic", p)
		}
		for range 2 {
			if err := stream.RecvMsg(new(wrapperspb.StringValue)); status.Code(err) != codes.Internal {
				t.Errorf("receiving: got %v, want Internal", err)
			}
			if err := stream.SendMsg(wrapperspb.String("go")); err == nil {
				t.Error("sending: got no error")
			}
		}
		wantNoneInFlight(t, conn)
	})
}

// resetting is a reply whose Reset panics.
type resetting struct{ *value }

func (resetting) Reset() { panic("boom") }

// Emptying a reply before the next attempt is the user's code as well.
func TestPanicInReset(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		works[0].does(answer(codes.Unavailable))
		conn := c.connect(t, failover.Policy{MaxInFlight: 1})
		if p := recovered(func() {
			conn.Invoke(t.Context(), workMethod, wrapperspb.String("go"), resetting{new(value)}, grpc.ForceCodec(valueCodec{}))
		}); p != "boom" {
			t.Fatalf("recovered %v, want the panic", p)
		}
		wantNoneInFlight(t, conn)
	})
}

// So is making a reply for a hedge.
func TestPanicInNewReply(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		conn := c.connect(t, failover.Policy{MaxInFlight: 1, Hedge: failover.Hedge{After: time.Second, Share: 1}})
		var reply struct{ proto.Message } // nil
		if p := recovered(func() { conn.Invoke(t.Context(), workMethod, wrapperspb.String("go"), reply) }); p == nil {
			t.Fatal("no panic")
		}
		wantNoneInFlight(t, conn)
	})
}

// OnReplica may panic whenever a replica is ejected or reinstated: it leaves no lock, and the
// replica is probed.
func TestPanicInOnReplica(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		events := 0
		var armed atomic.Bool
		conn := c.connect(t, failover.Policy{Ejection: failover.Ejection{After: 1}, OnReplica: func(failover.ReplicaEvent) {
			if armed.Load() {
				events++
				panic("boom")
			}
		}})
		armed.Store(true)
		for range 3 {
			works[0].does(answer(codes.Unavailable))
			ejected := recovered(func() { do(t.Context(), conn) })
			works[0].does(nil)
			time.Sleep(time.Minute)
			reinstated := recovered(func() { do(t.Context(), conn) })
			if ejected != "boom" || reinstated != "boom" {
				t.Errorf("recovered %v and %v, want two panics", ejected, reinstated)
			}
			wantNoneInFlight(t, conn)
			wantPath(t, conn, "a:1 ok sent")
		}
		if events != 6 {
			t.Errorf("%d events, want 6", events)
		}
		armed.Store(false)
	})
}

// A call that panics cancels the attempts that have joined it, and no more join.
func TestPanicEndsHedges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3)
		c[0].other = func(stream grpc.ServerStream) error { time.Sleep(2 * time.Second); return say(stream, "well") }
		c[1].other, c[2].other = hangs, hangs
		b := &bomb{place: "Unmarshal"}
		b.left.Store(1)
		conn := c.connect(t, failover.Policy{Hedge: failover.Hedge{After: time.Second, Share: 1}}, grpc.WithDefaultCallOptions(grpc.ForceCodec(b)))
		if p := recovered(func() { usages["unary"](context.Background(), conn) }); p != "boom" {
			t.Fatalf("recovered %v, want the panic", p)
		}
		wantNoneInFlight(t, conn)
		time.Sleep(long)
		if got := conn.Statistics(); got.Hedges != 1 {
			t.Errorf("%d hedges, want 1", got.Hedges)
		}
		wantNoneInFlight(t, conn)
	})
}
