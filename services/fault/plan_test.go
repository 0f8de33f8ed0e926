package fault

import (
	"math"
	"slices"
	"testing"
)

// crashes returns the requests among the first n that crash.
func crashes(p Plan, probability float64, n uint64) []uint64 {
	var ks []uint64
	for k := uint64(1); k <= n; k++ {
		if p.Draws(k).Crash < probability {
			ks = append(ks, k)
		}
	}
	return ks
}

func TestPlanRepeats(t *testing.T) {
	plan := Plan{Seed: 7, Replica: "a", Incarnation: 1}
	want := crashes(plan, 0.3, 200)
	if got := crashes(Plan{Seed: 7, Replica: "a", Incarnation: 1}, 0.3, 200); !slices.Equal(got, want) {
		t.Errorf("equal plans crash at %v and %v", got, want)
	}
	for name, other := range map[string]Plan{
		"seed":        {Seed: 8, Replica: "a", Incarnation: 1},
		"replica":     {Seed: 7, Replica: "b", Incarnation: 1},
		"incarnation": {Seed: 7, Replica: "a", Incarnation: 2},
	} {
		if got := crashes(other, 0.3, 200); slices.Equal(got, want) {
			t.Errorf("with another %s the crashes are the same: %v", name, got)
		}
	}
}

// If these change, no recorded run can be repeated.
func TestPlanIsTheSameInEveryVersion(t *testing.T) {
	got := crashes(Plan{Seed: 1, Replica: "a", Incarnation: 1}, 0.3, 30)
	want := []uint64{1, 2, 3, 5, 7, 8, 10, 15, 18, 21, 23, 24}
	if !slices.Equal(got, want) {
		t.Errorf("crashes at %v, want %v", got, want)
	}
}

func TestDrawsAreUniformAndIndependent(t *testing.T) {
	const n = 100_000
	plan := Plan{Seed: 42, Replica: "a", Incarnation: 1}
	for _, p := range []float64{0.01, 0.3, 0.9} {
		var crash, failed, fast, crashAndFailed, failedAndFast float64
		for k := uint64(1); k <= n; k++ {
			d := plan.Draws(k)
			c, e, s := d.Crash < p, d.Error < p, d.ServiceTime < p
			for _, count := range []struct {
				n   *float64
				hit bool
			}{{&crash, c}, {&failed, e}, {&fast, s}, {&crashAndFailed, c && e}, {&failedAndFast, e && s}} {
				if count.hit {
					*count.n++
				}
			}
		}
		near := func(what string, hits, want float64) {
			t.Helper()
			if bound := 5 * math.Sqrt(want*(1-want)/n); math.Abs(hits/n-want) > bound {
				t.Errorf("p %v: %s in a share of %v, want %v ± %.4f", p, what, hits/n, want, bound)
			}
		}
		near("crash", crash, p)
		near("error", failed, p)
		near("service time", fast, p)
		near("crash and error", crashAndFailed, p*p)
		near("error and service time", failedAndFast, p*p)
	}
}

func TestFractionIsBelowOne(t *testing.T) {
	least, greatest := fraction(make([]byte, 8)), fraction([]byte{255, 255, 255, 255, 255, 255, 255, 255})
	if least != 0 || greatest >= 1 {
		t.Errorf("unit goes from %v to %v, want 0 to less than 1", least, greatest)
	}
}
