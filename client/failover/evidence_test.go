package failover_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc/codes"
)

var orders = []failover.Order{failover.OrderFirst, failover.OrderRoundRobin, failover.OrderRandom, failover.OrderLeastInFlight, failover.OrderSticky}

// doFor makes calls with the given deadline and returns how many failed.
func doFor(t *testing.T, conn *failover.Client, calls int, deadline time.Duration) (failed int) {
	t.Helper()
	for range calls {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		if _, err := do(ctx, conn); err != nil {
			failed++
		}
		cancel()
	}
	return failed
}

// A replica that hangs is ejected within a few calls, even if only their callers' deadlines end
// them.
func TestHungReplicaWithCallersDeadlines(t *testing.T) {
	for _, order := range orders {
		for _, tc := range []struct {
			name   string
			policy failover.Policy
			most   int // calls that fail, of 40
		}{
			{"zero", failover.Policy{}, 4},
			{"a longer timeout", failover.Policy{Timeout: time.Second}, 4},
			{"after one", failover.Policy{Ejection: failover.Ejection{After: 1}}, 2},
			{"waiting", failover.Policy{WhenDown: failover.WhenDownWait}, 4},
			{"idempotent", failover.Policy{Idempotent: map[string]bool{"/": true}}, 4},
		} {
			for _, known := range []bool{true, false} {
				t.Run(fmt.Sprintf("%v, %s, one call before: %v", order, tc.name, known), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						c, works := newWork(t, 3)
						if tc.policy.Order = order; tc.policy.Idempotent == nil {
							tc.policy.Idempotent = map[string]bool{"/": false}
						}
						conn := c.connect(t, tc.policy)
						if known {
							do(t.Context(), conn)
						}
						works[0].does(hang)
						c[0].handle = hang
						if failed := doFor(t, conn, 40, 300*ms); failed > tc.most {
							t.Errorf("%d of 40 calls failed, want at most %d", failed, tc.most)
						}
						if !conn.Statistics().Replicas[0].Ejected {
							t.Error("it is not ejected")
						}
					})
				})
			}
		}
	}
}

// Replicas that are all slower than their callers' deadlines are not ejected, nor are those whose
// callers cancel.
func TestUniformlySlowReplicasAreNotEjected(t *testing.T) {
	for _, order := range orders {
		for name, leave := range map[string]func(context.Context) (context.Context, context.CancelFunc){
			"by deadlines": func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 300*ms)
			},
			"by canceling": func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				time.AfterFunc(300*ms, cancel)
				return ctx, cancel
			},
		} {
			for _, idempotent := range []bool{true, false} {
				t.Run(fmt.Sprintf("%v, %s, idempotent %v", order, name, idempotent), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						c, works := newWork(t, 3)
						for _, w := range works {
							w.does(takes(500*ms, codes.OK))
						}
						conn := c.connect(t, failover.Policy{Order: order, Idempotent: map[string]bool{"/": idempotent}})
						for range 60 {
							ctx, cancel := leave(t.Context())
							do(ctx, conn)
							cancel()
						}
						if n := conn.Statistics().Ejections; n != 0 {
							t.Errorf("%d ejections, want none", n)
						}
					})
				})
			}
		}
	}
}

// If all replicas are healthy, no call fails that the first replica would have answered in time,
// and few make more than one request, whatever the deadline and the distribution of service times.
func TestSharingTheTimeLosesNoCall(t *testing.T) {
	distributions := map[string]func(*rand.Rand) time.Duration{
		"constant":    func(*rand.Rand) time.Duration { return 500 * ms },
		"uniform":     func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(time.Second))) },
		"exponential": func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(200*ms)) },
		"one in 25 is heavy": func(r *rand.Rand) time.Duration {
			if r.IntN(25) == 0 {
				return 800 * ms
			}
			return 10 * ms
		},
		"one in 5 is heavy": func(r *rand.Rand) time.Duration {
			if r.IntN(5) == 0 {
				return 800 * ms
			}
			return 10 * ms
		},
	}
	for name, service := range distributions {
		for _, deadline := range []time.Duration{300 * ms, time.Second, 3 * time.Second} {
			for _, whenDown := range []failover.WhenDown{failover.WhenDownAttempt, failover.WhenDownWait} {
				t.Run(fmt.Sprintf("%s, %v, %v", name, deadline, whenDown), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						c := newCluster(t, 3)
						luck := rand.New(rand.NewPCG(1, 2))
						var heavy atomic.Int64 // service time of the current call at every replica
						for _, r := range c {
							r.handle = func(ctx context.Context) error { return takes(time.Duration(heavy.Load()), codes.OK)(ctx) }
						}
						conn := c.connect(t, failover.Policy{WhenDown: whenDown, Order: failover.OrderRoundRobin})
						calls := int64(1000)
						if raced {
							calls /= 5
						}
						for i := range calls {
							needs := service(luck)
							heavy.Store(int64(needs))
							ctx, cancel := context.WithTimeout(t.Context(), deadline)
							attempts, err := call(ctx, conn)
							cancel()
							synctest.Wait()
							if err != nil && needs < deadline {
								t.Fatalf("call %d: %q, %v, though it takes %v", i, path(attempts), err, needs)
							}
						}
						requests := int64(0)
						for _, r := range c {
							requests += r.served.Load()
						}
						if requests > calls*12/10 {
							t.Errorf("%d requests for %d calls, want at most 1.2 times as many", requests, calls)
						}
					})
				})
			}
		}
	}
}

