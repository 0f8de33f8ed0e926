package supervisor

import (
	"errors"
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// A group that is launched anew, again and again, has the delays of any replica.
func TestRestartAllIsNoHotLoop(t *testing.T) {
	p := restart.Policy{Limit: restart.Limit{Exits: 1, Then: restart.EscalationRestartAll}}
	bubble(t, func(t *testing.T) {
		n := 0
		th := perform(t, of(group(1, p)), &script{err: errors.New("no such file"), each: func(s *script, _ spec.Replica, _ int) {
			if n++; n > 20 {
				s.err = nil // let the test end
			}
		}})
		th.at(1500 * ms)
		expect(t, th.told(event.KindAdded), "0s launch failed a/1", "0s failed a/1", "1s launch failed a/2", "1s failed a/2")
	})
	bubble(t, func(t *testing.T) {
		s := of(group(1, p))
		s.Stay = false // it is launched anew also where nothing else runs
		th := perform(t, s, &script{lives: ms})
		th.at(time.Second)
		// Nine at once, then one each 101 ms.
		if s, _ := th.Get("a"); s.Incarnation < 15 || s.Incarnation > 20 {
			t.Errorf("incarnation %d, want 10 and one more each 0.1 s", s.Incarnation)
		}
	})
}

// What somebody stopped stays so.
func TestRestartAllLeavesTheStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		dying := &script{each: func(s *script, r spec.Replica, n int) {
			if s.deaf = r.Name == "c"; r.Name == "a" && n == 1 {
				s.lives = time.Second
			}
		}}
		th := perform(t, of(group(3, restart.Policy{Limit: restart.Limit{Exits: 1, Then: restart.EscalationRestartAll}})), dying)
		if err := th.Stop(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		failure(func() error { return th.Stop(t.Context(), "c") })
		th.at(time.Minute)
		want(t, th.states(), "a ready, b stopped, c stopped")
	})
}
