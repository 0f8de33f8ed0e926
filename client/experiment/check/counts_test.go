package check

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/record"
)

// The incarnation of this test has answered the values 1 and 2.
func TestAnsweredSoCounted(t *testing.T) {
	for _, test := range []struct {
		count record.Count
		can   bool
	}{
		{record.Count{Arrived: 2, Counted: 2}, true},
		{record.Count{Arrived: 3, Counted: 1, InFlight: 1, Crash: 2}, true},
		{record.Count{Arrived: 3, Counted: 1, Crash: 3}, false},
		{record.Count{Arrived: 1, Counted: 1, InFlight: 1}, false},
		{record.Count{Arrived: 2, Counted: 3}, false},
		{record.Count{Arrived: 2, Counted: 2, InFlight: 3}, false},
		{record.Count{Arrived: 2, Counted: 2, Crash: 3}, false},
	} {
		var f findings
		l := &life{number: 1, count: &test.count, replies: []reply{{value: 1}, {value: 2}}}
		(&replica{name: "a"}).checkDefinite(&f, l)
		if (len(f.violations) == 0) != test.can {
			t.Errorf("%+v: %v, want possible %v", test.count, f.violations, test.can)
		}
	}
}

// The greedy choice of unaccounted leaves as few requests as the best of all assignments.
func TestUnaccountedIsOptimal(t *testing.T) {
	for seed := range uint64(3000) {
		rng := rand.New(rand.NewPCG(seed, 2))
		r := &replica{}
		requests := make([]int, 1+rng.IntN(5))
		last := always
		for i := range requests {
			end := time.Duration(i+1) * time.Second
			r.lives = append(r.lives, &life{number: i + 1, begin: last, end: end})
			last, requests[i] = end, rng.IntN(4)
		}
		for range rng.IntN(8) {
			start := time.Duration(rng.IntN(6000)) * ms
			r.ambiguous = append(r.ambiguous, span{start, start + time.Duration(rng.IntN(3000))*ms})
		}
		slices.SortFunc(r.ambiguous, func(a, b span) int { return cmp.Compare(a.end, b.end) })
		want := total(requests) - mostAccounted(r, slices.Clone(requests), 0)
		if got := total(r.unaccounted(requests)); got != want {
			t.Fatalf("seed %d: requests %v, attempts %v: %d are left, want %d", seed, requests, r.ambiguous, got, want)
		}
	}
}

func total(of []int) int {
	n := 0
	for _, k := range of {
		n += k
	}
	return n
}

// mostAccounted returns how many requests the attempts from an index on account for in the best of
// all assignments.
func mostAccounted(r *replica, left []int, from int) int {
	if from == len(r.ambiguous) {
		return 0
	}
	most := mostAccounted(r, left, from+1)
	a := r.ambiguous[from]
	for i, l := range r.lives {
		if left[i] > 0 && l.begin <= a.end+rounding && l.end >= a.start-rounding {
			left[i]--
			most = max(most, 1+mostAccounted(r, left, from+1))
			left[i]++
		}
	}
	return most
}
