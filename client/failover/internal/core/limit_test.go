package core

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
)

// note records in the hazard how one attempt ended.
func note(h *Hazard, crashed bool) {
	if crashed {
		h.Crashed()
	} else {
		h.Survived()
	}
}

func survive(h *Hazard, attempts int) {
	for range attempts {
		h.Survived()
	}
}

func TestNoCrashNoLimit(t *testing.T) {
	var h Hazard
	for range 2 * calmAfter {
		if h.Rate() != 0 || h.Limit() != 0 {
			t.Fatalf("rate %v, limit %d before the first crash, want 0 and 0", h.Rate(), h.Limit())
		}
		h.Survived()
	}
}

// After the first crash, few attempts before it mean a high rate, many a low one.
func TestFirstCrash(t *testing.T) {
	for _, tc := range []struct{ survived, limit int }{{0, 1}, {4, 2}, {99, 40}, {2 * calmAfter, 1672}} {
		var h Hazard
		survive(&h, tc.survived)
		h.Crashed()
		if got := h.Limit(); got != tc.limit {
			t.Errorf("crash after %d survived: limit %d, want %d", tc.survived, got, tc.limit)
		}
	}
}

// A crash long ago no longer affects the limit.
func TestThrottle(t *testing.T) {
	for _, survived := range []int{0, 100, calmAfter} {
		var h Hazard
		survive(&h, survived)
		h.Crashed()
		if h.Limit() == 0 {
			t.Errorf("no limit right after a crash with %d survivors before it", survived)
		}
		survive(&h, calmAfter)
		if h.Rate() != 0 || h.Limit() != 0 {
			t.Errorf("rate %v, limit %d after %d survived, want 0 and 0", h.Rate(), h.Limit(), calmAfter)
		}
	}
}

// In the long run the estimate approaches the true rate. It errs upwards, as the refuted averages
// do.
func TestRateSettles(t *testing.T) {
	for _, p := range []float64{0.003, 0.01, 0.03, 0.1, 0.3, 1} {
		var h Hazard
		luck := rand.New(rand.NewPCG(1, 2))
		var rates []float64
		for range int(500 / p) {
			crashed := luck.Float64() < p
			note(&h, crashed)
			if crashed {
				rates = append(rates, h.Rate())
			}
		}
		slices.Sort(rates)
		if median := rates[len(rates)/2]; median < p/1.25 || median > p*1.25 {
			t.Errorf("p %v: the median rate is %v", p, median)
		}
	}
}

// A higher rate never has a higher limit, a limit is never below 1, and only a rate of 0 has none.
func TestLimitFallsWithRate(t *testing.T) {
	type state struct {
		rate  float64
		limit int
	}
	var states []state
	luck := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var h Hazard
		p := math.Pow(10, -4*luck.Float64())
		for range luck.IntN(2000) {
			note(&h, luck.Float64() < p)
		}
		states = append(states, state{h.Rate(), h.Limit()})
	}
	slices.SortFunc(states, func(a, b state) int { return cmp.Compare(a.rate, b.rate) })
	last := math.MaxInt
	for _, s := range states {
		if (s.rate == 0) != (s.limit == 0) || s.limit < 0 || s.rate < 0 || s.rate > 1 {
			t.Fatalf("rate %v has limit %d", s.rate, s.limit)
		}
		if s.rate > 0 && s.limit > last {
			t.Fatalf("rate %v has limit %d, a lower rate has %d", s.rate, s.limit, last)
		}
		if s.rate > 0 {
			last = s.limit
		}
	}
}

// As p goes from 0 to 0.3 and back, the limit follows within 50 attempts: to 2 or less, and then to
// one that does not restrict 50 callers of 3 replicas.
func TestFollowsChange(t *testing.T) {
	const seeds, within, binding = 300, 50, 17
	for _, before := range []int{0, 10, 30, 100, 300, 1000, calmAfter} {
		var fell, low, rose int
		for seed := range uint64(seeds) {
			var h Hazard
			luck := rand.New(rand.NewPCG(seed, 5))
			survive(&h, before)
			reached := false
			for range within {
				note(&h, luck.Float64() < 0.3)
				reached = reached || h.Limit() == 1 || h.Limit() == 2
			}
			if reached {
				fell++
			}
			if l := h.Limit(); l == 1 || l == 2 {
				low++
			}
			survive(&h, within)
			if l := h.Limit(); l == 0 || l >= binding {
				rose++
			}
		}
		t.Logf("%6d attempts at p 0, %d at 0.3, %d at 0: of %d seeds the limit fell to 2 or less in %d, "+
			"was there at the end in %d, and was %d or more, or none, after that in %d",
			before, within, within, seeds, fell, low, binding, rose)
		if fell < seeds*99/100 || low < seeds*98/100 || rose < seeds*99/100 {
			t.Errorf("after %d attempts at p 0: too few", before)
		}
	}
}

// Nothing that many goroutines record concurrently is lost: two gaps and the attempts after them
// add up to the total.
func TestConcurrent(t *testing.T) {
	const repeats, goroutines, each = 30, 64, 50
	for range repeats {
		var h Hazard
		var all sync.WaitGroup
		for i := range goroutines {
			all.Go(func() {
				for k := range each {
					note(&h, k == each/2 && i < 2)
					if l, r := h.Limit(), h.Rate(); l < 0 || r < 0 || r > 1 {
						t.Errorf("limit %d, rate %v", l, r)
					}
				}
			})
		}
		all.Wait()
		gaps := 2 * math.Float64frombits(h.mean.Load())
		if got := int(math.Round(gaps)) + int(h.survived.Load()); got != goroutines*each {
			t.Fatalf("%d attempts counted, want %d", got, goroutines*each)
		}
	}
}

func TestNoAllocations(t *testing.T) {
	var h Hazard
	if n := testing.AllocsPerRun(100, func() { h.Survived(); h.Crashed(); h.Limit() }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// BenchmarkHazard measures the cost for a call: without crashes, and after a recent one.
func BenchmarkHazard(b *testing.B) {
	calmed := func() *Hazard {
		h := new(Hazard)
		h.Crashed()
		survive(h, calmAfter)
		return h
	}
	crashing := func() *Hazard { // a rate low enough that a benchmark does not outlive it at once
		h := new(Hazard)
		survive(h, 1000)
		h.Crashed()
		return h
	}
	for _, bm := range []struct {
		name   string
		hazard func() *Hazard
		do     func(*Hazard)
	}{
		{"Limit/calm", calmed, func(h *Hazard) { h.Limit() }},
		{"Limit/crashing", crashing, func(h *Hazard) { h.Limit() }},
		{"Survived/calm", calmed, (*Hazard).Survived},
		{"Survived/crashing", crashing, func(h *Hazard) {
			h.Survived()
			if h.survived.Load() >= calmAfter {
				h.survived.Store(0)
			}
		}},
		{"Crashed", crashing, (*Hazard).Crashed},
	} {
		b.Run(bm.name, func(b *testing.B) {
			h := bm.hazard()
			b.ReportAllocs()
			for b.Loop() {
				bm.do(h)
			}
		})
		b.Run(bm.name+"/parallel", func(b *testing.B) {
			h := bm.hazard()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					bm.do(h)
				}
			})
		})
	}
}
