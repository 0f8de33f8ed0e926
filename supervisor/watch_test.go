package supervisor

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
)

func TestWatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{Delay: 999 * ms})), &fakeSystem{lives: ms})
		sim.at(1500 * ms)
		var got []string
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			for e, err := range sim.Watch(context.Background(), 2) {
				got = append(got, fmt.Sprint(e.Sequence, e.Kind, err))
			}
		}()
		sim.at(2500 * ms)
		sim.stop()
		<-watched // Watch ends with Run although its context has not ended
		expect(t, got, "3 ready <nil>", "4 exited <nil>", "5 launched <nil>", "6 ready <nil>", "7 exited <nil>",
			"8 launched <nil>", "9 ready <nil>", "10 exited <nil>", "11 removed <nil>")
		for e, err := range sim.Watch(t.Context(), 99) {
			if !errors.Is(err, event.ErrForgotten) {
				t.Errorf("after 99: %v %v", e, err)
			}
		}
	})
}

// kept is the number of events that Watch can return.
const kept = 4096

func TestWatchOfForgottenEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{})), &fakeSystem{lives: time.Second})
		sim.at(2000 * time.Second) // 6,000 events
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		n := 0
		last := sim.Sequence()
		for e, err := range sim.Watch(ctx, last-kept) {
			if n++; err != nil || e.Sequence != last-kept+uint64(n) {
				t.Fatalf("event %d: %+v, %v", n, e, err)
			}
			if n == kept {
				break
			}
		}
		for _, err := range sim.Watch(ctx, last-kept-1) {
			if !errors.Is(err, event.ErrForgotten) {
				t.Errorf("got %v, want %v", err, event.ErrForgotten)
			}
		}
	})
}
