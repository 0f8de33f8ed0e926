package failover_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
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

// noHealth makes replicas answer as those that have no health service.
func (c cluster) noHealth() {
	for _, r := range c {
		r.handle = answer(codes.Unimplemented)
	}
}

// A process that is stopped hangs, and its health service with it. It costs three slow calls. Then it is asked for its
// health, and no call is lost to it any more; it is back in the very instant that it goes on.
func TestReplicaThatHangsIsLeftOut(t *testing.T) {
	for _, stopped := range []time.Duration{100 * time.Millisecond, 3 * time.Second, time.Minute} {
		t.Run(stopped.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, works := newWork(t, 3)
				running := make(gate)
				works[0].does(running.pass)
				c[0].handle = running.pass
				var s failover.Statistics
				conn := c.connect(t, failover.Policy{Timeout: time.Second, Statistics: &s})
				for range 3 {
					wantPath(t, conn, "a:1 timeout sent, b:1 ok sent")
				}
				for end := time.Now().Add(stopped); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
					wantPath(t, conn, "b:1 ok sent")
				}
				synctest.Wait()
				probes := int64(stopped/(500*time.Millisecond)) + 1
				if n := c[0].served.Load(); n != probes {
					t.Errorf("asked for its health %d times in %v, want every 500ms: %d", n, stopped, probes)
				}
				if r := s.Read().Replicas[0]; !r.Ejected || !r.Ready || r.InFlight != 0 {
					t.Errorf("while it hangs: %+v, want it ready and ejected, with nothing in flight", r)
				}
				close(running)
				synctest.Wait()
				wantPath(t, conn, "a:1 ok sent")
				if n := s.Read().Ejections; n != 1 {
					t.Errorf("%d ejections, want 1", n)
				}
				if n := c[1].served.Load() + c[2].served.Load(); n != 0 {
					t.Errorf("the others were asked for their health %d times, want never", n)
				}
				asked := c[0].served.Load()
				time.Sleep(long)
				if n := c[0].served.Load() - asked; n != 0 {
					t.Errorf("asked %d times after it was taken back, want never", n)
				}
			})
		})
	}
}

// A replica whose health is fine, and that fails every call, is tried ever more rarely: after 0.5, 1, 2, … 32 s.
func TestReplicaThatKeepsFailingIsTriedEverMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		works[0].does(answer(codes.Unavailable))
		conn := c.connect(t, failover.Policy{})
		const every = 100 * time.Millisecond
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

// leaveOut makes a fail until it is left out, and then answer with success.
func leaveOut(t *testing.T, conn *grpc.ClientConn, a *work) {
	t.Helper()
	a.does(answer(codes.Unavailable))
	for range 3 {
		wantPath(t, conn, "a:1 failed sent, b:1 ok sent")
	}
	wantPath(t, conn, "b:1 ok sent")
	a.does(nil)
}

// A replica that has no health service is tried with one call at a time, whose success takes it back.
func TestReplicaWithoutHealthServiceIsTriedByOneCallAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		c.noHealth()
		var s failover.Statistics
		conn := c.connect(t, failover.Policy{Statistics: &s})
		leaveOut(t, conn, works[0])
		before := works[0].served.Load()
		works[0].does(func(context.Context) error { time.Sleep(time.Second); return nil })
		works[1].does(func(context.Context) error { time.Sleep(10 * time.Millisecond); return nil })
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
		time.Sleep(1400 * time.Millisecond) // 500 ms until the probe, then the trial, which takes 1 s
		if n := works[0].served.Load() - before; n != 1 {
			t.Errorf("%d calls were let through before one had succeeded, want 1", n)
		}
		callers.Wait()
		time.Sleep(time.Second)
		wantPath(t, conn, "a:1 ok sent")
		if s.Read().Replicas[0].Ejected {
			t.Error("it is still left out after a success")
		}
		works[0].most.Store(0)
		for range 16 {
			callers.Go(func() { wantPath(t, conn, "a:1 ok sent") })
		}
		callers.Wait()
		if n := works[0].most.Load(); n != 16 {
			t.Errorf("%d calls at a time after it was taken back, want all 16", n)
		}
	})
}

// Where the trial fails, the replica is left out again, and for twice as long.
func TestTrialThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		c.noHealth()
		conn := c.connect(t, failover.Policy{})
		leaveOut(t, conn, works[0])
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

