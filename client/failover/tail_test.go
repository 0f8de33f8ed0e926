package failover_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc/codes"
)

// If all replicas are slow, hedges sometimes overtake. The load must still be spread over all of
// them.
func TestAllAreSlow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 3)
		for _, w := range works {
			w.does(func(ctx context.Context) error { return takes(50*ms+rand.N(100*ms), codes.OK)(ctx) })
		}
		conn := c.connect(t, failover.Policy{Hedge: failover.Hedge{After: 50 * ms, Share: 0.5}, Order: failover.OrderRoundRobin})
		for range 600 {
			if _, err := do(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
		}
		for i, w := range works {
			if n := w.served.Load(); n < 150 {
				t.Errorf("%s served %d of 600 calls and 300 hedges, want about a third", c[i].addr, n)
			}
		}
	})
}

// One replica of three answers after 1 s, the others after 10 ms. Hedges, and the ejections that
// they cause, remove its share of the latency at the cost of 2% more requests and a burst of five.
func TestHedgesCutTheTail(t *testing.T) {
	for _, tc := range []struct {
		name    string
		hedge   failover.Hedge
		order   failover.Order
		callers int
		learn   int // calls of each caller before measuring
	}{
		{"round-robin", failover.Hedge{After: 20 * ms, Share: 0.02}, failover.OrderRoundRobin, 1, 0},
		{"random", failover.Hedge{After: 20 * ms, Share: 0.02}, failover.OrderRandom, 1, 0},
		{"round-robin, 16 callers", failover.Hedge{After: 20 * ms, Share: 0.02}, failover.OrderRoundRobin, 16, 0},
		{"random, learned, 16 callers", failover.Hedge{Quantile: 0.5, Share: 0.02}, failover.OrderRandom, 16, 40},
	} {
		t.Run(tc.name, func(t *testing.T) {
			const calls = 1600
			before, _ := measureTail(t, failover.Policy{Order: tc.order}, calls/10, tc.callers, 0)
			after, requests := measureTail(t, failover.Policy{Order: tc.order, Hedge: tc.hedge}, calls, tc.callers, tc.learn)
			if before < 5*after {
				t.Errorf("p99 fell from %v to %v, want at most a fifth", before, after)
			}
			if all := calls + tc.learn*tc.callers; requests > int64(all+all/50+5) {
				t.Errorf("%d requests for %d calls, want at most 2%% more", requests, all)
			}
		})
	}
}

// measureTail returns the 99th percentile of the latency, after each caller has made some calls for
// learning, and the total number of requests.
func measureTail(t *testing.T, p failover.Policy, calls, callers, learn int) (p99 time.Duration, requests int64) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 3)
		for i, w := range works {
			w.does(takes([]time.Duration{time.Second, 10 * ms, 10 * ms}[i], codes.OK))
		}
		conn := c.connect(t, p)
		took := make([][]time.Duration, callers)
		var all sync.WaitGroup
		for k := range took {
			all.Go(func() {
				for range learn + calls/callers {
					start := time.Now()
					if _, err := do(t.Context(), conn); err != nil {
						t.Error(err)
					}
					took[k] = append(took[k], time.Since(start))
				}
			})
		}
		all.Wait()
		var counted []time.Duration
		for _, of := range took {
			counted = append(counted, of[learn:]...)
		}
		slices.Sort(counted)
		p99 = counted[len(counted)*99/100]
		for _, w := range works {
			requests += w.served.Load()
		}
	})
	return p99, requests
}
