package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

// A failed launch counts as a failure, not as an exit.
func TestExitsAndFailuresAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		missing := &fakeSystem{each: func(s *fakeSystem, _ spec.Replica, n int) {
			if s.lives = time.Second; n > 2 {
				s.err = errors.New("no such file")
			}
		}}
		sim := simulate(t, of(group(1, restart.Policy{Limit: restart.Limit{Exits: 3}})), missing)
		sim.at(time.Minute)
		s, _ := sim.Get("a")
		if s.Exits != 2 || s.Failures != 3 || s.Restarts != 4 || s.State != status.StateFailed {
			t.Errorf("got %+v, want 2 exits, 3 failures, 4 restarts", s)
		}
	})
}

// Probes that a pause of the supervisor has delayed are not made up for.
func TestLateProbesAreSkipped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(1, restart.Policy{}, func(r *spec.Replica) {
			r.Addr, r.Alive = "a:1", spec.Probe{Kind: spec.ProbeGRPC, Period: 50 * ms, Threshold: 5}
		}))
		start := time.Now()
		s.Health = func(context.Context, string, string) error {
			if time.Since(start) < ms*100 {
				time.Sleep(time.Second) // like a supervisor that was stopped
			}
			if time.Since(start) < 1150*ms {
				return errors.New("it was stopped too")
			}
			return nil
		}
		sim := simulate(t, s, &fakeSystem{})
		sim.at(time.Minute)
		expect(t, sim.takeEvents(event.KindAdded), "0s launched a/1", "0s ready a/1")
	})
}

func TestStopTwiceIsReportedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{})), &fakeSystem{})
		for range 2 {
			if err := sim.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		}
		expect(t, sim.takeEvents(event.KindAdded, event.KindLaunched, event.KindReady), "0s stopping a/1", "0s exited a/1", "0s stopped a/1")
		if s, _ := sim.Get("a"); s.Last.Signal != syscall.SIGTERM || s.Exited != sim.start || s.Exits != 0 {
			t.Errorf("got %+v, want its exit as the last, but not counted", s)
		}
	})
}

// The status of a failed start has its error and times.
func TestReasonItIsNotReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(1, restart.Policy{Delay: time.Hour}, func(r *spec.Replica) {
			r.Addr, r.StartTimeout, r.Ready = "a:1", time.Second, spec.Probe{Kind: spec.ProbeGRPC}
		}))
		refused := errors.New("refused")
		s.Health = func(context.Context, string, string) error { return refused }
		sim := simulate(t, s, &fakeSystem{})
		if s, _ := sim.Get("a"); !s.Next.IsZero() || !s.Ready.IsZero() || s.Launched != sim.start {
			t.Errorf("got %+v, want it launched", s)
		}
		sim.at(time.Minute)
		for _, e := range sim.events {
			if e.Kind == event.KindUnhealthy && !errors.Is(e.Err, refused) {
				t.Errorf("the event has the error %v, want %v", e.Err, refused)
			}
		}
		if s, _ := sim.Get("a"); s.Next != sim.start.Add(time.Hour+time.Second) || !s.Launched.IsZero() || s.Exited != sim.start.Add(time.Second) {
			t.Errorf("got %+v, want it to wait", s)
		}
	})
}

// The reason why a replica takes long to become ready is reported once for each incarnation.
func TestSlowStartIsReported(t *testing.T) {
	for timeout, long := range map[time.Duration]time.Duration{0: 10 * time.Second, time.Second: time.Second / 2, time.Hour: 10 * time.Second} {
		bubble(t, func(t *testing.T) {
			s := of(group(1, restart.Policy{}, func(r *spec.Replica) {
				r.Addr, r.StartTimeout, r.Ready = "a:1", timeout, spec.Probe{Kind: spec.ProbeGRPC}
			}))
			refused := errors.New("refused")
			s.Health = func(context.Context, string, string) error { return refused }
			var launched time.Time
			var reports []string
			s.OnEvent = func(e event.Event) {
				switch e.Kind {
				case event.KindLaunched:
					launched = e.Time
				case event.KindStillStarting:
					if after := e.Time.Sub(launched); after < long || after > long+100*ms || !errors.Is(e.Err, refused) {
						t.Errorf("start timeout %v: reported after %v with %v", timeout, after, e.Err)
					}
					reports = append(reports, fmt.Sprintf("%d %v", e.Incarnation, e.Err))
				}
			}
			sim := simulate(t, s, &fakeSystem{})
			sim.at(long * 3 / 2)
			if err := sim.Restart(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			sim.at(long * 3)
			expect(t, reports, fmt.Sprintf("1 not ready within %v: refused", long), fmt.Sprintf("2 not ready within %v: refused", long))
		})
	}
}

// A replica that exits as soon as it is ready has been ready.
func TestExitAsItBecomesReady(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{})), &fakeSystem{})
		if err := sim.Signal(syscall.SIGKILL, "a"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if s, _ := sim.Get("a"); s.Exits != 1 || s.Failures != 0 {
			t.Errorf("got %+v, want an exit and no failure", s)
		}
	})
}

// When an event is delivered, Get returns a status that is at least as recent, so that a table
// drawn after each event is correct.
func TestStatusAgreesWithEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		seen := make(map[event.Kind]status.State)
		c := of(group(1, restart.Policy{}, notice))
		var begun atomic.Pointer[simulation]
		c.OnEvent = func(e event.Event) {
			if sim := begun.Load(); sim != nil {
				s, _ := sim.Get("a")
				seen[e.Kind] = s.State
			}
		}
		sim := simulate(t, c, &fakeSystem{ready: time.Second})
		begun.Store(sim)
		sim.at(time.Minute)
		if seen[event.KindReady] != status.StateReady {
			t.Errorf("at the event ready the state is %v, want %v", seen[event.KindReady], status.StateReady)
		}
	})
}
