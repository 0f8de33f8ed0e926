package report

import (
	"math"
	"slices"
	"testing"
)

func TestScaleTicks(t *testing.T) {
	for _, tc := range []struct {
		scale scale
		want  []float64
	}{
		{scale{low: 0, high: 1}, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{scale{low: 0, high: 23}, []float64{0, 5, 10, 15, 20}},
		{scale{low: 0, high: 0.0042}, []float64{0, 0.001, 0.002, 0.003, 0.004}},
		{scale{low: 0.98, high: 1}, []float64{0.98, 0.985, 0.99, 0.995, 1}},
		{scale{low: 0.01, high: 10, log: true}, []float64{0.01, 0.1, 1, 10}},
		{scale{low: 0.03, high: 4, log: true}, []float64{0.05, 0.1, 0.2, 0.5, 1, 2}},
		{scale{low: 1e-6, high: 1e6, log: true}, []float64{1e-6, 1e-4, 1e-2, 1, 100, 1e4, 1e6}},
	} {
		got := tc.scale.ticks(5)
		same := slices.EqualFunc(got, tc.want, func(a, b float64) bool { return math.Abs(a-b) < 1e-9*max(1, math.Abs(b)) })
		if !same {
			t.Errorf("%+v: ticks %v, want %v", tc.scale, got, tc.want)
		}
	}
}

func TestScaleAt(t *testing.T) {
	linear := scale{low: 0, high: 10, from: 200, to: 100}
	logarithmic := scale{low: 0.01, high: 100, log: true, from: 0, to: 400}
	for _, tc := range []struct {
		scale scale
		value float64
		want  float64
	}{
		{linear, 0, 200}, {linear, 5, 150}, {linear, 10, 100},
		{logarithmic, 0.01, 0}, {logarithmic, 1, 200}, {logarithmic, 100, 400},
		{linear, 12, 100}, {linear, math.Inf(-1), 200}, {logarithmic, -3, 0}, // clipped
		{scale{low: 3, high: 3, from: 10, to: 20}, 3, 15},
	} {
		if got := tc.scale.clip(tc.value); math.Abs(got-tc.want) > 1e-9 {
			t.Errorf("%+v: %v is at %v, want %v", tc.scale, tc.value, got, tc.want)
		}
	}
}

func TestAround(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, tc := range []struct {
		name              string
		estimates, bounds []float64
		want              scale
	}{
		{"from zero", []float64{2, 4}, []float64{1, 5}, scale{low: 0, high: 5.3}},
		{"a wide interval does not dwarf the rest", []float64{2, 4}, []float64{-90, 95}, scale{low: 0, high: 12.72}},
		{"no bounds", []float64{2, 4}, []float64{-inf, inf, nan}, scale{low: 0, high: 4.24}},
		{"two decades", []float64{0.02, 2}, []float64{0.01, 2.4}, scale{low: 0.01 / 1.2, high: 2.88, log: true}},
		{"a bound below zero has no logarithm", []float64{0.02, 2}, []float64{-1, 2.4}, scale{low: 0.02 / 1.2, high: 2.88, log: true}},
		{"zeros", []float64{0, 0}, nil, scale{low: 0, high: 1.06}},
		{"nothing", []float64{nan}, nil, scale{low: 0, high: 1}},
	} {
		got := around(tc.estimates, tc.bounds, 0, 0)
		if math.Abs(got.low-tc.want.low) > 1e-9 || math.Abs(got.high-tc.want.high) > 1e-9 || got.log != tc.want.log {
			t.Errorf("%s: %+v, want %+v", tc.name, got, tc.want)
		}
	}
}

func TestAroundShares(t *testing.T) {
	for _, tc := range []struct {
		shares []float64
		low    float64
	}{
		{[]float64{0.02, 1}, 0},
		{[]float64{0.79, 1}, 0},
		{[]float64{0.9, 0.95}, 0.85},
		{[]float64{0.9991, 0.9999}, 0.9985},
		{[]float64{-0.2, 1.2}, 0},
	} {
		got := aroundShares(tc.shares, 0, 0)
		if math.Abs(got.low-tc.low) > 1e-9 || got.high != 1 {
			t.Errorf("shares %v: from %v to %v, want from %v to 1", tc.shares, got.low, got.high, tc.low)
		}
	}
	if s := aroundShares([]float64{1, 1}, 100, 0); len(s.ticks(5)) < 2 {
		t.Errorf("all shares are 1: ticks %v, want at least two", s.ticks(5))
	}
}
