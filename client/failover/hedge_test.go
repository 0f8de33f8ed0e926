package failover_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
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

// takes is a handler that answers after a time, with that code, unless it is canceled before.
func takes(d time.Duration, c codes.Code) func(context.Context) error {
	return func(ctx context.Context) error {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return status.Error(c, "as told")
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

const ms = time.Millisecond

// What becomes of a call to three replicas, a at first, and b as the hedge after 50 ms. The third answers at once.
func TestHedge(t *testing.T) {
	hedge := failover.Hedge{After: 50 * ms}
	for _, tc := range []struct {
		name   string
		policy failover.Policy
		opts   []grpc.CallOption
		a, b   func(context.Context) error
		want   string
		took   time.Duration
		code   codes.Code
	}{
		{name: "quick", policy: failover.Policy{Hedge: hedge}, a: takes(49*ms, codes.OK), want: "a:1 ok sent", took: 49 * ms},
		{name: "the hedge wins", policy: failover.Policy{Hedge: hedge}, a: takes(time.Second, codes.OK), b: takes(10*ms, codes.OK),
			want: "a:1 canceled sent, b:1 ok sent", took: 60 * ms},
		{name: "the first wins", policy: failover.Policy{Hedge: hedge}, a: takes(60*ms, codes.OK), b: takes(time.Second, codes.OK),
			want: "a:1 ok sent, b:1 canceled sent", took: 60 * ms},
		{name: "both fail", policy: failover.Policy{Hedge: hedge}, a: takes(70*ms, codes.Unavailable), b: takes(10*ms, codes.Unavailable),
			want: "a:1 failed sent, b:1 failed sent, c:1 ok sent", took: 70 * ms},
		{name: "the first fails, the hedge goes on", policy: failover.Policy{Hedge: hedge}, a: takes(70*ms, codes.Unavailable),
			b: takes(50*ms, codes.OK), want: "a:1 failed sent, b:1 ok sent", took: 100 * ms},
		{name: "the hedge fails, the first goes on", policy: failover.Policy{Hedge: hedge}, a: takes(70*ms, codes.OK),
			b: takes(10*ms, codes.Unavailable), want: "a:1 ok sent, b:1 failed sent", took: 70 * ms},
		{name: "the first is an answer", policy: failover.Policy{Hedge: hedge}, a: takes(70*ms, codes.NotFound),
			b: takes(time.Second, codes.OK), want: "a:1 rejected sent, b:1 canceled sent", took: 70 * ms, code: codes.NotFound},
		{name: "the hedge is an answer", policy: failover.Policy{Hedge: hedge}, a: takes(time.Second, codes.OK),
			b: takes(10*ms, codes.NotFound), want: "a:1 canceled sent, b:1 rejected sent", took: 60 * ms, code: codes.NotFound},
		{name: "the first fails, the hedge is an answer", policy: failover.Policy{Hedge: hedge}, a: takes(60*ms, codes.Unavailable),
			b: takes(50*ms, codes.NotFound), want: "a:1 failed sent, b:1 rejected sent", took: 100 * ms, code: codes.NotFound},
		{name: "each has its own timeout", policy: failover.Policy{Hedge: hedge, Timeout: 100 * ms}, a: hang, b: hang,
			want: "a:1 timeout sent, b:1 timeout sent, c:1 ok sent", took: 150 * ms},
		{name: "by the call's option", opts: []grpc.CallOption{failover.WithHedge(hedge)}, a: takes(time.Second, codes.OK),
			b: takes(10*ms, codes.OK), want: "a:1 canceled sent, b:1 ok sent", took: 60 * ms},
		{name: "after another time, by the call's option", policy: failover.Policy{Hedge: hedge}, a: takes(time.Second, codes.OK),
			opts: []grpc.CallOption{failover.WithHedge(failover.Hedge{After: 500 * ms})}, want: "a:1 canceled sent, b:1 ok sent", took: 500 * ms},
		{name: "not, by the call's option", policy: failover.Policy{Hedge: hedge}, opts: []grpc.CallOption{failover.WithHedge(failover.Hedge{})},
			a: takes(time.Second, codes.OK), want: "a:1 ok sent", took: time.Second},
		{name: "not idempotent", policy: failover.Policy{Hedge: hedge, Idempotent: map[string]bool{}}, a: takes(time.Second, codes.OK),
			want: "a:1 ok sent", took: time.Second},
		{name: "idempotent by its name", policy: failover.Policy{Hedge: hedge, Idempotent: map[string]bool{workMethod: true}},
			a: takes(time.Second, codes.OK), want: "a:1 canceled sent, b:1 ok sent", took: 50 * ms},
		{name: "idempotent by the call's option", policy: failover.Policy{Hedge: hedge, Idempotent: map[string]bool{}}, a: takes(time.Second, codes.OK),
			opts: []grpc.CallOption{failover.WithIdempotent(true)}, want: "a:1 canceled sent, b:1 ok sent", took: 50 * ms},
		{name: "not idempotent by the call's option", policy: failover.Policy{Hedge: hedge}, a: takes(time.Second, codes.OK),
			opts: []grpc.CallOption{failover.WithIdempotent(false)}, want: "a:1 ok sent", took: time.Second},
		{name: "a quantile that is not known yet", policy: failover.Policy{Hedge: failover.Hedge{Quantile: 0.9}}, a: takes(time.Second, codes.OK),
			want: "a:1 ok sent", took: time.Second},
		{name: "the budget is spent", policy: failover.Policy{Hedge: hedge, Budget: failover.Budget{Ratio: 0.01, Burst: 1}},
			a: takes(70*ms, codes.Unavailable), b: takes(10*ms, codes.Unavailable), want: "a:1 failed sent, b:1 failed sent", took: 70 * ms,
			code: codes.Unavailable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, works := newWork(t, 3)
				works[0].does(tc.a)
				works[1].does(tc.b)
				var s failover.Statistics
				tc.policy.Statistics = &s
				conn := c.connect(t, tc.policy)
				start := time.Now()
				attempts, err := do(t.Context(), conn, tc.opts...)
				if took := time.Since(start); path(attempts) != tc.want || status.Code(err) != tc.code || took != tc.took {
					t.Errorf("got %q, %v after %v, want %q, %v after %v", path(attempts), err, took, tc.want, tc.code, tc.took)
				}
				for i, a := range attempts {
					if a.Number != i+1 || a.Hedge != (i == 1) || a.Round != 1 {
						t.Errorf("attempt %d: %+v", i+1, a)
					}
				}
				synctest.Wait()
				for i, w := range works {
					if n := w.now.Load(); n != 0 {
						t.Errorf("%s is still at work after the call", c[i].addr)
					}
				}
				got := s.Read()
				hedges, won := min(int64(len(attempts)-1), 1), int64(0)
				if hedges > 0 && attempts[1].Outcome == failover.OK {
					won = 1
				}
				if got.Hedges != hedges || got.HedgesWon != won {
					t.Errorf("counted %d hedges, of which %d won, want %d and %d", got.Hedges, got.HedgesWon, hedges, won)
				}
				for _, r := range got.Replicas {
					if r.InFlight != 0 {
						t.Errorf("%s has %d attempts in flight after the call", r.Replica, r.InFlight)
					}
				}
			})
		})
	}
}

