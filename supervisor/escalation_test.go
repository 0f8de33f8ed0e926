package supervisor

import (
	"errors"
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// Repeated restarts of a group are delayed like those of a replica.
func TestRestartAllIsNoHotLoop(t *testing.T) {
	p := restart.Policy{Limit: restart.Limit{Exits: 1, Then: restart.EscalationRestartAll}}
	bubble(t, func(t *testing.T) {
		n := 0
		sim := simulate(t, of(group(1, p)), &fakeSystem{err: errors.New("no such file"), each: func(s *fakeSystem, _ spec.Replica, _ int) {
			if n++; n > 20 {
				s.err = nil // so that the test can end
			}
		}})
		sim.at(1500 * ms)
		expect(t, sim.takeEvents(event.KindAdded), "0s launch failed a/1", "0s failed a/1", "1s launch failed a/2", "1s failed a/2")
	})
	bubble(t, func(t *testing.T) {
		s := of(group(1, p))
		s.Stay = false // the group is restarted although nothing else runs
		sim := simulate(t, s, &fakeSystem{lives: ms})
		sim.at(time.Second)
		// Nine launches at once, then one every 101 ms.
		if s, _ := sim.Get("a"); s.Incarnation < 15 || s.Incarnation > 20 {
			t.Errorf("incarnation %d, want 10, and one more every 0.1 s", s.Incarnation)
		}
	})
}

// Restart-all does not start replicas that a command stopped.
func TestRestartAllLeavesTheStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dying := &fakeSystem{each: func(s *fakeSystem, r spec.Replica, n int) {
			if s.deaf = r.Name == "c"; r.Name == "a" && n == 1 {
				s.lives = time.Second
			}
		}}
		sim := simulate(t, of(group(3, restart.Policy{Limit: restart.Limit{Exits: 1, Then: restart.EscalationRestartAll}})), dying)
		if err := sim.Stop(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		failure(func() error { return sim.Stop(t.Context(), "c") })
		sim.at(time.Minute)
		want(t, sim.states(), "a ready, b stopped, c stopped")
	})
}
