package core

import (
	"math"
	"testing"
	"time"
)

func TestPausesGrow(t *testing.T) {
	const half = 1 << 63 // dice in the middle: no jitter
	for _, tc := range []struct {
		name string
		p    Pauses
		n    int
		dice uint64
		want time.Duration
	}{
		{"none", Pauses{Factor: 1e300, Jitter: 1}, 9, 0, 0},
		{"equal", Pauses{First: 100, Jitter: 0}, 5, 0, 100},
		{"doubled", Pauses{First: 100, Factor: 2}, 3, half, 800},
		{"bounded", Pauses{First: 100, Factor: 2, Max: 500}, 3, half, 500},
		{"bounded from the first", Pauses{First: 100, Max: 50}, 0, half, 50},
		{"shortened", Pauses{First: 100, Jitter: 0.2}, 0, 0, 80},
		{"lengthened", Pauses{First: 100, Jitter: 0.2}, 0, math.MaxUint64, 120},
		{"beyond the bound by the jitter alone", Pauses{First: 100, Factor: 3, Max: 200, Jitter: 0.5}, 7, math.MaxUint64, 300},
		{"longer than time goes", Pauses{First: math.MaxInt64, Factor: 1.5}, 1, half, Forever},
		{"longer than numbers go", Pauses{First: 1, Factor: math.MaxFloat64}, 9, half, Forever},
	} {
		if got := tc.p.nth(tc.n, tc.dice); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

// The time that a call has waited for a replica is part of the pause before it tries the replica
// again, so it does not matter whether the call or the replica's state is first to notice a loss.
func TestWaitingIsPartOfThePause(t *testing.T) {
	r := &Rules{Rounds: 2, Wait: true, Idempotent: true, Pauses: Pauses{First: 200}}
	for _, tc := range []struct {
		back time.Duration // when the replica is ready again, after an attempt that was lost at 10
		want Decision
	}{
		{10, Decision{Action: ActionPause, Wait: 200}},
		{100, Decision{Action: ActionPause, Wait: 110}},
		{209, Decision{Action: ActionPause, Wait: 1}},
		{210, Decision{Action: ActionTry, Round: 2, Alone: true}},
		{900, Decision{Action: ActionTry, Round: 2, Alone: true}},
	} {
		var c Call
		at := func(now time.Duration, ready string) Decision {
			return c.Next(r, Moment{Now: now, Remaining: Forever}, NewCandidates(replicasOf(1, ready)...))
		}
		if d := at(0, "a"); d.Action != ActionTry {
			t.Fatalf("first: %+v, want a try", d)
		}
		c.Note(Result{Sent: true})
		if tc.back > 10 {
			if d := at(10, ""); d.Action != ActionAwait {
				t.Fatalf("without a replica: %+v, want a wait", d)
			}
		}
		if d := at(tc.back, "a"); d != tc.want {
			t.Errorf("ready again at %d: %+v, want %+v", tc.back, d, tc.want)
		}
	}
}
