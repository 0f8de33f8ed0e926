package failover_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// doMethod makes one call of a method with that deadline.
func doMethod(t *testing.T, conn *failover.Client, method string, deadline time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	return conn.Invoke(ctx, method, new(healthv1.HealthCheckRequest), new(healthv1.HealthCheckResponse))
}

// However rare the calls are, a replica that hangs costs a few of them.
func TestReplicaThatHangsAndRareCalls(t *testing.T) {
	for _, order := range orders {
		for _, every := range []time.Duration{time.Second, 10 * time.Second, time.Minute} {
			for _, after := range []int{1, 3} {
				t.Run(fmt.Sprintf("%v, every %v, after %d", order, every, after), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						c, works := newWork(t, 3)
						conn := c.connect(t, failover.Policy{Order: order, Idempotent: map[string]bool{"/": false},
							Ejection: failover.Ejection{After: after, Probe: time.Hour}})
						do(t.Context(), conn)
						works[0].does(hang)
						failed := 0
						for range 40 {
							failed += doFor(t, conn, 1, 300*ms)
							time.Sleep(every)
						}
						if failed > 4 {
							t.Errorf("%d of 40 calls failed, want 4 at most", failed)
						}
						if !conn.Statistics().Replicas[0].Ejected {
							t.Error("it is not left out")
						}
					})
				})
			}
		}
	}
}

// Replicas that are all alike are not left out for the luck of the draw, however often the deadline
// comes first.
func TestBadLuckIsNoEvidence(t *testing.T) {
	draws := map[string]func(*rand.Rand) time.Duration{
		"exponential": func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(300*ms)) },
		"short":       func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(100*ms)) },
		"long":        func(r *rand.Rand) time.Duration { return time.Duration(r.ExpFloat64() * float64(time.Second)) },
		"one in ten": func(r *rand.Rand) time.Duration {
			if r.IntN(10) == 0 {
				return time.Second
			}
			return ms
		},
		"every other": func(r *rand.Rand) time.Duration {
			if r.IntN(2) == 0 {
				return time.Second
			}
			return ms
		},
	}
	for name, draw := range draws {
		for _, order := range []failover.Order{failover.OrderFirst, failover.OrderRoundRobin} {
			for _, limit := range []string{"deadline", "timeout"} {
				t.Run(fmt.Sprintf("%s, %v, %s", name, order, limit), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						c, works := newWork(t, 3)
						luck := rand.New(rand.NewPCG(1, 2))
						var mu sync.Mutex // guards luck
						for _, w := range works {
							w.does(func(ctx context.Context) error {
								mu.Lock()
								d := draw(luck)
								mu.Unlock()
								return takes(d, codes.OK)(ctx)
							})
						}
						p := failover.Policy{Order: order, Idempotent: map[string]bool{"/": false}}
						deadline := 300 * ms
						if limit == "timeout" {
							p.Timeout, deadline = 300*ms, time.Minute
						}
						conn := c.connect(t, p)
						doFor(t, conn, 500, deadline)
						if n := conn.Statistics().Ejections; n != 0 {
							t.Errorf("%d ejections, want none", n)
						}
					})
				})
			}
		}
	}
}

// A method whose calls always end with their deadlines, as a long poll, proves nothing beside
// another that is quick.
func TestSlowMethodBesideAQuickOne(t *testing.T) {
	for _, order := range orders {
		for _, after := range []int{1, 3} {
			t.Run(fmt.Sprintf("%v, after %d", order, after), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c, works := newWork(t, 3)
					const poll = "/test.Work/Poll"
					for _, w := range works {
						w.byMethod = map[string]func(context.Context) error{poll: takes(time.Hour, codes.OK)}
					}
					conn := c.connect(t, failover.Policy{Order: order, Idempotent: map[string]bool{"/": false}, Ejection: failover.Ejection{After: after}})
					luck := rand.New(rand.NewPCG(1, 3))
					for range 300 {
						if luck.IntN(2) == 0 {
							doMethod(t, conn, poll, 300*ms)
						} else if err := doMethod(t, conn, workMethod, 300*ms); err != nil {
							t.Fatal(err)
						}
					}
					if n := conn.Statistics().Ejections; n != 0 {
						t.Errorf("%d ejections, want none", n)
					}
				})
			})
		}
	}
}

