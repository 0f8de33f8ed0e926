package supervisor

import (
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
)

func TestStartWhenAllTurnsAreTaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(3, restart.Policy{}, notice))
		s.MaxStarting = 1
		th := perform(t, s, &script{mute: true})
		th.told()
		if err := th.Start("c"); err != nil {
			t.Fatal(err)
		}
		expect(t, th.told(), "0s launched c/1")
		th.at(time.Minute)
		expect(t, th.told(), "1s launched b/1")
	})
}

// Whoever ends gives its turn to the next, and whoever is stopped while it
// waits for its turn is not launched.
func TestTurnsAreGivenBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(4, restart.Policy{Delay: time.Hour}, notice))
		s.MaxStarting = 1
		th := perform(t, s, &script{mute: true, lives: 100 * ms})
		if err := th.Stop(t.Context(), "c"); err != nil {
			t.Error(err)
		}
		th.at(time.Minute)
		expect(t, th.told(event.KindAdded, event.KindExited), "0s launched a/1", "0s stopped c/0", "100ms launched b/1", "200ms launched d/1")
	})
	bubble(t, func(t *testing.T) {
		s := of(group(3, restart.Policy{}, notice))
		s.MaxStarting = 1
		th := perform(t, s, &script{mute: true})
		if err := th.Stop(t.Context(), "b"); err != nil { // the next
			t.Error(err)
		}
		th.at(time.Minute)
		want(t, th.states(), "a starting, b stopped, c starting")
	})
}

// A start forgets the past.
func TestStartForgets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		th := perform(t, of(group(1, restart.Policy{Delay: time.Second, Limit: restart.Limit{Exits: 2}})), &script{lives: time.Second})
		th.at(1500 * ms)
		if err := th.Start(); err != nil {
			t.Error(err)
		}
		th.at(2700 * ms)
		want(t, th.states(), "a waiting")
		th.at(time.Minute)
		want(t, th.states(), "a failed")
	})
}