// What becomes of the one call that may try a replica says nothing of it: then another one may.
func TestTrialIsNotLostWithItsCall(t *testing.T) {
	for _, tc := range []struct {
		name  string
		trial func(t *testing.T, conn *grpc.ClientConn, c cluster, a *work)
	}{
		{"the caller had left before", func(t *testing.T, conn *grpc.ClientConn, _ cluster, _ *work) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if attempts, err := do(ctx, conn); len(attempts) != 0 || status.Code(err) != codes.Canceled {
				t.Errorf("got %q, %v, want no attempt", path(attempts), err)
			}
		}},
		{"the caller leaves", func(t *testing.T, conn *grpc.ClientConn, _ cluster, a *work) {
			ctx, cancel := context.WithCancel(t.Context())
			a.does(func(ctx context.Context) error { cancel(); return hang(ctx) })
			if attempts, _ := do(ctx, conn); path(attempts) != "a:1 canceled sent" {
				t.Errorf("got %q, want a:1 canceled sent", path(attempts))
			}
		}},
		{"the caller's deadline", func(t *testing.T, conn *grpc.ClientConn, _ cluster, a *work) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			a.does(hang)
			if attempts, _ := do(ctx, conn, failover.WithIdempotent(false)); path(attempts) != "a:1 canceled sent" {
				t.Errorf("got %q, want a:1 canceled sent", path(attempts))
			}
		}},
		{"the request cannot be marshaled", func(t *testing.T, conn *grpc.ClientConn, _ cluster, a *work) {
			var attempts []failover.Attempt
			conn.Invoke(t.Context(), workMethod, "no message", nil, failover.Trace(&attempts))
			if len(attempts) != 1 || attempts[0].Outcome != failover.Rejected {
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
		{"the connection is lost", func(t *testing.T, conn *grpc.ClientConn, c cluster, a *work) {
			a.does(func(ctx context.Context) error { go c[0].crash(); return hang(ctx) })
			wantPath(t, conn, "a:1 lost sent, b:1 ok sent")
			c[0].start()
			time.Sleep(time.Second)
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				c.noHealth()
				conn := c.connect(t, failover.Policy{})
				leaveOut(t, conn, works[0])
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

// A call that may try the replica, and has no repetition left to do it with, leaves the trial to another.
func TestTrialIsNotLostForWantOfABudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		c.noHealth()
		conn := c.connect(t, failover.Policy{Budget: failover.Budget{Burst: 3}})
		leaveOut(t, conn, works[0])
		works[0].does(nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		works[1].does(func(context.Context) error { // a call at b as the trial opens
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

// Where all hang, or all fail, they are used as if none were left out.
func TestNeverAreAllLeftOut(t *testing.T) {
	for _, tc := range []struct {
		name   string
		answer func(context.Context) error
		policy failover.Policy
		want   string
	}{
		{"all hang", hang, failover.Policy{}, "a:1 timeout sent, b:1 timeout sent"},
		{"all fail", answer(codes.Unavailable), failover.Policy{}, "a:1 failed sent, b:1 failed sent"},
		{"all hang, under Wait", hang, failover.Policy{WhenDown: failover.Wait}, "a:1 timeout sent, b:1 timeout sent"},
		{"all fail, under Wait", answer(codes.Unavailable), failover.Policy{WhenDown: failover.Wait}, "a:1 failed sent, b:1 failed sent"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				for i, w := range works {
					w.does(tc.answer)
					c[i].handle = tc.answer
				}
				var s failover.Statistics
				tc.policy.Timeout, tc.policy.Statistics = time.Second, &s
				conn := c.connect(t, tc.policy)
				for range 10 {
					if attempts, err := do(t.Context(), conn); err == nil || path(attempts) != tc.want {
						t.Errorf("got %q, %v, want %q", path(attempts), err, tc.want)
					}
				}
				for _, r := range s.Read().Replicas {
					if !r.Ejected {
						t.Errorf("%s is not left out", r.Replica)
					}
				}
				works[1].does(nil) // its health says still that it is not well: a success is proof enough
				do(t.Context(), conn)
				wantPath(t, conn, "b:1 ok sent")
			})
		})
	}
}

// A new connection may be a new process. It is on trial: one failure is enough.
func TestNewConnectionTakesTheReplicaBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		c[0].handle = hang // so that no probe takes it back
		conn := c.connect(t, failover.Policy{})
		leaveOut(t, conn, works[0])
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
	synctest.Test(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		works[0].does(hang)
		conn := c.connect(t, failover.Policy{Timeout: time.Second, Ejection: failover.Ejection{After: -1}})
		for range 20 {
			wantPath(t, conn, "a:1 timeout sent, b:1 ok sent")
		}
		if n := c[0].served.Load(); n != 0 {
			t.Errorf("asked for its health %d times, want never", n)
		}
	})
}

// A failure after every second success leaves none out, nor do lost connections.
func TestOnlyFailuresInARowCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		var s failover.Statistics
		conn := c.connect(t, failover.Policy{Statistics: &s})
		for range 10 {
			works[0].does(answer(codes.Unavailable))
			wantPath(t, conn, "a:1 failed sent, b:1 ok sent")
			wantPath(t, conn, "a:1 failed sent, b:1 ok sent")
			works[0].does(answer(codes.NotFound)) // an answer, if not a success
			if attempts, _ := do(t.Context(), conn); path(attempts) != "a:1 rejected sent" {
				t.Errorf("got %q, want a:1 rejected sent", path(attempts))
			}
		}
		works[0].does(func(ctx context.Context) error { go c[0].restart(); return hang(ctx) })
		for range 10 {
			wantPath(t, conn, "a:1 lost sent, b:1 ok sent")
			time.Sleep(time.Second)
		}
		if n := s.Read().Ejections; n != 0 {
			t.Errorf("%d ejections, want none", n)
		}
	})
}

