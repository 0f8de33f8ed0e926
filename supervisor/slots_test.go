package supervisor

import (
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
)

func TestStartWhenAllSlotsAreTaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(3, restart.Policy{}, notice))
		s.MaxStarting = 1
		sim := simulate(t, s, &fakeSystem{mute: true})
		sim.takeEvents()
		if err := sim.Start("c"); err != nil {
			t.Fatal(err)
		}
		expect(t, sim.takeEvents(), "0s launched c/1")
		sim.at(time.Minute)
		expect(t, sim.takeEvents(), "1s launched b/1")
	})
}

// A replica that ends frees its slot for the next one, and a replica that is stopped while it waits
// for a slot is not launched.
func TestSlotsAreFreed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(4, restart.Policy{Delay: time.Hour}, notice))
		s.MaxStarting = 1
		sim := simulate(t, s, &fakeSystem{mute: true, lives: 100 * ms})
		if err := sim.Stop(t.Context(), "c"); err != nil {
			t.Error(err)
		}
		sim.at(time.Minute)
		expect(t, sim.takeEvents(event.KindAdded, event.KindExited), "0s launched a/1", "0s stopped c/0", "100ms launched b/1", "200ms launched d/1")
	})
	bubble(t, func(t *testing.T) {
		s := of(group(3, restart.Policy{}, notice))
		s.MaxStarting = 1
		sim := simulate(t, s, &fakeSystem{mute: true})
		if err := sim.Stop(t.Context(), "b"); err != nil { // the next one in the queue
			t.Error(err)
		}
		sim.at(time.Minute)
		want(t, sim.states(), "a starting, b stopped, c starting")
	})
}

// A start forgets past exits.
func TestStartForgets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{Delay: time.Second, Limit: restart.Limit{Exits: 2}})), &fakeSystem{lives: time.Second})
		sim.at(1500 * ms)
		if err := sim.Start(); err != nil {
			t.Error(err)
		}
		sim.at(2700 * ms)
		want(t, sim.states(), "a waiting")
		sim.at(time.Minute)
		want(t, sim.states(), "a failed")
	})
}
