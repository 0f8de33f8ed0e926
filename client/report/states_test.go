package report

import (
	"slices"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/supervisor/event"
)

func TestReplicaStates(t *testing.T) {
	type happening struct {
		at          time.Duration
		kind        event.Kind
		incarnation int
		signal      syscall.Signal
	}
	const s = time.Second
	for _, tc := range []struct {
		name    string
		events  []happening
		bands   []band
		crashes []crash
	}{
		{"nothing known", nil, nil, nil},
		{
			"ready before the load, crashed, back",
			[]happening{{-2 * s, event.KindAdded, 0, 0}, {-2 * s, event.KindLaunched, 1, 0}, {-1 * s, event.KindReady, 1, 0},
				{3 * s, event.KindExited, 1, 0}, {4 * s, event.KindLaunched, 2, 0}, {5 * s, event.KindReady, 2, 0}},
			[]band{{"a", up, 0, 3 * s}, {"a", down, 3 * s, 4 * s}, {"a", starting, 4 * s, 5 * s}, {"a", up, 5 * s, 10 * s}},
			[]crash{{"a", 1, 3 * s}},
		},
		{
			"stopped on request is no crash",
			[]happening{{-1 * s, event.KindLaunched, 1, 0}, {0, event.KindReady, 1, 0}, {3 * s, event.KindStopping, 1, 0}, {4 * s, event.KindExited, 1, 0}},
			[]band{{"a", up, 0, 4 * s}, {"a", down, 4 * s, 10 * s}}, nil,
		},
		{
			"crashes while starting, and after the load",
			[]happening{{1 * s, event.KindLaunched, 1, 0}, {2 * s, event.KindExited, 1, 0}, {3 * s, event.KindLaunched, 2, 0}, {11 * s, event.KindExited, 2, 0}},
			[]band{{"a", down, 0, 1 * s}, {"a", starting, 1 * s, 2 * s}, {"a", down, 2 * s, 3 * s}, {"a", starting, 3 * s, 10 * s}},
			[]crash{{"a", 1, 2 * s}},
		},
		{
			"stopped by a signal, and continued",
			[]happening{{-1 * s, event.KindLaunched, 1, 0}, {0, event.KindReady, 1, 0}, {2 * s, event.KindSignaled, 1, syscall.SIGSTOP},
				{5 * s, event.KindSignaled, 1, syscall.SIGCONT}, {6 * s, event.KindExited, 1, 0}, {7 * s, event.KindSignaled, 1, syscall.SIGCONT}},
			[]band{{"a", up, 0, 2 * s}, {"a", paused, 2 * s, 5 * s}, {"a", up, 5 * s, 6 * s}, {"a", down, 6 * s, 10 * s}},
			[]crash{{"a", 1, 6 * s}},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var events []record.Event
			for _, h := range tc.events {
				events = append(events, record.Event{At: h.at, Process: &event.Event{Kind: h.kind, Replica: "a", Incarnation: h.incarnation, Signal: h.signal}})
			}
			bands, crashes := replicaStates(events, 10*s)
			if !slices.Equal(bands, tc.bands) {
				t.Errorf("bands %v, want %v", bands, tc.bands)
			}
			if !slices.Equal(crashes, tc.crashes) {
				t.Errorf("crashes %v, want %v", crashes, tc.crashes)
			}
		})
	}
}
