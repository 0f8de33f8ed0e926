package check

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/record"
)

// Times that are wrong by up to the clock error of their supervisor are no violation; with a clock
// error of zero they are.
func TestClockErrorIsNoViolation(t *testing.T) {
	const maxError = 20 * ms
	unexplained := 0
	for seed := range uint64(300) {
		w := newWorld(seed)
		seen := w.run(1 + int(seed%4))
		rng := rand.New(rand.NewPCG(seed, 2))
		remote := map[string]record.Remote{}
		for _, n := range w.nodes {
			off := time.Duration(rng.Int64N(int64(2*maxError+1))) - maxError
			remote[n.name] = record.Remote{Name: "counter-" + n.name, FirstIncarnation: 1, ClockError: off.Abs()}
			for i := range seen.Events {
				e := &seen.Events[i]
				if e.Process != nil && e.Process.Replica == n.name || e.Count != nil && e.Count.Replica == n.name {
					e.At += off
				}
			}
		}
		slices.SortStableFunc(seen.Events, func(a, b record.Event) int { return cmp.Compare(a.At, b.At) })
		if len(Trial(seen)) > 0 {
			unexplained++
		}
		seen.Remote = remote
		for _, v := range Trial(seen) {
			t.Errorf("world %d: %s: %s", seed, v.Check, v.Detail)
		}
	}
	if unexplained < 30 {
		t.Errorf("with a clock error of zero there are violations in %d of 300 worlds, want at least 30", unexplained)
	}
}
