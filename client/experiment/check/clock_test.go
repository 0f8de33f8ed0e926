package check

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/record"
)

// Where the clocks of supervisors are known with an error, times that are wrong by up to that are
// no violation. Without it many are.
func TestClockErrorIsAllowedFor(t *testing.T) {
	const most = 20 * ms
	unexplained := 0
	for seed := range uint64(300) {
		w := newWorld(seed)
		seen := w.run(1 + int(seed%4))
		rng := rand.New(rand.NewPCG(seed, 2))
		remote := map[string]record.Remote{}
		for _, n := range w.nodes {
			off := time.Duration(rng.Int64N(int64(2*most+1))) - most
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
		t.Errorf("without the error of the clocks the checks find something in %d of 300 worlds: the test shows nothing", unexplained)
	}
}
