package supervisor

import (
	"context"
	"errors"
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

// A replica that is leaving when it is wanted again runs in the end.
func TestScaleUpWhileLeaving(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(2, restart.Policy{})), &fakeSystem{deaf: true})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := sim.Scale(ctx, "g", 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		want(t, sim.states(), "a stopping, b stopping")
		if err := sim.Scale(t.Context(), "g", 2); err != nil {
			t.Fatal(err)
		}
		sim.at(time.Minute)
		want(t, sim.states(), "a ready, b ready")
	})
}

// named returns a group of replicas with these names.
func named(names ...string) spec.Group {
	return spec.Group{Name: "g", Count: len(names), Replica: func(i int) spec.Replica {
		return spec.Replica{Name: names[i], Args: []string{"service"}}
	}}
}

func TestApplySetsTheOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(named("a", "b", "c")), &fakeSystem{deaf: true})
		ctx, cancel := context.WithTimeout(t.Context(), ms)
		defer cancel()
		if err := sim.Apply(ctx, []spec.Group{named("c", "x", "b")}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		// The new replicas were launched although ctx has ended.
		want(t, sim.states(), "c ready, x ready, b ready, a stopping")
		sim.at(time.Minute)
		want(t, sim.states(), "c ready, x ready, b ready")
	})
}

// Scale stops the last replicas first, and does not wait for slots.
func TestScaleInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(1, restart.Policy{}, notice))
		s.MaxStarting = 1
		sim := simulate(t, s, &fakeSystem{mute: true})
		sim.takeEvents()
		ctx, cancel := context.WithTimeout(t.Context(), 500*ms)
		defer cancel()
		_ = sim.Scale(ctx, "g", 4) // when it returns, all launches have begun
		if d := time.Since(sim.start); d != 500*ms {
			t.Errorf("it took %v", d)
		}
		sim.at(10 * time.Second)
		expect(t, sim.takeEvents(event.KindAdded), "1s launched b/1", "2s launched c/1", "3s launched d/1")
		if err := sim.Scale(t.Context(), "g", 1); err != nil {
			t.Error(err)
		}
		expect(t, sim.takeEvents(event.KindExited, event.KindRemoved), "10s stopping d/1", "10s stopping c/1", "10s stopping b/1")
	})
	bubble(t, func(t *testing.T) { // nor does the end of Run
		s := of(group(1, restart.Policy{}, notice))
		s.MaxStarting = 1
		sim := simulate(t, s, &fakeSystem{mute: true})
		scaled := failure(func() error { return sim.Scale(context.Background(), "g", 4) })
		sim.stop()
		<-sim.ended
		if err := <-scaled; err != nil && !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if d := time.Since(sim.start); d > 0 {
			t.Errorf("it took %v", d)
		}
	})
}

// Replicas that leave have ended before new ones, which may have their addresses, are launched.
func TestApplyStopsBeforeItLaunches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(named("a")), &fakeSystem{lag: ms})
		sim.takeEvents()
		if err := sim.Apply(t.Context(), []spec.Group{named("b")}); err != nil {
			t.Error(err)
		}
		expect(t, sim.takeEvents(event.KindReady), "0s stopping a/1", "0s exited a/1", "1ms removed a/1", "1ms added b/0", "1ms launched b/1")
	})
}

// A change that is in progress when Run ends adds no replicas.
func TestApplyDuringTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(named("a")), &fakeSystem{deaf: true})
		failure(func() error { return sim.Apply(context.Background(), []spec.Group{named("b", "c")}) })
		sim.at(time.Second)
		sim.takeEvents()
		sim.stop()
		<-sim.ended
		expect(t, sim.takeEvents(), "5s killed a/1", "5s exited a/1", "5s removed a/1")
	})
}

// Replicas that an Apply that failed has not restarted are restarted by the next one.
func TestApplyAgainFinishesTheRest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := &fakeSystem{}
		sim := simulate(t, of(group(2, restart.Policy{}, notice)), sys)
		changed := []spec.Group{group(2, restart.Policy{}, notice, func(r *spec.Replica) { r.Dir = "/" })}
		sys.mute = true
		if err := sim.Apply(t.Context(), changed); !errors.Is(err, ErrNotReady) {
			t.Errorf("got %v, want %v", err, ErrNotReady)
		}
		if err := sim.Restart(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		sys.mute = false
		sim.takeEvents()
		if err := sim.Apply(t.Context(), changed); err != nil {
			t.Error(err)
		}
		if s, _ := sim.Get("b"); s.Incarnation != 2 || s.State != status.StateReady {
			t.Errorf("b is %v at incarnation %d, want it restarted", s.State, s.Incarnation)
		}
	})
}

// A replica that was given up is launched again once its command has changed, and only then. One
// that a command stopped stays down.
func TestApplyLaunchesAMendedReplica(t *testing.T) {
	bubble(t, func(t *testing.T) {
		version := func(program string, limit int) []spec.Group {
			return []spec.Group{group(2, restart.Policy{Limit: restart.Limit{Exits: limit}}, notice, func(r *spec.Replica) { r.Args = []string{program} })}
		}
		sim := simulate(t, of(version("broken", 2)...), &fakeSystem{each: func(s *fakeSystem, r spec.Replica, _ int) {
			if r.Args[0] == "broken" {
				s.lives = time.Second
			}
		}})
		sim.at(5 * time.Second)
		want(t, sim.states(), "a failed, b failed")
		if err := sim.Stop(t.Context(), "b"); err != nil {
			t.Error(err)
		}
		sim.takeEvents()
		for _, groups := range [][]spec.Group{version("broken", 3), version("mended", 3)} {
			if err := sim.Apply(t.Context(), groups); err != nil {
				t.Error(err)
			}
		}
		expect(t, sim.takeEvents(), "5s changed a/2", "5s changed b/2", "5s changed a/2", "5s changed b/2", "5s launched a/3", "5s ready a/3")
		want(t, sim.states(), "a ready, b stopped")
	})
}

