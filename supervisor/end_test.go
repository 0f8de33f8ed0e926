package supervisor

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

// Nothing is launched after Kill.
func TestKillDuringTheFirstLaunches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(3, restart.Policy{}, notice))
		s.MaxStarting = 1
		sim := simulate(t, s, &fakeSystem{mute: true, deaf: true})
		sim.Kill()
		<-sim.ended
		for _, e := range sim.events {
			if e.Kind == event.KindLaunched && e.Replica != "a" {
				t.Errorf("%s was launched", e.Replica)
			}
		}
		if d := time.Since(sim.start); d > 0 {
			t.Errorf("it took %v", d)
		}
	})
}

// A stop also succeeds if its replica leaves meanwhile.
func TestStopDuringTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{})), &fakeSystem{deaf: true})
		stopped := failure(func() error { return sim.Stop(context.Background(), "a") })
		sim.stop()
		<-sim.ended
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

func TestWatchEndsWithARunThatFails(t *testing.T) {
	c := of(group(1, restart.Policy{}))
	c.Guardian = []string{"/no/such"}
	s, err := New(*c)
	if err != nil {
		t.Fatal(err)
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for range s.Watch(t.Context(), 0) {
		}
	}()
	if err := s.Run(t.Context()); err == nil {
		t.Error("a missing guardian: got no error")
	}
	select {
	case <-watched:
	case <-time.After(patience):
		t.Error("Watch has not returned")
	}
}

// Run waits until calls of Health have returned.
func TestRunWaitsForHealth(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(1, restart.Policy{}, func(r *spec.Replica) { r.Addr, r.Ready = "a:1", spec.Probe{Kind: spec.ProbeGRPC} }))
		asking := make(chan struct{}, 1)
		s.Health = func(ctx context.Context, _, _ string) error {
			asking <- struct{}{}
			<-ctx.Done()
			time.Sleep(time.Second)
			<-asking
			return ctx.Err()
		}
		sim := simulate(t, s, &fakeSystem{})
		sim.stop()
		synctest.Wait()
		if s, _ := sim.Get("a"); s.State != status.StateStopped || s.PID != 0 {
			t.Errorf("got %+v, want it down", s)
		}
		<-sim.ended
		if len(asking) > 0 {
			t.Error("Run has returned while Health is called")
		}
	})
}

// Without Config.Stay, Run ends when all replicas are stopped.
func TestRunEndsWhenAllAreStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(2, restart.Policy{}))
		s.Stay = false
		sim := simulate(t, s, &fakeSystem{})
		for _, name := range []string{"a", "b"} {
			if err := sim.Stop(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
		<-sim.ended
	})
}

// A replica that is stopping is not probed, and is killed only once.
func TestStoppingReplicaIsNotProbed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(1, restart.Policy{}, func(r *spec.Replica) {
			r.Addr, r.Alive = "a:1", spec.Probe{Kind: spec.ProbeGRPC, Period: 200 * ms}
		}))
		s.Health = func(context.Context, string, string) error { return errors.New("hung") }
		sim := simulate(t, s, &fakeSystem{deaf: true, lag: 10 * time.Second})
		sim.takeEvents()
		sim.at(100 * ms)
		stopped := failure(func() error { return sim.Stop(t.Context()) })
		sim.at(2 * time.Second)
		sim.Kill()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		<-sim.ended
		expect(t, sim.takeEvents(event.KindStopping, event.KindExited, event.KindRemoved), "2s killed a/1")
	})
	bubble(t, func(t *testing.T) {
		s := of(group(1, restart.Policy{}, func(r *spec.Replica) { r.Addr, r.Alive = "a:1", spec.Probe{Kind: spec.ProbeGRPC} }))
		s.Health = func(context.Context, string, string) error { return errors.New("hung") }
		sim := simulate(t, s, &fakeSystem{lag: 10 * time.Second})
		sim.at(4 * time.Second)
		sim.Kill()
		<-sim.ended
		expect(t, sim.takeEvents(event.KindAdded, event.KindLaunched, event.KindReady, event.KindRemoved), "3s unhealthy a/1", "3s killed a/1", "3s exited a/1")
	})
}

// A launch that the end of Run has prevented emits no event.
func TestLaunchAtTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stop := make(chan context.CancelFunc, 1)
		sys := &fakeSystem{lives: time.Second, each: func(s *fakeSystem, _ spec.Replica, n int) {
			if n == 2 {
				(<-stop)()
				s.err = context.Canceled
			}
		}}
		sim := simulate(t, of(group(1, restart.Policy{})), sys)
		stop <- sim.stop
		<-sim.ended
		expect(t, sim.takeEvents(event.KindAdded, event.KindReady), "0s launched a/1", "1s exited a/1", "1s removed a/1")
	})
}

func TestProcessStoppedBySignalEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{})), &fakeSystem{})
		if err := sim.Signal(syscall.SIGSTOP, "a"); err != nil {
			t.Error(err)
		}
		if err := sim.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		expect(t, sim.takeEvents(event.KindAdded, event.KindLaunched, event.KindReady), "0s signaled a/1", "0s stopping a/1", "0s exited a/1", "0s stopped a/1")
	})
}

func TestRunWithoutReplicas(t *testing.T) {
	for _, stay := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			s := of(group(0, restart.Policy{}))
			s.Stay = stay
			sim := simulate(t, s, &fakeSystem{})
			select {
			case <-sim.ended:
				if stay {
					t.Error("it has ended, although Scale may add replicas")
				}
			default:
				if !stay {
					t.Error("it has not ended")
				}
			}
		})
	}
}
