package stats

import (
	"math"
	"math/rand/v2"
	"slices"
)

const (
	// resamples is one less than a round number, so that the quantiles are resamples.
	resamples = 999
	// farthest bounds the reach of the bootstrap, as a multiple of that of Student's t. Without a
	// bound, runs that are equal except for two or three give infinite ends, and nearly equal runs
	// give absurd ones. The bound does not reduce the coverage.
	farthest = 3
)

// bootstrapped returns the bootstrap-t interval (Efron and Tibshirani, An Introduction to the
// Bootstrap, ch. 12.5). It replaces Student's distribution by that of t in samples drawn from the
// runs, which is as skewed as they are. The draws are the same each time.
//
// If the reach has to be bounded, each end is the wider of the bounded bootstrap and Student's t.
func (e estimate) bootstrapped(freedom float64) (low, high float64, method string, warnings []string) {
	ts := e.studentized()
	below, above := ts[int(tail*(resamples+1))-1], ts[int((1-tail)*(resamples+1))-1]
	student := tQuantile(float64(e.n - 1))
	bound := farthest * student
	excess := below < -bound || above > bound
	part := tQuantile(freedom) / student * e.err
	low, high = e.value-min(above, bound)*part, e.value-max(below, -bound)*part
	if !excess {
		return low, high, "bootstrap-t", nil
	}
	tLow, tHigh := e.student(freedom)
	return min(low, tLow), max(high, tHigh), "bootstrap-t, bounded", []string{"few trials cause most of the spread"}
}

// studentized returns t for samples drawn from the runs, in ascending order. It is infinite for
// samples without spread.
func (e estimate) studentized() []float64 {
	draw := rand.New(rand.NewPCG(1, 2))
	n, total := float64(e.n), 0.0
	for _, r := range e.residuals {
		total += r * r
	}
	ts := make([]float64, resamples)
	for i := range ts {
		var of, sum, squares, mixed, ofs float64
		for range e.n {
			k := draw.IntN(e.n)
			r, m := e.residuals[k], e.runs[k].Of
			of += m
			sum += r
			squares += r * r
			mixed += r * m
			ofs += m * m
		}
		// The value of this sample differs by shift from that of the whole, and so do its
		// residuals.
		shift := sum / of
		left := squares - 2*shift*mixed + shift*shift*ofs
		if left <= 1e-12*total {
			ts[i] = math.Copysign(math.Inf(1), shift)
			if math.Abs(sum) <= 1e-12*math.Sqrt(total) {
				ts[i] = 0
			}
			continue
		}
		ts[i] = sum / math.Sqrt(left*n/(n-1))
	}
	slices.Sort(ts)
	return ts
}