// The caller leaves while the hedge is on its way: that ends the call, whatever has become of the first attempt.
func TestCallerLeavesAHedgedCall(t *testing.T) {
	for _, tc := range []struct {
		name string
		a    func(context.Context) error
		want string
	}{
		{"both are on their way", hang, "a:1 canceled sent, b:1 canceled sent"},
		{"the first has failed", takes(60*ms, codes.Unavailable), "a:1 failed sent, b:1 canceled sent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				works[0].does(tc.a)
				works[1].does(hang)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(100*ms, cancel)
				attempts, err := do(ctx, c.connect(t, failover.Policy{Hedge: failover.Hedge{After: 50 * ms}}))
				failed, ok := errors.AsType[*failover.Error](err)
				if path(attempts) != tc.want || status.Code(err) != codes.Canceled || !ok || failed.Reason != failover.CallerEnded {
					t.Errorf("got %q, %v, want %q, and that the caller has left", path(attempts), err, tc.want)
				}
			})
		})
	}
}

// The hedge goes to a replica that is ready, has room and is not left out, or to none.
func TestHedgeGoesToAReplicaThatCanTakeIt(t *testing.T) {
	hedge := failover.Hedge{After: 50 * ms}
	full := func(t *testing.T, conn *grpc.ClientConn, _ cluster, works []*work) {
		works[0].does(answer(codes.Unavailable))
		works[1].does(takes(time.Hour, codes.OK))
		go do(t.Context(), conn, failover.WithHedge(failover.Hedge{}))
		synctest.Wait()
	}
	down := func(_ *testing.T, _ *grpc.ClientConn, c cluster, _ []*work) {
		c[1].crash()
		synctest.Wait()
	}
	out := func(t *testing.T, conn *grpc.ClientConn, c cluster, works []*work) {
		works[0].does(answer(codes.Unavailable))
		works[1].does(answer(codes.Unavailable))
		for range 3 {
			do(t.Context(), conn)
		}
		time.Sleep(500 * ms) // until a, whose health is fine, is taken back
		synctest.Wait()
	}
	for _, tc := range []struct {
		name     string
		replicas int
		prepare  func(t *testing.T, conn *grpc.ClientConn, c cluster, works []*work)
		policy   failover.Policy
		want     string
	}{
		{"b is full", 3, full, failover.Policy{Hedge: hedge, MaxInFlight: 1}, "a:1 canceled sent, c:1 ok sent"},
		{"all are full", 2, full, failover.Policy{Hedge: hedge, MaxInFlight: 1}, "a:1 ok sent"},
		{"b is down", 3, down, failover.Policy{Hedge: hedge}, "a:1 canceled sent, c:1 ok sent"},
		{"all are down", 2, down, failover.Policy{Hedge: hedge}, "a:1 ok sent"},
		{"b is left out", 3, out, failover.Policy{Hedge: hedge}, "a:1 canceled sent, c:1 ok sent"},
		{"all are left out", 2, out, failover.Policy{Hedge: hedge}, "a:1 ok sent"},
		{"there is no other", 1, func(*testing.T, *grpc.ClientConn, cluster, []*work) {}, failover.Policy{Hedge: hedge}, "a:1 ok sent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, works := newWork(t, tc.replicas)
				if tc.replicas > 1 {
					c[1].handle = hang // so that it stays out
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				conn := c.connect(t, tc.policy)
				tc.prepare(t, conn, c, works)
				works[0].does(takes(time.Second, codes.OK))
				if attempts, err := do(ctx, conn); err != nil || path(attempts) != tc.want {
					t.Errorf("got %q, %v, want %q", path(attempts), err, tc.want)
				}
				conn.Close()
			})
		})
	}
}

