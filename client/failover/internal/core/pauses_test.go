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
