package failover_test

import (
	"context"
	"fmt"
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

// However often a replica is ejected and reinstated, only one probe at a time is under way.
func TestProbesDoNotMultiply(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		works[1].does(answer(codes.Unavailable))
		c[0].handle = answer(codes.Unavailable) // its health service reports a problem
		conn := c.connect(t, failover.Policy{Ejection: failover.Ejection{After: 3, MaxShare: 1}})
		for range 50 {
			works[0].does(answer(codes.Unavailable))
			for range 3 {
				do(t.Context(), conn)
			}
			works[0].does(nil)
			if _, err := do(t.Context(), conn); err != nil {
				t.Error(err)
			}
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
			t.Errorf("%d probes in 10s, want one every 500ms", n)
		}
	})
}

// An ejection outlives the connections of the replica, which gRPC closes in idle mode.
func TestEjectionOutlivesIdleMode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		c.noHealth() // so that probing ends
		conn := c.connect(t, failover.Policy{}, grpc.WithIdleTimeout(time.Minute))
		ejectFirst(t, conn, works[0])
		works[0].does(answer(codes.Unavailable))
		time.Sleep(time.Hour)
		dials := c[0].dials.Load()
		do(t.Context(), conn) // wakes the connection
		synctest.Wait()
		if c[0].dials.Load() == dials {
			t.Fatal("the connection was not idle")
		}
		for range 3 {
			do(t.Context(), conn)
		}
		if n := works[0].served.Load(); n != 4 {
			t.Errorf("%d calls were lost to it, want 4: three before, and one on its new connection", n)
		}
	})
}

// No probe follows once the connection is closed, and no goroutine remains.
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
			bubble(t, func(t *testing.T) {
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
					t.Errorf("%d probes after the connection was closed", n)
				}
			})
		})
	}
}

// events records what OnReplica receives.
type events struct {
	mu       sync.Mutex
	reported []string
}

func (e *events) hook(ev failover.ReplicaEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.reported = append(e.reported, fmt.Sprint(ev.Replica, " ", ev.State))
}

// take returns the events of a replica since the last call of take.
func (e *events) take(addr string) string {
	synctest.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	var of []string
	for _, s := range e.reported {
		if state, ok := strings.CutPrefix(s, addr+" "); ok {
			of = append(of, state)
		}
	}
	e.reported = nil
	return strings.Join(of, ", ")
}

func TestEjectionEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
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
		reported := func(when, want string) {
			t.Helper()
			if got := e.take("a:1"); got != want {
				t.Errorf("%s: got events %q, want %q", when, got, want)
			}
		}
		reported("at first", "connecting, ready")
		ejectFirst(t, conn, works[0])
		reported("ejected", "ejected")
		time.Sleep(time.Second)
		reported("it is not serving", "")
		sick.Store(false)
		time.Sleep(time.Second)
		reported("it is serving", "ready")
		wantPath(t, conn, "a:1 ok sent")
		reported("a call", "")

		sick.Store(true)
		ejectFirst(t, conn, works[0])
		reported("ejected again", "ejected")
		c[0].restart()
		time.Sleep(100 * time.Millisecond)
		reported("a new connection", "connecting, ready")
		works[0].does(answer(codes.Unavailable))
		wantPath(t, conn, "a:1 failed sent, b:1 ok sent")
		reported("it fails again", "ejected")
		c[0].crash()
		for range 10 {
			wantPath(t, conn, "b:1 ok sent")
			time.Sleep(10 * time.Millisecond)
		}
		reported("it is down", "connecting, down")
		conn.Close()
		reported("the connection is closed", "gone")
	})
}

// An attempt that outlives its replica or connection causes no further events.
func TestNoEventsAfterGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
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
			t.Errorf("got events %q, want connecting, ready, ejected, gone", got)
		}
	})
}
