package failover_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// gate is a handler that hangs until it is opened.
type gate chan struct{}

func (g gate) pass(ctx context.Context) error {
	select {
	case <-g:
		return nil
	case <-ctx.Done():
		return status.FromContextError(ctx.Err()).Err()
	}
}

// A stopped process hangs, including its health service. It costs three slow calls; after that it
// is probed, and no further call is lost. It is used again in the instant in which it continues.
func TestHungReplicaIsEjected(t *testing.T) {
	for _, stopped := range []time.Duration{100 * time.Millisecond, 3 * time.Second, 9 * time.Second} {
		t.Run(stopped.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 3)
				running := make(gate)
				works[0].does(running.pass)
				c[0].handle = running.pass
				conn := c.connect(t, failover.Policy{Timeout: time.Second})
				for range 3 {
					wantPath(t, conn, "a:1 timeout sent, b:1 ok sent")
				}
				for end := time.Now().Add(stopped); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
					wantPath(t, conn, "b:1 ok sent")
				}
				synctest.Wait()
				probes := int64(stopped/(500*time.Millisecond)) + 1
				if n := c[0].served.Load(); n != probes {
					t.Errorf("%d probes in %v, want one every 500ms: %d", n, stopped, probes)
				}
				if r := conn.Statistics().Replicas[0]; !r.Ejected || !r.Ready || r.InFlight != 0 {
					t.Errorf("while it hangs: %+v, want it ready and ejected, with nothing in flight", r)
				}
				close(running)
				synctest.Wait()
				wantPath(t, conn, "a:1 ok sent")
				if n := conn.Statistics().Ejections; n != 1 {
					t.Errorf("%d ejections, want 1", n)
				}
				if n := c[1].served.Load() + c[2].served.Load(); n != 0 {
					t.Errorf("%d probes of the others, want none", n)
				}
				asked := c[0].served.Load()
				time.Sleep(long)
				if n := c[0].served.Load() - asked; n != 0 {
					t.Errorf("%d probes after it was reinstated, want none", n)
				}
			})
		})
	}
}

// A replica that reports that it is healthy but fails every call is tried ever more rarely: after
// 0.5, 1, 2, … 32 s.
func TestTrialsOfFailingReplicaBackOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		works[0].does(answer(codes.Unavailable))
		conn := c.connect(t, failover.Policy{})
		const every = 250 * time.Millisecond
		var gaps []time.Duration // between the calls lost
		for last, end := time.Now(), time.Now().Add(3*time.Minute); time.Now().Before(end); time.Sleep(every) {
			before := works[0].served.Load()
			if _, err := do(t.Context(), conn); err != nil {
				t.Fatal(err)
			}
			if works[0].served.Load() > before {
				gaps, last = append(gaps, time.Since(last)), time.Now()
			}
		}
		want := []time.Duration{0, every, every, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second,
			8 * time.Second, 16 * time.Second, 32 * time.Second, 32 * time.Second, 32 * time.Second}
		near := func(got, want time.Duration) bool { return got >= want && got <= want+every }
		if len(gaps) < len(want) || !slices.EqualFunc(gaps[:len(want)], want, near) {
			t.Errorf("lost calls after\n     %v\nwant %v", gaps, want)
		}
		works[0].does(nil)
		time.Sleep(32 * time.Second)
		wantPath(t, conn, "a:1 ok sent")
	})
}

// If all replicas fail, they are used as if none were ejected. If all hang, none is ejected.
func TestAllReplicasFailOrHang(t *testing.T) {
	all := failover.Ejection{After: 3, MaxShare: 1}
	for _, tc := range []struct {
		name   string
		answer func(context.Context) error
		policy failover.Policy
		want   string
		fail   bool
	}{
		{"all hang", hang, failover.Policy{Ejection: all}, "a:1 timeout sent, b:1 timeout sent", false},
		{"all fail", answer(codes.Unavailable), failover.Policy{Ejection: all}, "a:1 failed sent, b:1 failed sent", true},
		{"all hang, under WhenDownWait", hang, failover.Policy{Ejection: all, WhenDown: failover.WhenDownWait}, "a:1 timeout sent, b:1 timeout sent", false},
		{"all fail, under WhenDownWait", answer(codes.Unavailable), failover.Policy{Ejection: all, WhenDown: failover.WhenDownWait}, "a:1 failed sent, b:1 failed sent", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				for i, w := range works {
					w.does(tc.answer)
					c[i].handle = tc.answer
				}
				tc.policy.Timeout = time.Second
				conn := c.connect(t, tc.policy)
				for range 10 {
					if attempts, err := do(t.Context(), conn); err == nil || path(attempts) != tc.want {
						t.Errorf("got %q, %v, want %q", path(attempts), err, tc.want)
					}
				}
				for _, r := range conn.Statistics().Replicas {
					if r.Ejected != tc.fail {
						t.Errorf("%s: ejected is %v, want %v", r.Replica, r.Ejected, tc.fail)
					}
				}
				works[1].does(nil) // its health service still reports a problem, but a success suffices
				do(t.Context(), conn)
				wantPath(t, conn, "b:1 ok sent")
			})
		})
	}
}