// A replica that comes back and hangs costs one call at a time, whatever the order: the others
// avoid it until it has answered.
func TestReplicaComesBackAndHangs(t *testing.T) {
	for _, order := range orders {
		t.Run(order.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 3)
				conn := c.connect(t, failover.Policy{Order: order, Idempotent: map[string]bool{"/": false}})
				for range 3 {
					call(t.Context(), conn)
				}
				c[0].crash()
				time.Sleep(100 * ms)
				c[0].handle = hang
				c[0].start()
				var calls sync.WaitGroup
				var failed atomic.Int64
				for range 50 {
					calls.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						defer cancel()
						if _, err := call(ctx, conn); err != nil {
							failed.Add(1)
						}
					})
					time.Sleep(10 * ms)
				}
				calls.Wait()
				if n := failed.Load(); n > 1 {
					t.Errorf("%d calls failed, want at most 1", n)
				}
			})
		})
	}
}

// Any answer of a live process except NOT_SERVING puts it on trial.
func TestProbeResults(t *testing.T) {
	for _, tc := range []struct {
		code codes.Code
		back bool
	}{
		{codes.OK, true}, {codes.Unimplemented, true}, {codes.NotFound, true}, {codes.Unauthenticated, true}, {codes.PermissionDenied, true},
		{codes.Internal, true}, {codes.Unavailable, false}, {codes.ResourceExhausted, true}, {codes.DeadlineExceeded, false},
	} {
		t.Run(tc.code.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				c[0].handle = answer(tc.code)
				conn := c.connect(t, failover.Policy{})
				ejectFirst(t, conn, works[0])
				works[0].does(nil)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				want := "b:1 ok sent"
				if tc.back {
					want = "a:1 ok sent"
				}
				wantPath(t, conn, want)
			})
		})
	}
}

// A replica whose probes can never succeed is still tried, ever more rarely.
func TestTrialWithoutHealthyProbe(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		c[0].handle = answer(codes.Unavailable)
		conn := c.connect(t, failover.Policy{})
		ejectFirst(t, conn, works[0])
		works[0].does(answer(codes.Unavailable))
		time.Sleep(9 * time.Second)
		synctest.Wait()
		wantPath(t, conn, "b:1 ok sent")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		wantPath(t, conn, "a:1 failed sent, b:1 ok sent") // a trial, which fails
		works[0].does(nil)
		time.Sleep(18 * time.Second)
		synctest.Wait()
		wantPath(t, conn, "b:1 ok sent")
		time.Sleep(4 * time.Second)
		synctest.Wait()
		wantPath(t, conn, "a:1 ok sent")
		wantPath(t, conn, "a:1 ok sent")
	})
}

// Only a bounded share of the replicas is ejected, so that the others can carry the load.
func TestMaxShare(t *testing.T) {
	for _, tc := range []struct {
		n, want int
		share   float64
	}{{2, 1, 0}, {3, 2, 0}, {6, 4, 0}, {6, 1, 0.2}, {6, 5, 0.9}} {
		t.Run(fmt.Sprint(tc), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, tc.n)
				for i, w := range works {
					w.does(answer(codes.Unavailable))
					c[i].handle = answer(codes.Unavailable)
				}
				conn := c.connect(t, failover.Policy{Ejection: failover.Ejection{After: 3, MaxShare: tc.share}})
				for range 10 {
					do(t.Context(), conn)
				}
				out := 0
				for _, r := range conn.Statistics().Replicas {
					if r.Ejected {
						out++
					}
				}
				if out != tc.want {
					t.Errorf("%d of %d are ejected, want %d", out, tc.n, tc.want)
				}
			})
		})
	}
}

// Replicas without a connection cannot carry the load, so only one of the two others may be
// ejected.
func TestMaxShareCountsConnectedReplicas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 4)
		for i, w := range works[:2] {
			w.does(answer(codes.Unavailable))
			c[i].handle = answer(codes.Unavailable)
			c[2+i].crash()
		}
		conn := c.connect(t, failover.Policy{})
		for range 10 {
			do(t.Context(), conn)
		}
		if r := conn.Statistics().Replicas; !r[0].Ejected || r[1].Ejected {
			t.Errorf("%+v, want only the first ejected", r)
		}
	})
}

// A replica that breaks the connection at each request, and accepts the next, is ejected.
func TestReplicaThatBreaksConnectionsIsEjected(t *testing.T) {
	for _, order := range orders {
		t.Run(order.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 3)
				c[0].raw(t, hangUp)
				conn := c.connect(t, failover.Policy{Order: order, Idempotent: map[string]bool{"/": false}})
				failed := 0
				for range 60 {
					if _, err := call(t.Context(), conn); err != nil {
						failed++
					}
					time.Sleep(100 * ms)
				}
				if failed > 6 {
					t.Errorf("%d of 60 calls failed, want at most 6", failed)
				}
			})
		})
	}
}

// A crash that takes many attempts with it counts once.
func TestLossesOfOneCrashCountOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		conn := c.connect(t, failover.Policy{})
		for range 5 {
			works[0].does(hang)
			var calls sync.WaitGroup
			for range 10 {
				calls.Go(func() { do(t.Context(), conn) })
			}
			synctest.Wait()
			c[0].crash()
			calls.Wait()
			works[0].does(nil)
			c[0].start()
			time.Sleep(time.Second)
			wantPath(t, conn, "a:1 ok sent")
		}
		if n := conn.Statistics().Ejections; n != 0 {
			t.Errorf("%d ejections, want none", n)
		}
	})
}

// An unimplemented method says nothing about the others of its replica.
func TestMethodThatIsNotImplemented(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		works[0].does(answer(codes.Unimplemented))
		conn := c.connect(t, failover.Policy{Retryable: []codes.Code{codes.Unimplemented}})
		for range 10 {
			wantPath(t, conn, "a:1 failed sent, b:1 ok sent")
		}
		if n := conn.Statistics().Ejections; n != 0 {
			t.Errorf("%d ejections, want none", n)
		}
	})
}