// After the first five, a call in fifty is hedged where the policy says no more, and others as it says.
func TestHedgesWithinTheirShare(t *testing.T) {
	hedge := failover.Hedge{After: 50 * ms}
	for _, tc := range []struct {
		name   string
		policy failover.Policy
		opts   []grpc.CallOption
		want   int64 // of 1000 calls
	}{
		{"the default", failover.Policy{Hedge: hedge}, nil, 5 + 20},
		{"a tenth", failover.Policy{Hedge: failover.Hedge{After: 50 * ms, Share: 0.1}}, nil, 5 + 100},
		{"by the call's option", failover.Policy{}, []grpc.CallOption{failover.WithHedge(hedge)}, 5 + 20},
		{"within the budget", failover.Policy{Hedge: hedge, Budget: failover.Budget{Ratio: 0.01, Burst: 1}}, nil, 1 + 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				for _, w := range works {
					w.does(takes(100*ms, codes.OK))
				}
				var s failover.Statistics
				tc.policy.Statistics = &s
				conn := c.connect(t, tc.policy)
				for range 1000 {
					if _, err := do(t.Context(), conn, tc.opts...); err != nil {
						t.Fatal(err)
					}
				}
				got := s.Read()
				if got.Hedges < tc.want-1 || got.Hedges > tc.want {
					t.Errorf("%d hedges in 1000 calls, want %d", got.Hedges, tc.want)
				}
				if got.Denied != 1000-got.Hedges {
					t.Errorf("%d hedges denied, want %d", got.Denied, 1000-got.Hedges)
				}
			})
		})
	}
}

