package supervisor

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// The same command again, while the first is in progress, succeeds as well.
func TestTheSameCommandTwice(t *testing.T) {
	for _, tt := range []struct {
		name    string
		command func(*simulation) error
	}{
		{"stop", func(sim *simulation) error { return sim.Stop(sim.t.Context()) }},
		{"restart", func(sim *simulation) error { return sim.Restart(sim.t.Context()) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				sim := simulate(t, of(group(1, restart.Policy{})), &fakeSystem{deaf: true})
				first := failure(func() error { return tt.command(sim) })
				sim.at(time.Second)
				if err := tt.command(sim); err != nil {
					t.Error(err)
				}
				if err := <-first; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// Rolling restarts are serialized: at most one replica is down at a time.
func TestRollingRestartsTakeTurns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(2, restart.Policy{}, notice)), &fakeSystem{ready: time.Second})
		sim.at(time.Second)
		sim.takeEvents()
		first := failure(func() error { return sim.RollingRestart(t.Context()) })
		if err := sim.RollingRestart(t.Context(), "b", "a"); err != nil {
			t.Error(err)
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
		expect(t, sim.takeEvents(event.KindExited, event.KindStopping), "1s launched a/2", "2s ready a/2", "2s launched b/2", "3s ready b/2",
			"3s launched a/3", "4s ready a/3", "4s launched b/3", "5s ready b/3")
	})
}

// The time that the stop takes does not count towards the start timeout.
func TestRollingRestartOfTheSlow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow := func(r *spec.Replica) { r.StartTimeout = 2 * time.Second }
		sim := simulate(t, of(group(1, restart.Policy{}, notice, slow)), &fakeSystem{ready: 1990 * ms, deaf: true, lag: 20 * ms})
		sim.at(2 * time.Second)
		if err := sim.RollingRestart(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// A rolling restart does not undo a stop.
func TestRollingRestartLeavesTheStopping(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{})), &fakeSystem{deaf: true})
		stopped := failure(func() error { return sim.Stop(t.Context()) })
		if err := sim.RollingRestart(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		want(t, sim.states(), "a stopped")
	})
}

// Commands whose context has ended are forgotten.
func TestWaitersAreForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{}, notice)), &fakeSystem{mute: true})
		for range 10 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := sim.RollingRestart(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the context's error", err)
			}
			cancel()
		}
		sim.at(20 * time.Second) // no slot is held any more
		sim.set.Pending()        // a runner forgets such commands at its next step
		synctest.Wait()
		if n := sim.set.Pending(); n > 0 {
			t.Errorf("%d commands still wait", n)
		}
	})
}