// A request that never left says nothing of the replica, be it by its mistake.
func TestMistakesOfTheCallerDoNotClearAReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
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

// Attempts that were on their way when the replica was left out, or taken back, say nothing of it now.
func TestStaleAttemptsAreNoNews(t *testing.T) {
	t.Run("failures", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, works := newWork(t, 2)
			works[0].does(hang)
			var s failover.Statistics
			conn := c.connect(t, failover.Policy{Timeout: time.Second, Statistics: &s})
			var callers sync.WaitGroup
			for range 16 {
				time.Sleep(time.Millisecond)
				callers.Go(func() { wantPath(t, conn, "a:1 timeout sent, b:1 ok sent") })
			}
			time.Sleep(900 * time.Millisecond)
			works[0].does(nil) // and its health is fine: the third time-out takes it out, and it is back at once
			callers.Wait()
			if n := s.Read().Ejections; n != 1 {
				t.Errorf("%d ejections, want 1", n)
			}
			wantPath(t, conn, "a:1 ok sent")
		})
	})
	t.Run("successes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, works := newWork(t, 2)
			c[0].handle = hang
			works[0].does(func(context.Context) error { time.Sleep(time.Minute); return nil })
			conn := c.connect(t, failover.Policy{})
			var slow sync.WaitGroup
			for range 4 {
				slow.Go(func() { wantPath(t, conn, "a:1 ok sent") })
			}
			time.Sleep(time.Second)
			leaveOut(t, conn, works[0])
			slow.Wait()
			wantPath(t, conn, "b:1 ok sent")
		})
	})
	t.Run("canceled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			c, works := newWork(t, 2)
			c.noHealth()
			conn := c.connect(t, failover.Policy{})
			works[0].does(hang)
			ctx, cancel := context.WithCancel(t.Context())
			var callers sync.WaitGroup
			for range 4 {
				callers.Go(func() { do(ctx, conn) })
			}
			time.Sleep(time.Second)
			leaveOut(t, conn, works[0])
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

// However often a replica is left out and taken back, it is asked for its health by one at a time.
func TestProbesDoNotMultiply(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, works := newWork(t, 1)
		c[0].handle = answer(codes.Unavailable) // its health service says that it is not well
		conn := c.connect(t, failover.Policy{})
		for range 50 {
			works[0].does(answer(codes.Unavailable))
			for range 3 {
				do(t.Context(), conn)
			}
			works[0].does(nil)
			wantPath(t, conn, "a:1 ok sent")
			time.Sleep(time.Millisecond)
		}
		works[0].does(answer(codes.Unavailable))
		for range 3 {
			do(t.Context(), conn)
		}
		before := c[0].served.Load()
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if n := c[0].served.Load() - before; n < 15 || n > 21 {
			t.Errorf("asked %d times in 10 s, want once in 500 ms", n)
		}
	})
}

