package virtual

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// Timers fire in the order of their times or, if these are equal, in the order in which they were
// set, however they are reset and stopped.
func TestTimelineFiresInOrder(t *testing.T) {
	type planned struct {
		at    time.Duration
		order int
		timer int
	}
	for seed := range uint64(50) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		var line Timeline
		var fired []int
		timers, plans := make([]Timer, 40), map[int]planned{}
		for i := range timers {
			timers[i].Do = func() { fired = append(fired, i) }
		}
		for order := range 200 {
			i := rnd.IntN(len(timers))
			if rnd.IntN(3) == 0 {
				line.Stop(&timers[i])
				delete(plans, i)
				continue
			}
			at := time.Duration(rnd.IntN(20))
			line.Set(&timers[i], at)
			plans[i] = planned{at, order, i}
		}
		var want []planned
		for _, p := range plans {
			want = append(want, p)
		}
		slices.SortFunc(want, func(a, b planned) int {
			if a.at != b.at {
				return int(a.at - b.at)
			}
			return a.order - b.order
		})
		line.RunUntil(30)
		for i, p := range want {
			if i >= len(fired) || fired[i] != p.timer {
				t.Fatalf("seed %d: fired %v, want timer %d as number %d", seed, fired, p.timer, i+1)
			}
		}
		if len(fired) != len(want) || line.Now() != 30 || line.Step() {
			t.Errorf("seed %d: %d fired, want %d; it is %v, want 30ns", seed, len(fired), len(want), line.Now())
		}
	}
}