// A new connection may be a new process. It is on trial: one failure suffices for an ejection.
func TestNewConnectionReinstatesReplica(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		c[0].handle = hang // so that no probe reinstates it
		conn := c.connect(t, failover.Policy{})
		ejectFirst(t, conn, works[0])
		c[0].restart()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		works[0].does(answer(codes.Unavailable))
		wantPath(t, conn, "a:1 failed sent, b:1 ok sent")
		wantPath(t, conn, "b:1 ok sent")
		c[0].restart()
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		works[0].does(nil)
		wantPath(t, conn, "a:1 ok sent")
	})
}

func TestEjectionCanBeTurnedOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		works[0].does(hang)
		conn := c.connect(t, failover.Policy{Timeout: time.Second, Ejection: failover.Ejection{Off: true}})
		for range 20 {
			wantPath(t, conn, "a:1 timeout sent, b:1 ok sent")
		}
		if n := c[0].served.Load(); n != 0 {
			t.Errorf("%d probes, want none", n)
		}
	})
}

// A failure after every second success ejects no replica.
func TestOnlyFailuresInARowCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		conn := c.connect(t, failover.Policy{})
		for range 10 {
			works[0].does(answer(codes.Unavailable))
			wantPath(t, conn, "a:1 failed sent, b:1 ok sent")
			wantPath(t, conn, "a:1 failed sent, b:1 ok sent")
			works[0].does(answer(codes.NotFound)) // an answer, though not a success
			if attempts, _ := do(t.Context(), conn); path(attempts) != "a:1 rejected sent" {
				t.Errorf("got %q, want a:1 rejected sent", path(attempts))
			}
		}
		if n := conn.Statistics().Ejections; n != 0 {
			t.Errorf("%d ejections, want none", n)
		}
	})
}

// A request that was never sent does not clear a replica.
func TestMistakesOfTheCallerDoNotClearAReplica(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		works[0].does(answer(codes.Unavailable))
		conn := c.connect(t, failover.Policy{})
		for range 3 {
			wantPath(t, conn, "a:1 failed sent, b:1 ok sent")
			if err := conn.Invoke(t.Context(), workMethod, "no message", nil); status.Code(err) != codes.Internal {
				t.Errorf("got %v, want Internal", err)
			}
		}
		wantPath(t, conn, "b:1 ok sent")
	})
}

// Attempts that were in flight when the replica was ejected or reinstated do not count.
func TestStaleAttemptsDoNotCount(t *testing.T) {
	t.Run("failures", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			c, works := newWork(t, 2)
			works[0].does(hang)
			conn := c.connect(t, failover.Policy{Timeout: time.Second})
			var callers sync.WaitGroup
			for range 16 {
				callers.Go(func() { wantPath(t, conn, "a:1 timeout sent, b:1 ok sent") })
			}
			time.Sleep(900 * time.Millisecond)
			works[0].does(nil) // it is healthy now: three timeouts and an answer of b eject it, and it is reinstated at once
			callers.Wait()
			if n := conn.Statistics().Ejections; n != 1 {
				t.Errorf("%d ejections, want 1", n)
			}
			synctest.Wait() // for the probe
			wantPath(t, conn, "a:1 ok sent")
		})
	})
	t.Run("successes", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			c, works := newWork(t, 2)
			c[0].handle = hang
			works[0].does(func(context.Context) error { time.Sleep(5 * time.Second); return nil })
			conn := c.connect(t, failover.Policy{})
			var slow sync.WaitGroup
			for range 2 {
				slow.Go(func() { wantPath(t, conn, "a:1 ok sent") })
			}
			time.Sleep(time.Second)
			ejectFirst(t, conn, works[0])
			slow.Wait()
			wantPath(t, conn, "b:1 ok sent")
		})
	})
	t.Run("canceled", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			c, works := newWork(t, 2)
			c.noHealth()
			conn := c.connect(t, failover.Policy{})
			works[0].does(hang)
			ctx, cancel := context.WithCancel(t.Context())
			var callers sync.WaitGroup
			for range 2 { // with three it would be in doubt
				callers.Go(func() { do(ctx, conn) })
			}
			time.Sleep(time.Second)
			ejectFirst(t, conn, works[0])
			time.Sleep(time.Second)
			trial := make(gate)
			works[0].does(trial.pass)
			callers.Go(func() { wantPath(t, conn, "a:1 ok sent") })
			synctest.Wait()
			cancel()
			synctest.Wait()
			wantPath(t, conn, "b:1 ok sent") // not a second call at a time
			close(trial)
			callers.Wait()
		})
	})
}
