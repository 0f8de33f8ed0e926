package integration

import (
	"context"
	"slices"
	"syscall"
	"testing"

	"example.com/crashlab/client/failover"
	counterv1 "example.com/crashlab/gen/counter/v1"
	faultv1 "example.com/crashlab/gen/fault/v1"
)

// With one healthy replica of three, a single round does not fail, whatever its order.
func TestSoakOneIsWell(t *testing.T) {
	besideOthers(t)
	failing := func(c *cluster) {
		for i := range 2 {
			c.setFaults(i, &faultv1.SetRequest{ErrorProbability: new(1.0), ErrorCode: new("UNAVAILABLE")})
		}
	}
	for name, tt := range map[string]struct {
		spoil    func(*cluster) // makes the first two replicas fail
		ejection failover.Ejection
		ready    int  // number of replicas that are connected
		failed   bool // whether attempts at those two fail
	}{
		"gone":     {func(c *cluster) { c.kill(0, 1) }, failover.Ejection{}, 1, false},
		"failing":  {failing, failover.Ejection{Off: true}, 3, true},
		"left out": {failing, failover.Ejection{}, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			besideOthers(t)
			c := startCluster(t, []string{"--restart-delay=" + never})
			tt.spoil(c)
			for _, order := range soakOrders {
				t.Run(order.String(), func(t *testing.T) {
					s := soakCounter(t, c, tt.ready, failover.Policy{Order: order, Ejection: tt.ejection}, nil)
					t.Log(figures(s))
					if tt.failed != (s.Attempts[failover.OutcomeFailed] > 0) {
						t.Errorf("attempts have failed: want %v", tt.failed)
					}
					ready := slices.DeleteFunc(s.Replicas, func(r failover.ReplicaStatistics) bool { return !r.Ready })
					if len(ready) != tt.ready {
						t.Errorf("replicas %+v are ready, want %d", ready, tt.ready)
					}
				})
			}
		})
	}
}

// The replicas are killed in turn, each when the previous one serves again and no call is left that
// its kill can have affected. So two replicas are healthy during each call, and a single round does
// not fail.
func TestSoakOneIsKilled(t *testing.T) {
	long(t, "one kill after the other")
	besideOthers(t)
	for _, order := range soakOrders {
		t.Run(order.String(), func(t *testing.T) {
			besideOthers(t)
			h := newHunter(startCluster(t, []string{"--restart-delay=50ms"}, "--service-time=1ms"))
			s := soakCounter(t, h.cluster, 3, failover.Policy{Order: order}, func(crew *crew, conn *failover.Client) {
				// A kill hits a call by chance; up to 100 are tried.
				for !crew.hasEnough() || h.kills < 3 || h.kills < 100 && conn.Statistics().Attempts[failover.OutcomeLost] == 0 {
					i := h.kills % len(h.addrs)
					h.hit(i, syscall.SIGKILL)
					h.awaitLaunched(i)
					h.awaitServing(i)
					crew.pass()
				}
			})
			t.Logf("%s; %d kills", figures(s), h.kills)
			if s.Attempts[failover.OutcomeLost] == 0 {
				t.Errorf("the %d kills have hit no call", h.kills)
			}
		})
	}
}

var soakOrders = []failover.Order{failover.OrderFirst, failover.OrderRoundRobin, failover.OrderRandom}

// soakCounter lets 16 workers call the Counter by a single round of the policy. No call may fail,
// also while meddle changes the replicas, for as long as it likes. Before that, it waits until the
// given number of replicas are ready and the others down. It returns the statistics.
func soakCounter(t *testing.T, c *cluster, ready int, p failover.Policy, meddle func(*crew, *failover.Client)) failover.Statistics {
	t.Helper()
	// In a soak, the three orders together make a million calls.
	n := scale(300, 333_334)
	p.Rounds = 1
	cl := newClient(t, c.target(), p)
	cl.awaitReady(ready)
	failed := newMistakes(t)
	crew := startCrew(t, 16, n, patience, func(ctx context.Context, number int) {
		if _, err := cl.counter.Get(ctx, new(counterv1.GetRequest)); err != nil {
			failed.add("call %d: %v", number, err)
		}
	})
	if meddle != nil {
		meddle(crew, cl.conn)
	}
	<-crew.enough
	crew.stop()
	s := cl.conn.Statistics()
	if s.Succeeded < int64(n) || s.Succeeded != s.Calls {
		t.Errorf("want %d calls or more, and no failure: %s", n, figures(s))
	}
	return s
}