// The delay is learnt from the attempts that succeeded, of each method by itself; rejections are quick and teach nothing.
func TestHedgeLearnsTheQuantile(t *testing.T) {
	learn := failover.Hedge{Quantile: 0.9}
	for _, tc := range []struct {
		name   string
		policy failover.Policy
		opts   []grpc.CallOption
	}{
		{"by the policy", failover.Policy{Hedge: learn}, nil},
		{"by the call's option", failover.Policy{}, []grpc.CallOption{failover.WithHedge(learn)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				conn := c.connect(t, tc.policy)
				works[0].does(takes(20*ms, codes.OK))
				for range 64 {
					wantPath(t, conn, "a:1 ok sent", tc.opts...)
					works[0].does(answer(codes.NotFound))
					do(t.Context(), conn, tc.opts...)
					works[0].does(takes(20*ms, codes.OK))
				}
				works[0].does(takes(time.Second, codes.OK))
				start := time.Now()
				wantPath(t, conn, "a:1 canceled sent, b:1 ok sent", tc.opts...)
				if took := time.Since(start); took < 20*ms || took > 24*ms {
					t.Errorf("hedged after %v, want 20ms, and 19%% more at most", took)
				}
				start = time.Now()
				conn.Invoke(t.Context(), "/test.Work/Other", new(healthv1.HealthCheckRequest), new(healthv1.HealthCheckResponse), tc.opts...)
				if took := time.Since(start); took != time.Second {
					t.Errorf("another method took %v, want 1s: nothing is known of it", took)
				}
			})
		})
	}
}

// A replica that hedges overtake is left out like one that hangs.
func TestReplicaThatHedgesOvertakeIsLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		c[0].handle = hang
		works[0].does(takes(time.Second, codes.OK))
		conn := c.connect(t, failover.Policy{Hedge: failover.Hedge{After: 50 * ms}})
		for range 3 {
			wantPath(t, conn, "a:1 canceled sent, b:1 ok sent")
		}
		wantPath(t, conn, "b:1 ok sent")
	})
}

// named is a connection that knows whose it is.
type named struct {
	net.Conn
	addr
}

type addr string

func (n named) RemoteAddr() net.Addr { return n.addr }
func (addr) Network() string         { return "test" }
func (a addr) String() string        { return string(a) }

// peers is a dialer that names the peers.
func (c cluster) peers() grpc.DialOption {
	return grpc.WithContextDialer(func(ctx context.Context, to string) (net.Conn, error) {
		conn, err := c[to[0]-'a'].dial(ctx)
		return named{conn, addr(to)}, err
	})
}

// signs makes a replica sign its answers, in the header, the message and the trailer, after a time by chance.
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

// Whichever attempt wins, the reply, the header, the trailer and the peer are its own; and the message of an attempt that
// failed is gone. Half of the calls end in the same instant as their hedge.
func TestOutputsOfAHedgedCallAreTheWinners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		for _, r := range c {
			r.signs(4 * ms)
		}
		var s failover.Statistics
		conn := c.connect(t, failover.Policy{Hedge: failover.Hedge{After: ms, Share: 1}, Order: failover.Random, Statistics: &s,
			Rounds: 20, Ejection: failover.Ejection{After: -1}}, c.peers())
		var callers sync.WaitGroup
		for range 8 {
			callers.Go(func() {
				for range 300 {
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
					if !slices.ContainsFunc(attempts, func(a failover.Attempt) bool { return a.Replica == by && a.Outcome == failover.OK }) {
						t.Errorf("the reply is %q, the attempts %q", by, path(attempts))
					}
					if h, tr := strings.Join(header["by"], " "), strings.Join(trailer["by"], " "); h != by || tr != by || from.Addr.String() != by {
						t.Errorf("the reply is of %s, the header of %q, the trailer of %q, the peer %v: %q", by, h, tr, from.Addr, path(attempts))
					}
				}
			})
		}
		callers.Wait()
		if got := s.Read(); got.HedgesWon == 0 || got.HedgesWon == got.Hedges {
			t.Errorf("of %d hedges %d won: the test has tested nothing", got.Hedges, got.HedgesWon)
		}
	})
}

