package failover_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// takes returns a handler that answers with the code after the given time, unless it is canceled
// first.
func takes(d time.Duration, c codes.Code) func(context.Context) error {
	return func(ctx context.Context) error {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return status.Error(c, "as requested")
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

const ms = time.Millisecond

// A call to three replicas begins at a and is hedged at b after 50 ms. The third replica answers at
// once.
func TestHedge(t *testing.T) {
	hedge := failover.Hedge{After: 50 * ms, Share: 0.02}
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
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 3)
				works[0].does(tc.a)
				works[1].does(tc.b)
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
				got := conn.Statistics()
				hedges, won := min(int64(len(attempts)-1), 1), int64(0)
				if hedges > 0 && attempts[1].Outcome == failover.OutcomeOK {
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

// A caller that cancels during a hedge ends the call, however the first attempt has ended.
func TestCallerLeavesAHedgedCall(t *testing.T) {
	for _, tc := range []struct {
		name string
		a    func(context.Context) error
		want string
	}{
		{"both are in flight", hang, "a:1 canceled sent, b:1 canceled sent"},
		{"the first has failed", takes(60*ms, codes.Unavailable), "a:1 failed sent, b:1 canceled sent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				works[0].does(tc.a)
				works[1].does(hang)
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(100*ms, cancel)
				attempts, err := do(ctx, c.connect(t, failover.Policy{Hedge: failover.Hedge{After: 50 * ms}}))
				failed, ok := errors.AsType[*failover.Error](err)
				if path(attempts) != tc.want || status.Code(err) != codes.Canceled || !ok || failed.Reason != failover.ReasonCallerEnded {
					t.Errorf("got %q, %v, want %q, and that the caller has left", path(attempts), err, tc.want)
				}
			})
		})
	}
}

// The hedge goes to a replica that is ready, has room and is not ejected, or there is no hedge.
func TestHedgeGoesToAReplicaThatCanTakeIt(t *testing.T) {
	hedge, all := failover.Hedge{After: 50 * ms}, failover.Ejection{After: 3, MaxShare: 1}
	full := func(t *testing.T, conn *failover.Client, _ cluster, works []*work) {
		works[0].does(answer(codes.Unavailable))
		works[1].does(takes(time.Hour, codes.OK))
		go do(t.Context(), conn, failover.WithHedge(failover.Hedge{}))
		synctest.Wait()
	}
	down := func(_ *testing.T, _ *failover.Client, c cluster, _ []*work) {
		c[1].crash()
		synctest.Wait()
	}
	out := func(t *testing.T, conn *failover.Client, c cluster, works []*work) {
		works[0].does(answer(codes.Unavailable))
		works[1].does(answer(codes.Unavailable))
		for range 3 {
			do(t.Context(), conn)
		}
		time.Sleep(500 * ms) // until a, which reports that it is healthy, is reinstated
		synctest.Wait()
	}
	for _, tc := range []struct {
		name     string
		replicas int
		prepare  func(t *testing.T, conn *failover.Client, c cluster, works []*work)
		policy   failover.Policy
		want     string
	}{
		{"b is full", 3, full, failover.Policy{Hedge: hedge, MaxInFlight: 1}, "a:1 canceled sent, c:1 ok sent"},
		{"all are full", 2, full, failover.Policy{Hedge: hedge, MaxInFlight: 1}, "a:1 ok sent"},
		{"b is down", 3, down, failover.Policy{Hedge: hedge}, "a:1 canceled sent, c:1 ok sent"},
		{"all are down", 2, down, failover.Policy{Hedge: hedge}, "a:1 ok sent"},
		{"b is ejected", 3, out, failover.Policy{Hedge: hedge, Ejection: all}, "a:1 canceled sent, c:1 ok sent"},
		{"all are ejected", 2, out, failover.Policy{Hedge: hedge, Ejection: all}, "a:1 ok sent"},
		{"there is no other", 1, func(*testing.T, *failover.Client, cluster, []*work) {}, failover.Policy{Hedge: hedge}, "a:1 ok sent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, tc.replicas)
				if tc.replicas > 1 {
					c[1].handle = hang // so that it stays ejected
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

// After a burst of five, the share limits the hedges.
func TestHedgesWithinTheirShare(t *testing.T) {
	hedge := failover.Hedge{After: 50 * ms, Share: 0.02}
	for _, tc := range []struct {
		name   string
		policy failover.Policy
		opts   []grpc.CallOption
		want   int64 // of 200 calls
	}{
		{"none", failover.Policy{Hedge: failover.Hedge{After: 50 * ms}}, nil, 5},
		{"a fiftieth", failover.Policy{Hedge: hedge}, nil, 5 + 4},
		{"a tenth", failover.Policy{Hedge: failover.Hedge{After: 50 * ms, Share: 0.1}}, nil, 5 + 20},
		{"by the call's option", failover.Policy{}, []grpc.CallOption{failover.WithHedge(hedge)}, 5 + 4},
		{"within the budget", failover.Policy{Hedge: hedge, Budget: failover.Budget{Ratio: 0.01, Burst: 1}}, nil, 1 + 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				for _, w := range works {
					w.does(takes(100*ms, codes.OK))
				}
				conn := c.connect(t, tc.policy)
				for range 200 {
					if _, err := do(t.Context(), conn, tc.opts...); err != nil {
						t.Fatal(err)
					}
				}
				got := conn.Statistics()
				if got.Hedges < tc.want-1 || got.Hedges > tc.want {
					t.Errorf("%d hedges in 200 calls, want %d", got.Hedges, tc.want)
				}
				if got.Denied != 200-got.Hedges {
					t.Errorf("%d hedges denied, want %d", got.Denied, 200-got.Hedges)
				}
			})
		})
	}
}

// The delay is learned for each method separately, from successful attempts only. Rejections are
// quick and do not count.
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
			bubble(t, func(t *testing.T) {
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
					t.Errorf("hedged after %v, want 20ms, and at most 19%% more", took)
				}
				start = time.Now()
				conn.Invoke(t.Context(), "/test.Work/Other", new(healthv1.HealthCheckRequest), new(healthv1.HealthCheckResponse), tc.opts...)
				if took := time.Since(start); took != time.Second {
					t.Errorf("another method took %v, want 1s, as nothing was learned about it", took)
				}
			})
		})
	}
}

