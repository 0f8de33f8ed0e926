package stats

import (
	"fmt"
	"math"
)

// Sample is what the runs of one experiment have shown of one figure. The run is the unit that is
// counted: what happens within one run, such as the calls that a crash takes with it, happens
// together, so only the spread between runs tells how far the figure may be from the truth.
//
// The figure is estimated by the sum of all counts over the sum of what they are counted in (the
// ratio estimator: Cochran, Sampling Techniques, 3rd ed., ch. 6), so runs may differ in length.
type Sample struct {
	Kind Kind
	Runs []Run
	// Times is what the figure is multiplied by: a share of 50 calls, times 50, is how many of
	// them. Zero means one.
	Times float64
}

// Kind is what kind of figure a sample is of. It decides the limits that no interval crosses, and
// what is known when all runs are equal.
type Kind int

const (
	// KindMean is the mean of one value of each run, such as its makespan. Where no value is
	// negative, no interval is.
	KindMean Kind = iota
	// KindShare is of the calls of a run that, say, succeeded: from 0 to 1.
	KindShare
	// KindRate is of events, such as attempts by call or successes by second: never negative.
	KindRate
)

// Run is what one run adds to a sample: Count of Of calls succeeded, or Count events in Of seconds.
// Of is 1 for a Mean, and not negative; a run where it is zero says nothing and is left out.
type Run struct{ Count, Of float64 }

// Values returns the sample of the mean of values, one of each run.
func Values(values []float64) Sample {
	runs := make([]Run, len(values))
	for i, v := range values {
		runs[i] = Run{v, 1}
	}
	return Sample{Kind: KindMean, Runs: runs}
}

// The methods, and where each is used, are chosen by the coverage that they were measured to have,
// see TestCoverage.
const (
	// manyRuns is from how many runs the bootstrap does better than t: with fewer, there is too
	// little to draw from.
	manyRuns = 10
	// fewRuns is up to how many runs intervals carry a warning for that alone.
	fewRuns = 4
)

// Interval returns the estimate with the interval that covers the truth in 95 of 100 experiments.
//
// With two to nine runs it is Student's t on the logit (shares) or log scale, from ten the
// bootstrap-t; when all runs are equal, what the calls of a share or the events of a rate say as if
// they were independent. Warnings tell where these are known to cover less. Without any run the
// interval is the zero Interval.
func (s Sample) Interval() Interval {
	e := s.estimate()
	if e.n == 0 {
		return Interval{}
	}
	return e.interval(float64(e.n - 1)).times(s.times())
}

// StandardError is that of the estimate, by the spread between the runs: zero where they are equal,
// or are fewer than two.
func (s Sample) StandardError() float64 { return s.estimate().err * s.times() }

func (s Sample) times() float64 {
	if s.Times == 0 {
		return 1
	}
	return s.Times
}

// interval returns the interval as of so many degrees of freedom, which are those of the runs
// unless it is to be part of the interval of a difference.
func (e estimate) interval(freedom float64) Interval {
	i := Interval{Estimate: e.value, Level: Level, N: e.n}
	switch {
	case e.n == 1:
		i.Low, i.High, i.Method = e.min, e.max, "none"
		i.Warnings = []string{"one run: how much runs differ is unknown"}
		return i
	case e.equal:
		i.Low, i.High, i.Method, i.Warnings = e.equalRuns()
		return i
	case e.n < manyRuns:
		i.Low, i.High = e.student(freedom)
		i.Method = e.scale.method
	default:
		i.Low, i.High, i.Method, i.Warnings = e.bootstrapped(freedom)
	}
	i.Low, i.High = max(i.Low, e.min), min(i.High, e.max)
	i.Warnings = append(i.Warnings, e.warnings()...)
	return i
}

// equalRuns returns what is known when no run differs from the others.
func (e estimate) equalRuns() (low, high float64, method string, warnings []string) {
	switch e.kind {
	case KindShare:
		low, high = clopperPearson(e.count, e.of)
		return low, high, "Clopper-Pearson", []string{"all runs are equal: calls taken as independent"}
	case KindRate:
		low, high = garwood(e.count, e.of)
		return low, high, "Garwood", []string{"all runs are equal: events taken as independent"}
	}
	return e.min, e.max, "none", []string{"all runs are equal: nothing tells how much they can differ"}
}

// warnings returns why an interval of runs that differ may cover the truth less often than it says.
func (e estimate) warnings() []string {
	var ws []string
	if e.n <= fewRuns {
		ws = append(ws, fmt.Sprintf("few runs (%d)", e.n))
	}
	if e.unlike < min(4, (e.n+1)/2) {
		ws = append(ws, fmt.Sprintf("only %d of %d runs differ from the rest", e.unlike, e.n))
	}
	if e.n < 2*manyRuns && e.deviation() > 0.9*e.room() {
		ws = append(ws, "long tail: a rare bad run may not have been seen")
	}
	return ws
}

// estimate is what an interval is made of.
type estimate struct {
	kind      Kind
	n         int
	runs      []Run   // those that count
	count, of float64 // sums over all runs
	value     float64
	err       float64   // standard error of value, by the spread between runs; zero when they are equal
	residuals []float64 // how far each run's count is from the expected one
	equal     bool      // no run differs from the others
	unlike    int       // how many runs differ from the most common value
	min, max  float64   // that the truth cannot cross
	scale     scale
}

func (s Sample) estimate() estimate {
	e := estimate{kind: s.Kind, max: math.Inf(1)}
	for _, r := range s.Runs {
		if r.Of <= 0 {
			continue
		}
		e.runs = append(e.runs, r)
		e.count += r.Count
		e.of += r.Of
		if r.Count < 0 {
			e.min = math.Inf(-1)
		}
	}
	e.n = len(e.runs)
	if e.n == 0 {
		return e
	}
	if s.Kind == KindShare {
		e.max = 1
	}
	e.value = e.count / e.of
	e.spread()
	e.scale = scaleOf(s.Kind, e.min)
	return e
}

// spread sets what comes from the differences between the runs. The standard error is that of the
// ratio estimator, linearised (Cochran, ch. 6).
func (e *estimate) spread() {
	values := map[float64]int{}
	most, squares := 0, 0.0
	e.residuals = make([]float64, e.n)
	for i, r := range e.runs {
		value := r.Count / r.Of
		values[value]++
		most = max(most, values[value])
		e.residuals[i] = r.Count - e.value*r.Of
		squares += e.residuals[i] * e.residuals[i]
	}
	e.unlike = e.n - most
	e.equal = e.unlike == 0
	if n := float64(e.n); !e.equal {
		e.err = math.Sqrt(squares*n/(n-1)) / e.of
	}
}

// deviation is the standard deviation of the runs.
func (e estimate) deviation() float64 { return e.err * math.Sqrt(float64(e.n)) }

// room is how far the value is from the nearer of the limits.
func (e estimate) room() float64 { return min(e.value-e.min, e.max-e.value) }