// What is known of a replica outlives its connection: gRPC ends those of a connection that is idle.
func TestEjectionOutlivesIdleMode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		c.noHealth() // so that nothing is asked for ever
		conn := c.connect(t, failover.Policy{}, grpc.WithIdleTimeout(time.Minute))
		leaveOut(t, conn, works[0])
		works[0].does(answer(codes.Unavailable))
		time.Sleep(time.Hour)
		dials := c[0].dials.Load()
		do(t.Context(), conn) // which wakes it
		synctest.Wait()
		if c[0].dials.Load() == dials {
			t.Fatal("the connection was not idle")
		}
		for range 3 {
			do(t.Context(), conn)
		}
		if n := works[0].served.Load(); n != 4 {
			t.Errorf("%d calls were lost to it, want 3 and the one of its new connection", n)
		}
	})
}

// Nothing is asked once the connection is closed, and nothing of ours is left.
func TestProbesEndWithTheConnection(t *testing.T) {
	for _, tc := range []struct {
		name  string
		after time.Duration // of the last failure
		probe func(context.Context) error
	}{
		{"while one is on its way", 10 * time.Millisecond, hang},
		{"between two", 750 * time.Millisecond, answer(codes.Unavailable)},
		{"before the first", 0, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, works := newWork(t, 1)
				c[0].handle = tc.probe
				works[0].does(answer(codes.Unavailable))
				if tc.after == 10*time.Millisecond {
					works[0].does(hang)
				}
				conn := c.connect(t, failover.Policy{Timeout: time.Second})
				for range 3 {
					do(t.Context(), conn)
				}
				time.Sleep(tc.after)
				synctest.Wait()
				conn.Close()
				asked := c[0].served.Load()
				time.Sleep(long)
				if n := c[0].served.Load() - asked; n != 0 {
					t.Errorf("asked %d times after the connection was closed", n)
				}
			})
		})
	}
}

// events keeps what OnReplica is told.
type events struct {
	mu   sync.Mutex
	told []string
}

func (e *events) hook(ev failover.ReplicaEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.told = append(e.told, fmt.Sprint(ev.Replica, " ", ev.State))
}

// take returns what was told of a replica since it was last asked.
func (e *events) take(addr string) string {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	var of []string
	for _, s := range e.told {
		if state, ok := strings.CutPrefix(s, addr+" "); ok {
			of = append(of, state)
		}
	}
	e.told = nil
	return strings.Join(of, ", ")
}

func TestEventsOfAReplicaLeftOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		var sick atomic.Bool
		sick.Store(true)
		c[0].handle = func(context.Context) error {
			if sick.Load() {
				return status.Error(codes.Unavailable, "no")
			}
			return nil
		}
		var e events
		conn := c.connect(t, failover.Policy{OnReplica: e.hook})
		told := func(when, want string) {
			t.Helper()
			if got := e.take("a:1"); got != want {
				t.Errorf("%s: told %q, want %q", when, got, want)
			}
		}
		told("at first", "connecting, ready")
		leaveOut(t, conn, works[0])
		told("left out", "ejected")
		sick.Store(false)
		time.Sleep(time.Second)
		told("its health is fine", "ready")
		wantPath(t, conn, "a:1 ok sent")
		told("a call", "")

		sick.Store(true)
		leaveOut(t, conn, works[0])
		told("left out again", "ejected")
		c[0].restart()
		time.Sleep(100 * time.Millisecond)
		told("a new connection", "connecting, ready")
		works[0].does(answer(codes.Unavailable))
		wantPath(t, conn, "a:1 failed sent, b:1 ok sent")
		told("it fails again", "ejected")
		c[0].crash()
		for range 10 {
			wantPath(t, conn, "b:1 ok sent")
			time.Sleep(10 * time.Millisecond)
		}
		told("it is down", "connecting, down")
		conn.Close()
		told("the connection is closed", "gone")
	})
}

// An attempt that outlives its replica, or its connection, tells nothing of it any more.
func TestNothingIsToldOfAReplicaThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, works := newWork(t, 1)
		works[0].does(hang)
		c[0].handle = hang
		var e events
		conn := c.connect(t, failover.Policy{OnReplica: e.hook, Timeout: time.Second})
		var callers sync.WaitGroup
		for range 16 {
			time.Sleep(time.Millisecond)
			callers.Go(func() { do(t.Context(), conn) })
		}
		time.Sleep(990 * time.Millisecond)
		conn.Close()
		callers.Wait()
		time.Sleep(long)
		if got := e.take("a:1"); got != "connecting, ready, ejected, gone" {
			t.Errorf("told %q, want connecting, ready, ejected, gone", got)
		}
	})
}