// A reply of another codec than protobuf's.
func TestHedgedReplyOfAnotherCodec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 3)
		for _, r := range c {
			r.signs(4 * ms)
		}
		conn := c.connect(t, failover.Policy{Hedge: failover.Hedge{After: ms, Share: 1}, Order: failover.Random, Rounds: 20,
			Ejection: failover.Ejection{After: -1}})
		won := 0
		for range 300 {
			var attempts []failover.Attempt
			reply := "of the caller"
			if err := conn.Invoke(t.Context(), workMethod, nil, &reply, grpc.ForceCodec(textCodec{}), failover.Trace(&attempts)); err != nil {
				t.Fatal(err)
			}
			by := strings.TrimLeft(reply, "\n\x03") // as protobuf has it
			i := slices.IndexFunc(attempts, func(a failover.Attempt) bool { return a.Replica == by && a.Outcome == failover.OK })
			if i < 0 {
				t.Fatalf("the reply is %q, the attempts %q", reply, path(attempts))
			}
			if attempts[i].Hedge {
				won++
			}
		}
		if won == 0 {
			t.Error("no hedge won: the test has tested nothing")
		}
	})
}

// One replica of three answers after 1 s, the others after 10 ms. Hedges, and what they tell of the slow one, take its part
// in the latency away for 2% more requests.
func TestHedgesCutTheTail(t *testing.T) {
	const calls = 4000
	measure := func(t *testing.T, p failover.Policy, callers int) (p99 time.Duration, requests int64) {
		synctest.Test(t, func(t *testing.T) {
			c, works := newWork(t, 3)
			works[0].does(takes(time.Second, codes.OK))
			works[1].does(takes(10*ms, codes.OK))
			works[2].does(takes(10*ms, codes.OK))
			conn := c.connect(t, p)
			var mu sync.Mutex
			var took []time.Duration
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for range calls / callers {
						start := time.Now()
						if _, err := do(t.Context(), conn); err != nil {
							t.Error(err)
						}
						mu.Lock()
						took = append(took, time.Since(start))
						mu.Unlock()
					}
				})
			}
			all.Wait()
			slices.Sort(took)
			p99, requests = took[len(took)*99/100], works[0].served.Load()+works[1].served.Load()+works[2].served.Load()
		})
		return p99, requests
	}
	for _, tc := range []struct {
		name    string
		hedge   failover.Hedge
		order   failover.Order
		callers int
	}{
		{"round-robin", failover.Hedge{After: 20 * ms}, failover.RoundRobin, 1},
		{"random", failover.Hedge{After: 20 * ms}, failover.Random, 1},
		{"random, 16 callers", failover.Hedge{After: 20 * ms}, failover.Random, 16},
		{"round-robin, 16 callers", failover.Hedge{After: 20 * ms}, failover.RoundRobin, 16},
		{"round-robin, learnt", failover.Hedge{After: 50 * ms, Quantile: 0.6}, failover.RoundRobin, 1},
		{"random, learnt, 16 callers", failover.Hedge{Quantile: 0.6}, failover.Random, 16},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before, _ := measure(t, failover.Policy{Order: tc.order}, tc.callers)
			after, requests := measure(t, failover.Policy{Order: tc.order, Hedge: tc.hedge}, tc.callers)
			if before < 5*after {
				t.Errorf("p99 fell from %v to %v, want a fifth at most", before, after)
			}
			if requests > calls*102/100 {
				t.Errorf("%d requests for %d calls, want 2%% more at most", requests, calls)
			}
			t.Logf("p99 from %v to %v, %d requests for %d calls", before, after, requests, calls)
		})
	}
}
