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

// doMethod makes one call of a method with the given deadline.
func doMethod(t *testing.T, conn *failover.Client, method string, deadline time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	return conn.Invoke(ctx, method, new(healthv1.HealthCheckRequest), new(healthv1.HealthCheckResponse))
}

// A replica that hangs costs only a few calls, even if calls are rare.
func TestHungReplicaUnderRareCalls(t *testing.T) {
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
							t.Errorf("%d of 40 calls failed, want at most 4", failed)
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

// Replicas that are all alike are not ejected for bad luck, however often the deadline comes first.
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

// A method whose calls always end with their deadlines, such as a long poll, is not compared with a
// fast one.
func TestSlowMethodBesideFastOne(t *testing.T) {
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

// If all replicas become too slow for their callers at the same time, earlier latencies are no
// evidence against any of them.
func TestAllReplicasBecomeSlow(t *testing.T) {
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

// The same if only half of the calls become too slow. Three consecutive slow calls at one replica,
// and none elsewhere for a while, cannot be distinguished from an unhealthy replica; but they are
// rare.
func TestHalfOfTheCallsBecomeSlow(t *testing.T) {
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
		t.Errorf("%d ejections in 20 times 60 calls, want at most 6", ejections)
	}
}

// With two of three replicas hanging, most calls succeed.
func TestTwoHungReplicas(t *testing.T) {
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
					t.Errorf("%d of 200 calls failed, want at most 16", failed)
				}
			})
		})
	}
}

// A replica that reports that it is healthy but answers no call costs calls ever more rarely.
func TestHungReplicaWithHealthyProbes(t *testing.T) {
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
						t.Errorf("%d calls failed in two minutes, want at most 15", failed)
					}
				})
			})
		}
	}
}

// Of many concurrent callers, each loses a call or two to a replica that hangs.
func TestHungReplicaUnderManyCallers(t *testing.T) {
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
					t.Errorf("%d of 800 calls failed, want at most 30", failed)
				}
			})
		})
	}
}