// Where all have become too slow for the callers at a time, what was known before proves nothing
// against any of them.
func TestAllBecomeSlowAtATime(t *testing.T) {
	for _, order := range orders {
		for _, idempotent := range []bool{true, false} {
			t.Run(fmt.Sprintf("%v, idempotent %v", order, idempotent), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c, works := newWork(t, 3)
					conn := c.connect(t, failover.Policy{Order: order, Idempotent: map[string]bool{"/": idempotent}})
					if failed := doFor(t, conn, 300, 300*ms); failed != 0 {
						t.Fatalf("%d calls failed", failed)
					}
					for _, w := range works {
						w.does(takes(500*ms, codes.OK))
					}
					doFor(t, conn, 100, 300*ms)
					if n := conn.Statistics().Ejections; n != 0 {
						t.Errorf("%d ejections, want none", n)
					}
				})
			})
		}
	}
}

// The same where half of the calls have become too slow, and the others have not. That three in a
// row are slow at one replica and none at the others, where none has been for long, is bad luck
// that cannot be told from illness. It is rare.
func TestHalfOfTheCallsBecomeSlowAtATime(t *testing.T) {
	ejections := int64(0)
	for seed := range uint64(20) {
		bubble(t, func(t *testing.T) {
			c, works := newWork(t, 3)
			conn := c.connect(t, failover.Policy{Order: failover.OrderRoundRobin, Idempotent: map[string]bool{"/": false}})
			doFor(t, conn, 500, 300*ms)
			luck := rand.New(rand.NewPCG(seed, 5))
			for range 60 {
				for _, w := range works {
					w.does(takes([]time.Duration{ms, 500 * ms}[luck.IntN(2)], codes.OK))
				}
				doFor(t, conn, 1, 300*ms)
			}
			ejections += conn.Statistics().Ejections
		})
	}
	if ejections > 6 {
		t.Errorf("%d ejections in 20 times 60 calls, want 6 at most", ejections)
	}
}

// With two of three that hang, most calls get through.
func TestTwoReplicasThatHang(t *testing.T) {
	for _, order := range orders {
		t.Run(order.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 3)
				for i := range 2 {
					works[i].does(hang)
					c[i].handle = hang
				}
				works[2].does(takes(10*ms, codes.OK))
				conn := c.connect(t, failover.Policy{Order: order, Idempotent: map[string]bool{"/": false}})
				if failed := doFor(t, conn, 200, 300*ms); failed > 16 {
					t.Errorf("%d of 200 calls failed, want 16 at most", failed)
				}
			})
		})
	}
}

// A replica whose health service is fine, and that answers no call, costs a call ever more rarely.
func TestReplicaThatHangsButIsHealthy(t *testing.T) {
	for _, order := range orders {
		for _, every := range []time.Duration{100 * ms, time.Second} {
			t.Run(fmt.Sprintf("%v, every %v", order, every), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					c, works := newWork(t, 3)
					works[0].does(hang)
					conn := c.connect(t, failover.Policy{Order: order, Idempotent: map[string]bool{"/": false}})
					failed := 0
					for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(every) {
						failed += doFor(t, conn, 1, 300*ms)
					}
					if failed > 15 {
						t.Errorf("%d calls failed in two minutes, want 15 at most", failed)
					}
				})
			})
		}
	}
}

// Many callers at a time lose a call or two each to a replica that hangs.
func TestReplicaThatHangsAndManyCallers(t *testing.T) {
	for _, order := range orders {
		t.Run(order.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 3)
				conn := c.connect(t, failover.Policy{Order: order, Idempotent: map[string]bool{"/": false}})
				do(t.Context(), conn)
				works[0].does(hang)
				c[0].handle = hang
				works[1].does(takes(10*ms, codes.OK))
				works[2].does(takes(10*ms, codes.OK))
				var callers sync.WaitGroup
				var mu sync.Mutex
				failed := 0
				for range 20 {
					callers.Go(func() {
						n := doFor(t, conn, 40, 300*ms)
						mu.Lock()
						failed += n
						mu.Unlock()
					})
				}
				callers.Wait()
				synctest.Wait()
				if failed > 30 {
					t.Errorf("%d of 800 calls failed, want 30 at most", failed)
				}
			})
		})
	}
}
