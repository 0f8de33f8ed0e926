package failover_test

import (
	"context"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// named is a connection with the address of its replica.
type named struct {
	net.Conn
	addr
}

type addr string

func (n named) RemoteAddr() net.Addr { return n.addr }
func (addr) Network() string         { return "test" }
func (a addr) String() string        { return string(a) }

// peers is a dialer whose connections have the names of the replicas.
func (c cluster) peers() grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, to string) (net.Conn, error) {
		conn, err := c[to[0]-'a'].dial(ctx)
		return named{conn, addr(to)}, err
	})
}

// signs makes a replica name itself in the header, message and trailer of its answers, which come
// after a random time.
func (r *replica) signs(most time.Duration) {
	r.other = func(stream grpc.ServerStream) error {
		if err := takes(rand.N(most/ms)*ms, codes.OK)(stream.Context()); err != nil {
			return err
		}
		stream.SetHeader(metadata.Pairs("by", r.addr))
		stream.SetTrailer(metadata.Pairs("by", r.addr))
		if rand.IntN(4) == 0 {
			stream.SendMsg(wrapperspb.String("garbage of " + r.addr))
			return status.Error(codes.Unavailable, "by chance")
		}
		return stream.SendMsg(wrapperspb.String(r.addr))
	}
}

// The reply, header, trailer and peer are those of the winning attempt, without traces of an
// attempt that failed. Half of the calls end in the same instant as their hedge.
func TestOutputsOfAHedgedCallAreTheWinners(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3)
		for _, r := range c {
			r.signs(4 * ms)
		}
		conn := c.connect(t, failover.Policy{Hedge: failover.Hedge{After: ms, Share: 1}, Order: failover.OrderRandom, Rounds: 20, Ejection: failover.Ejection{Off: true}}, c.peers())
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for range times(40) {
					var header, trailer metadata.MD
					var from peer.Peer
					var attempts []failover.Attempt
					reply := wrapperspb.String("of the caller")
					err := conn.Invoke(t.Context(), workMethod, new(healthv1.HealthCheckRequest), reply,
						grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&from), failover.Trace(&attempts))
					if err != nil {
						t.Error(err)
						return
					}
					by := reply.GetValue()
					if !slices.ContainsFunc(attempts, func(a failover.Attempt) bool { return a.Replica == by && a.Outcome == failover.OutcomeOK }) {
						t.Errorf("the reply is %q, the attempts %q", by, path(attempts))
					}
					if h, tr := strings.Join(header["by"], " "), strings.Join(trailer["by"], " "); h != by || tr != by || from.Addr.String() != by {
						t.Errorf("the reply is of %s, the header of %q, the trailer of %q, the peer %v: %q", by, h, tr, from.Addr, path(attempts))
					}
				}
			})
		}
		callers.Wait()
		if got := conn.Statistics(); got.HedgesWon == 0 || got.HedgesWon == got.Hedges {
			t.Errorf("%d hedges, %d won; want both above zero", got.Hedges, got.HedgesWon)
		}
	})
}

// The reply may come from a codec other than that of protobuf.
func TestHedgedReplyOfAnotherCodec(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3)
		for _, r := range c {
			r.signs(4 * ms)
		}
		conn := c.connect(t, failover.Policy{Hedge: failover.Hedge{After: ms, Share: 1}, Order: failover.OrderRandom, Rounds: 20,
			Ejection: failover.Ejection{Off: true}})
		won := 0
		for range times(100) {
			var attempts []failover.Attempt
			reply := "of the caller"
			if err := conn.Invoke(t.Context(), workMethod, nil, &reply, grpc.ForceCodec(textCodec{}), failover.Trace(&attempts)); err != nil {
				t.Fatal(err)
			}
			by := strings.TrimLeft(reply, "\n\x03") // in the encoding of protobuf
			i := slices.IndexFunc(attempts, func(a failover.Attempt) bool { return a.Replica == by && a.Outcome == failover.OutcomeOK })
			if i < 0 {
				t.Fatalf("the reply is %q, the attempts %q", reply, path(attempts))
			}
			if attempts[i].Hedge {
				won++
			}
		}
		if won == 0 {
			t.Error("no hedge won, want some")
		}
	})
}
