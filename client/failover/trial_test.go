package failover_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// noHealth makes replicas answer as if they had no health service.
func (c cluster) noHealth() {
	for _, r := range c {
		r.handle = answer(codes.Unimplemented)
	}
}

// ejectFirst makes a fail until it is ejected, and then succeed.
func ejectFirst(t *testing.T, conn grpc.ClientConnInterface, a *work) {
	t.Helper()
	a.does(answer(codes.Unavailable))
	for range 3 {
		wantPath(t, conn, "a:1 failed sent, b:1 ok sent")
	}
	wantPath(t, conn, "b:1 ok sent")
	a.does(nil)
}

// A replica whose health service is missing, or never reported a problem, gets one call at a time.
// A success reinstates it.
func TestReplicaIsTriedByOneCallAtATime(t *testing.T) {
	for name, health := range map[string]func(context.Context) error{"no health service": answer(codes.Unimplemented), "it saw nothing wrong": nil} {
		t.Run(name, func(t *testing.T) { testOneCallAtATime(t, health) })
	}
}

func testOneCallAtATime(t *testing.T, health func(context.Context) error) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		c[0].handle = health
		conn := c.connect(t, failover.Policy{})
		ejectFirst(t, conn, works[0])
		before := works[0].served.Load()
		works[0].does(func(context.Context) error { time.Sleep(time.Second); return nil })
		works[1].does(func(context.Context) error { time.Sleep(50 * time.Millisecond); return nil })
		var callers sync.WaitGroup
		for range 16 {
			callers.Go(func() {
				for end := time.Now().Add(1400 * time.Millisecond); time.Now().Before(end); {
					if attempts, err := do(t.Context(), conn); err != nil || len(attempts) != 1 {
						t.Errorf("got %q, %v", path(attempts), err)
					}
				}
			})
		}
		time.Sleep(1400 * time.Millisecond) // 500 ms until the probe, then a trial of 1 s
		if n := works[0].served.Load() - before; n != 1 {
			t.Errorf("%d calls were let through before one had succeeded, want 1", n)
		}
		callers.Wait()
		time.Sleep(time.Second)
		wantPath(t, conn, "a:1 ok sent")
		if conn.Statistics().Replicas[0].Ejected {
			t.Error("it is still ejected after a success")
		}
		works[0].most.Store(0)
		for range 16 {
			callers.Go(func() { wantPath(t, conn, "a:1 ok sent") })
		}
		callers.Wait()
		if n := works[0].most.Load(); n != 16 {
			t.Errorf("%d concurrent calls after it was reinstated, want all 16", n)
		}
	})
}

// If the trial fails, the replica is ejected again, for twice as long.
func TestTrialThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		c.noHealth()
		conn := c.connect(t, failover.Policy{})
		ejectFirst(t, conn, works[0])
		works[0].does(answer(codes.Unavailable))
		for _, backoff := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second} {
			for range 9 {
				time.Sleep(backoff / 10)
				wantPath(t, conn, "b:1 ok sent")
			}
			time.Sleep(backoff / 10)
			synctest.Wait()
			wantPath(t, conn, "a:1 failed sent, b:1 ok sent")
		}
	})
}

// If the trial call of a replica is inconclusive, another call may try it.
func TestTrialIsNotLostWithItsCall(t *testing.T) {
	for _, tc := range []struct {
		name  string
		trial func(t *testing.T, conn *failover.Client, c cluster, a *work)
	}{
		{"the caller had left before", func(t *testing.T, conn *failover.Client, _ cluster, _ *work) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if attempts, err := do(ctx, conn); len(attempts) != 0 || status.Code(err) != codes.Canceled {
				t.Errorf("got %q, %v, want no attempt", path(attempts), err)
			}
		}},
		{"canceled by the caller", func(t *testing.T, conn *failover.Client, _ cluster, a *work) {
			ctx, cancel := context.WithCancel(t.Context())
			a.does(func(ctx context.Context) error { cancel(); return hang(ctx) })
			if attempts, _ := do(ctx, conn); path(attempts) != "a:1 canceled sent" {
				t.Errorf("got %q, want a:1 canceled sent", path(attempts))
			}
		}},
		{"the request cannot be marshaled", func(t *testing.T, conn *failover.Client, _ cluster, a *work) {
			var attempts []failover.Attempt
			conn.Invoke(t.Context(), workMethod, "no message", nil, failover.Trace(&attempts))
			if len(attempts) != 1 || attempts[0].Outcome != failover.OutcomeRejected {
				t.Errorf("got %q, want one rejected attempt", path(attempts))
			}
			calls := a.served.Load()
			var held sync.WaitGroup
			a.does(func(context.Context) error { time.Sleep(time.Second); return nil })
			held.Go(func() { wantPath(t, conn, "a:1 ok sent") })
			synctest.Wait()
			wantPath(t, conn, "b:1 ok sent")
			held.Wait()
			if n := a.served.Load() - calls; n != 1 {
				t.Errorf("%d calls were let through at a time, want 1", n)
			}
		}},
		{"the connection is lost", func(t *testing.T, conn *failover.Client, c cluster, a *work) {
			a.does(func(ctx context.Context) error { go c[0].crash(); return hang(ctx) })
			wantPath(t, conn, "a:1 lost sent, b:1 ok sent")
			c[0].start()
			time.Sleep(2 * time.Second) // until the next probe
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				c.noHealth()
				conn := c.connect(t, failover.Policy{})
				ejectFirst(t, conn, works[0])
				time.Sleep(500 * time.Millisecond) // until the probe
				synctest.Wait()
				tc.trial(t, conn, c, works[0])
				works[0].does(nil)
				for range 2 {
					wantPath(t, conn, "a:1 ok sent")
				}
			})
		})
	}
}

// A call that has taken the trial, and then has no budget for the attempt, leaves the trial to
// another.
func TestTrialIsNotLostForWantOfABudget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		c.noHealth()
		conn := c.connect(t, failover.Policy{Budget: failover.Budget{Burst: 3}})
		ejectFirst(t, conn, works[0])
		works[0].does(nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		works[1].does(func(context.Context) error { // this call is at b when the trial begins
			time.Sleep(time.Second)
			return status.Error(codes.Unavailable, "no")
		})
		if attempts, err := do(ctx, conn); err == nil || path(attempts) != "b:1 failed sent" {
			t.Errorf("got %q, %v, want b:1 failed sent, and the budget spent", path(attempts), err)
		}
		works[1].does(nil)
		wantPath(t, conn, "a:1 ok sent")
	})
}
