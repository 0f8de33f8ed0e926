package report

import (
	"slices"
	"testing"
)

func TestNewFactor(t *testing.T) {
	for _, tc := range []struct {
		name    string
		levels  []string
		want    []string
		values  []float64
		ordered bool
	}{
		{"p_crash", []string{"0.6", "0.1", "0.3"}, []string{"0.1", "0.3", "0.6"}, []float64{0.1, 0.3, 0.6}, true},
		{"timeout", []string{"1s", "100ms", "1m"}, []string{"100ms", "1s", "1m"}, []float64{0.1, 1, 60}, true},
		{"restart_delay", []string{"1s", "none", "200ms"}, []string{"1s", "none", "200ms"}, nil, true},
		{"max_in_flight", []string{"1", "adaptive"}, []string{"1", "adaptive"}, nil, false},
		{"max_in_flight", []string{"1", "2", "0"}, []string{"1", "2", "0"}, nil, true}, // 0 is without bound
		{"pause", []string{"200ms", "0s"}, []string{"0s", "200ms"}, []float64{0, 0.2}, true},
		{"order", []string{"first", "random"}, []string{"first", "random"}, nil, false},
		{"service_time", []string{"10ms", "3"}, []string{"10ms", "3"}, nil, false},
		{"row", []string{"2", "1"}, []string{"2", "1"}, nil, false},
	} {
		f := newFactor(tc.name, tc.levels)
		if !slices.Equal(f.levels, tc.want) || !slices.Equal(f.values, tc.values) || f.ordered != tc.ordered {
			t.Errorf("%s %v: levels %v, values %v, ordered %v; want %v, %v, %v",
				tc.name, tc.levels, f.levels, f.values, f.ordered, tc.want, tc.values, tc.ordered)
		}
	}
}

func TestPlanSweep(t *testing.T) {
	names := func(all []factor) (names []string) {
		for _, f := range all {
			names = append(names, f.name)
		}
		return names
	}
	rows := []string{"row", "original", "waiting"}
	concurrency := []string{"concurrency", "1", "5", "10"}
	pCrash := []string{"p_crash", "0.1", "0.2", "0.3", "0.4"}
	order := []string{"order", "first", "random", "least"}
	point := []string{"crash_point", "arrival", "reply"}
	for _, tc := range []struct {
		name           string
		factors        [][]string
		x, y           string
		series, panels []string
	}{
		{"one number", [][]string{concurrency}, "concurrency", "", nil, nil},
		{"one of words", [][]string{order}, "order", "", nil, nil},
		{"rows alone", [][]string{rows}, "row", "", nil, nil},
		{"rows and a number", [][]string{rows, concurrency}, "concurrency", "", []string{"row"}, nil},
		{"rows and words", [][]string{rows, order}, "order", "", []string{"row"}, nil},
		{"two numbers", [][]string{concurrency, pCrash}, "p_crash", "concurrency", nil, nil},
		{"rows and two numbers", [][]string{rows, concurrency, pCrash}, "p_crash", "concurrency", nil, []string{"row"}},
		{"more than there are colors", [][]string{rows, order, point, concurrency}, "concurrency", "",
			[]string{"row", "order"}, []string{"crash_point"}},
	} {
		plan := planSweep(factorsOf(madeGrid(tc.factors...).Cells))
		y := ""
		if plan.y != nil {
			y = plan.y.name
		}
		if plan.x.name != tc.x || y != tc.y ||
			!slices.Equal(names(plan.series), tc.series) || !slices.Equal(names(plan.panels), tc.panels) {
			t.Errorf("%s: x %q, y %q, series %v, panels %v; want %q, %q, %v, %v",
				tc.name, plan.x.name, y, names(plan.series), names(plan.panels), tc.x, tc.y, tc.series, tc.panels)
		}
	}
}
