package stats

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestQuantile(t *testing.T) {
	hundred := make([]int, 100)
	for i := range hundred {
		hundred[i] = i + 1
	}
	for _, tc := range []struct {
		sorted []int
		q      float64
		want   int
	}{
		{nil, 0.5, 0},
		{[]int{7}, 0, 7},
		{[]int{7}, 1, 7},
		{[]int{1, 2, 3}, 0.5, 2},
		{[]int{1, 2, 3, 4}, 0.5, 2},
		{hundred, 0, 1},
		{hundred, 0.95, 95},
		{hundred, 0.951, 96},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
	} {
		if got := Quantile(tc.sorted, tc.q); got != tc.want {
			t.Errorf("Quantile(%d values, %v) = %d, want %d", len(tc.sorted), tc.q, got, tc.want)
		}
	}
}

// Checks the definition by counting.
func TestQuantileCoversItsShare(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		values := make([]int, 1+rnd.IntN(50))
		for i := range values {
			values[i] = rnd.IntN(20)
		}
		slices.Sort(values)
		q := rnd.Float64()
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
			t.Fatalf("Quantile(%v, %v) = %d: %d values below it, %d up to it", values, q, got, below, upTo)
		}
	}
}