// A change waits for the first launches.
func TestApplyDuringTheFirstLaunches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(3, restart.Policy{}, notice))
		s.MaxStarting = 1
		sim := simulate(t, s, &fakeSystem{mute: true})
		want(t, sim.states(), "a starting, b waiting, c waiting")
		if err := sim.Apply(t.Context(), s.Groups); err != nil {
			t.Error(err)
		}
		if err := sim.Scale(t.Context(), "g", 3); err != nil {
			t.Error(err)
		}
		sim.at(10 * time.Second)
		want(t, sim.states(), "a starting, b starting, c starting")
	})
}

// Run ends if the replicas that are left after a change have nothing to do, but not during the
// change.
func TestRunEndsAfterAChange(t *testing.T) {
	one := func(name string, p restart.Policy) spec.Group {
		return spec.Group{Name: name, Count: 1, Policy: p, Replica: func(int) spec.Replica {
			return spec.Replica{Name: name, Args: []string{"service"}}
		}}
	}
	once := &fakeSystem{each: func(s *fakeSystem, r spec.Replica, _ int) {
		if s.deaf = r.Name == "c"; r.Name == "once" {
			s.lives = time.Second
		}
	}}
	for _, stay := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			s := of(one("once", restart.Policy{Mode: restart.ModeNever}), one("b", restart.Policy{}))
			s.Stay = stay
			sim := simulate(t, s, once)
			sim.at(2 * time.Second)
			for i := range 100 {
				name := string(rune('d' + i%2))
				if i == 99 {
					name = "c"
				}
				if err := sim.Apply(t.Context(), []spec.Group{one("once", restart.Policy{Mode: restart.ModeNever}), one(name, restart.Policy{})}); err != nil {
					t.Fatal(err)
				}
			}
			want(t, sim.states(), "once finished, c ready")
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := sim.Scale(ctx, "c", 0); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the context's error", err)
			}
			sim.at(time.Minute) // the replica is gone, although no call waits for that
			select {
			case <-sim.ended:
			default:
				t.Error("it has not ended")
			}
		})
	}
}

// A change is visible as soon as SetPolicy returns.
func TestSettingsAreSeenAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{})), &fakeSystem{})
		for d := range time.Duration(3000) {
			if err := sim.SetPolicy(t.Context(), "g", restart.Policy{Delay: d}); err != nil {
				t.Fatal(err)
			}
			if s, _ := sim.Get("a"); s.Policy.Delay != d {
				t.Fatalf("the delay is still %v, want %v", s.Policy.Delay, d)
			}
		}
	})
}

// A delay that has passed does not start again.
func TestSetPolicyWhileQueued(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(2, restart.Policy{}, notice))
		s.MaxStarting = 1
		sim := simulate(t, s, &fakeSystem{mute: true, each: func(s *fakeSystem, r spec.Replica, n int) {
			if r.Name == "a" && n == 1 {
				s.lives = 500 * ms
			}
		}})
		sim.at(600 * ms) // b has a slot since 0.5 s, and a waits for one
		want(t, sim.states(), "a waiting, b starting")
		if err := sim.SetPolicy(t.Context(), "g", restart.Policy{Delay: time.Hour}); err != nil {
			t.Error(err)
		}
		if s, _ := sim.Get("a"); s.Next != sim.start.Add(500*ms) {
			t.Errorf("it is to be launched at %v, want as before", s.Next.Sub(sim.start))
		}
		sim.at(time.Minute)
		want(t, sim.states(), "a starting, b starting")
		if s, _ := sim.Get("a"); s.Launched != sim.start.Add(1500*ms) {
			t.Errorf("a was launched at %v, want 1.5s", s.Launched.Sub(sim.start))
		}
	})
}

// Only Scale and Apply can bring a leaving replica back.
func TestCommandsToLeavingReplicas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(2, restart.Policy{})), &fakeSystem{deaf: true})
		scaled := failure(func() error { return sim.Scale(t.Context(), "g", 1) })
		if err := sim.Start("b"); !errors.Is(err, ErrUnknown) {
			t.Errorf("start: got %v, want %v", err, ErrUnknown)
		}
		if err := sim.Restart(t.Context(), "b"); !errors.Is(err, ErrSuperseded) {
			t.Errorf("restart: got %v, want %v", err, ErrSuperseded)
		}
		if err := sim.RollingRestart(t.Context(), "b"); !errors.Is(err, ErrSuperseded) {
			t.Errorf("rolling restart: got %v, want %v", err, ErrSuperseded)
		}
		if err := sim.Stop(t.Context(), "b"); err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := <-scaled; err != nil {
			t.Error(err)
		}
		want(t, sim.states(), "a ready")
	})
}
