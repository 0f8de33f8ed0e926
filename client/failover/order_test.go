package failover_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc/codes"
)

// Where the calls of sixteen concurrent callers go, for each order.
func TestOrdersUnderConcurrency(t *testing.T) {
	for _, tc := range []struct {
		order       failover.Order
		slow        time.Duration // service time of a; the others take 10 ms
		least, most [3]int64      // of 480 calls
	}{
		{failover.OrderFirst, 10 * ms, [3]int64{480, 0, 0}, [3]int64{480, 0, 0}},
		{failover.OrderRoundRobin, 10 * ms, [3]int64{160, 160, 160}, [3]int64{160, 160, 160}},
		{failover.OrderRoundRobin, 25 * ms, [3]int64{160, 160, 160}, [3]int64{160, 160, 160}},
		{failover.OrderRandom, 10 * ms, [3]int64{98, 98, 98}, [3]int64{222, 222, 222}}, // six standard deviations
		// A third of the calls in flight are at a, or slightly more, and they take ten times as
		// long.
		{failover.OrderLeastInFlight, 100 * ms, [3]int64{10, 140, 140}, [3]int64{80, 300, 300}},
	} {
		t.Run(tc.order.String()+" "+tc.slow.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 3)
				for i, w := range works {
					w.does(takes(10*ms, codes.OK))
					if i == 0 {
						w.does(takes(tc.slow, codes.OK))
					}
				}
				conn := c.connect(t, failover.Policy{Order: tc.order})
				var callers sync.WaitGroup
				for range 16 {
					callers.Go(func() {
						for range 30 {
							if attempts, err := do(t.Context(), conn); err != nil || len(attempts) != 1 {
								t.Errorf("got %q, %v", path(attempts), err)
							}
						}
					})
				}
				callers.Wait()
				for i, w := range works {
					if n := w.served.Load(); n < tc.least[i] || n > tc.most[i] {
						t.Errorf("%s served %d of 480 calls, want %d to %d", c[i].addr, n, tc.least[i], tc.most[i])
					}
				}
			})
		})
	}
}

// A call starts at the replica of the last success, and moves only when it must.
func TestStickyStaysWhereItSucceeded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 3)
		conn := c.connect(t, failover.Policy{Order: failover.OrderSticky})
		stays := func(want string) {
			t.Helper()
			for range 5 {
				wantPath(t, conn, want)
			}
		}
		stays("a:1 ok sent")
		works[0].does(answer(codes.Unavailable))
		wantPath(t, conn, "a:1 failed sent, b:1 ok sent")
		works[0].does(nil)
		stays("b:1 ok sent") // even though a works again

		works[1].does(answer(codes.Unavailable))
		works[0].does(answer(codes.NotFound))
		if attempts, _ := do(t.Context(), conn); path(attempts) != "b:1 failed sent, a:1 rejected sent" {
			t.Errorf("got %q, want b:1 failed sent, a:1 rejected sent", path(attempts))
		}
		works[0].does(nil)
		works[1].does(nil)
		stays("b:1 ok sent") // a rejection is not a success

		c[1].crash()
		synctest.Wait()
		stays("a:1 ok sent")
		c[1].start()
		time.Sleep(time.Second)
		stays("a:1 ok sent")
	})
}