// A replica that hedges overtake is ejected like one that hangs.
func TestReplicaThatHedgesOvertakeIsEjected(t *testing.T) {
	bubble(t, func(t *testing.T) {
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

// Not every slow call is hedged. Those without a hedge neither clear the replica nor count against
// it.
func TestSlowCallsBetweenHedgesDoNotClear(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		c[0].handle = hang
		works[0].does(takes(time.Second, codes.OK))
		conn := c.connect(t, failover.Policy{Hedge: failover.Hedge{After: 50 * ms}, Budget: failover.Budget{PerSecond: 0.01, Burst: 2}})
		for range 2 {
			wantPath(t, conn, "a:1 canceled sent, b:1 ok sent")
		}
		for range 10 {
			wantPath(t, conn, "a:1 ok sent")
		}
		time.Sleep(100 * time.Second) // for one more hedge
		wantPath(t, conn, "a:1 canceled sent, b:1 ok sent")
		wantPath(t, conn, "b:1 ok sent")
	})
}

// The trial of a replica has a hedge even if the share of hedges is spent.
func TestTrialHasAHedge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		c.noHealth()
		conn := c.connect(t, failover.Policy{Hedge: failover.Hedge{After: 50 * ms, Share: 0.001}})
		for _, w := range works {
			w.does(takes(60*ms, codes.OK))
		}
		for range 5 {
			wantPath(t, conn, "a:1 ok sent, b:1 canceled sent")
		}
		wantPath(t, conn, "a:1 ok sent")
		ejectFirst(t, conn, works[0])
		works[0].does(takes(time.Second, codes.OK))
		works[1].does(nil)
		time.Sleep(501 * ms) // until it is on trial
		wantPath(t, conn, "a:1 canceled sent, b:1 ok sent")
		wantPath(t, conn, "b:1 ok sent")
		works[0].does(takes(60*ms, codes.OK)) // slow, but not overtaken
		works[1].does(takes(60*ms, codes.OK))
		time.Sleep(1001 * ms)
		wantPath(t, conn, "a:1 ok sent, b:1 canceled sent")
		wantPath(t, conn, "a:1 ok sent")
	})
}
