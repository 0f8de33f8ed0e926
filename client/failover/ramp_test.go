package failover_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc/codes"
)

// outage makes n calls wait for a cluster that is down, then starts a. wasUp says whether the
// cluster was up before.
func outage(t *testing.T, replicas int, wasUp bool, calls int, deadline time.Duration, serves func(context.Context) error) (a *work, answered func() int) {
	c, works := newWork(t, replicas)
	if !wasUp {
		c.crash()
	}
	conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait})
	if wasUp {
		do(t.Context(), conn)
		c.crash()
	}
	synctest.Wait()
	var waiting sync.WaitGroup
	var mu sync.Mutex
	ok := 0
	for range calls {
		waiting.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), deadline)
			defer cancel()
			if _, err := do(ctx, conn); err == nil {
				mu.Lock()
				ok++
				mu.Unlock()
			}
		})
	}
	synctest.Wait()
	works[0].does(serves)
	c[0].start()
	return works[0], func() int { waiting.Wait(); return ok }
}

// A client that started while all replicas were down also ramps up at the first one.
func TestRampAfterAnOutageFromTheBeginning(t *testing.T) {
	for _, wasUp := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			a, answered := outage(t, 3, wasUp, 900, time.Minute, takes(100*ms, codes.OK))
			time.Sleep(60 * ms) // until it has been dialed
			synctest.Wait()
			if n := a.now.Load(); n < 1 || n > 16 {
				t.Errorf("was up %v: %d calls at once, want at most 16", wasUp, n)
			}
			if n := answered(); n != 900 {
				t.Errorf("was up %v: %d of 900 were answered", wasUp, n)
			}
		})
	}
}

// A slow replica gets more calls as time passes, so that waiting calls are answered within their
// deadlines.
func TestRampIsNoLimitOnSlowReplicas(t *testing.T) {
	for replicas := range 3 {
		bubble(t, func(t *testing.T) {
			_, answered := outage(t, 1+replicas, true, 900, 10*time.Second, takes(5*time.Second, codes.OK))
			if n := answered(); n != 900 {
				t.Errorf("with %d replicas, %d of 900 calls were answered", 1+replicas, n)
			}
		})
	}
}

// If no replica was down, there is no ramp.
func TestNoRampAtTheBeginning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 1)
		works[0].does(takes(100*ms, codes.OK))
		conn := c.client(t, c.target(), failover.Policy{WhenDown: failover.WhenDownWait})
		var calls sync.WaitGroup
		for range 300 {
			calls.Go(func() { do(t.Context(), conn) })
		}
		calls.Wait()
		if most := works[0].most.Load(); most != 300 {
			t.Errorf("%d calls at once, want all 300", most)
		}
	})
}

// After an outage, the calls that waited for a replica reach it in growing numbers.
func TestWaitingCallsAreRampedUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 3)
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait})
		do(t.Context(), conn)
		c.crash()
		synctest.Wait()
		var calls sync.WaitGroup
		for range 900 {
			calls.Go(func() {
				if _, err := do(t.Context(), conn); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		works[0].does(takes(100*ms, codes.OK))
		c[0].start()
		time.Sleep(50 * ms) // until it has been dialed
		synctest.Wait()
		if n := works[0].now.Load(); n < 1 || n > 16 {
			t.Errorf("%d calls at once, want at most 16", n)
		}
		calls.Wait()
		if most := works[0].most.Load(); most < 200 {
			t.Errorf("never more than %d at once, want a load that grows", most)
		}
	})
}
