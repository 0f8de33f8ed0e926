package stats

import (
	"encoding/json"
	"math"
	"slices"
	"testing"
)

// sampleOf makes a sample of a kind from bytes: each pair is the Count and Of of a run.
func sampleOf(kind uint8, runs []byte) Sample {
	s := Sample{Kind: Kind(kind % 3)}
	for pair := range slices.Chunk(runs[:min(len(runs), 80)], 2) {
		if len(pair) < 2 {
			break
		}
		r := Run{float64(pair[0]), float64(pair[1])}
		switch s.Kind {
		case KindShare:
			r.Count = min(r.Count, r.Of)
		case KindMean:
			r.Of = 1
		}
		s.Runs = append(s.Runs, r)
	}
	return s
}

// An interval contains its estimate and crosses no limit, and all results are finite numbers.
func FuzzInterval(f *testing.F) {
	f.Add(uint8(KindShare), []byte{50, 50, 50, 50, 49, 50})
	f.Add(uint8(KindMean), []byte{1, 1, 2, 1, 3, 1, 4, 1, 5, 1, 6, 1, 7, 1, 8, 1, 9, 1, 255, 1})
	f.Add(uint8(KindRate), []byte{0, 0, 3, 1})
	f.Fuzz(func(t *testing.T, kind uint8, runs []byte) {
		s := sampleOf(kind, runs)
		i := s.Interval()
		if i.N == 0 {
			return
		}
		const rounding = 1e-9
		if !(i.Low >= 0 && i.Low <= i.Estimate+rounding && i.Estimate <= i.High+rounding*max(1, i.Estimate)) || s.Kind == KindShare && i.High > 1 {
			t.Errorf("%v: %+v", s, i)
		}
		if _, err := json.Marshal(i); err != nil {
			t.Errorf("%+v: %v", i, err)
		}
		if d := s.DesignEffect(); math.IsNaN(d) || math.IsInf(d, 0) || d < 0 {
			t.Errorf("%v: design effect %v", s, d)
		}
		if few, many := s.RunsNeeded(0.5), s.RunsNeeded(0.01); few < 0 || many < few {
			t.Errorf("%v: %d runs to ±0.5, %d to ±0.01", s, few, many)
		}
	})
}

// Swapping the samples changes the sign of the difference, and a sample does not differ from
// itself.
func FuzzDifference(f *testing.F) {
	f.Add(uint8(KindShare), []byte{10, 50, 20, 50, 15, 50}, []byte{50, 50, 50, 50})
	f.Add(uint8(KindMean), []byte{1, 1}, []byte{2, 1, 3, 1})
	f.Fuzz(func(t *testing.T, kind uint8, a, b []byte) {
		x, y := sampleOf(kind, a), sampleOf(kind, b)
		there, back := Difference(x, y), Difference(y, x)
		if there.N != back.N || there.Sign() != -back.Sign() || !alike(there.Low, -back.High) || !alike(there.High, -back.Low) {
			t.Errorf("%v and %v: %+v, the other way %+v", x, y, there, back)
		}
		if same := Difference(x, x); same.Sign() != 0 {
			t.Errorf("%v against itself: %+v", x, same)
		}
	})
}

// alike reports whether two figures are equal except for rounding.
func alike(a, b float64) bool { return a == b || math.Abs(a-b) <= 1e-9*max(1, math.Abs(a)) }

// Checks the definition of the quantile by counting.
func FuzzQuantile(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4}, 0.5)
	f.Add([]byte{7, 7, 9}, 1.0)
	f.Add([]byte{}, 0.0)
	f.Fuzz(func(t *testing.T, values []byte, q float64) {
		if !(q >= 0 && q <= 1) || len(values) == 0 {
			return
		}
		slices.Sort(values)
		got := Quantile(values, q)
		below, upTo := 0, 0
		for _, v := range values {
			if v < got {
				below++
			}
			if v <= got {
				upTo++
			}
		}
		if n := float64(len(values)); float64(upTo) < q*n || float64(below) >= q*n && below > 0 {
			t.Errorf("Quantile(%v, %v) = %d: %d values below it, %d up to it", values, q, got, below, upTo)
		}
	})
}
