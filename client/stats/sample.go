package stats

import (
	"fmt"
	"math"
)

// Sample holds what the runs of one experiment have measured of one figure. The unit of observation
// is the run: events within a run, such as the calls that fail in one crash, depend on each other,
// so only the spread between runs shows how far the figure may be from the truth.
//
// The estimate is the sum of all Count over the sum of all Of (the ratio estimator: Cochran,
// Sampling Techniques, 3rd ed., ch. 6), so runs may differ in length.
type Sample struct {
	Kind Kind
	Runs []Run
	// Times is a positive factor of the figure: a share of 50 calls, times 50, is a number of
	// calls. Zero means 1.
	Times float64
}

// Kind is the kind of figure that a sample measures. It determines the limits that no interval
// crosses, and the interval if all runs are equal.
type Kind int

const (
	// KindMean is the mean of one value per run, such as its makespan. If no value is negative,
	// neither is any end of an interval.
	KindMean Kind = iota
	// KindShare is a share, from 0 to 1, such as that of the calls that succeeded.
	KindShare
	// KindRate is a rate of events, never negative, such as attempts per call or successes per
	// second.
	KindRate
)

// Run is one observation: Count of Of calls succeeded, or Count events happened in Of seconds. For
// KindMean, Count is the value and Of is 1. Runs whose Of is zero are ignored; it must not be
// negative.
type Run struct{ Count, Of float64 }

// Values returns a sample of KindMean from one value per run.
func Values(values []float64) Sample {
	runs := make([]Run, len(values))
	for i, v := range values {
		runs[i] = Run{v, 1}
	}
	return Sample{Kind: KindMean, Runs: runs}
}

// The methods and their ranges are chosen by measured coverage; see TestCoverage.
const (
	// manyRuns is the number of runs from which on the bootstrap covers better than t; with fewer,
	// there is too little to draw from.
	manyRuns = 10
	// fewRuns is the largest number of runs that by itself causes a warning.
	fewRuns = 4
)

// Interval returns the estimate with an interval that covers the true value in 95 of 100
// experiments.
//
// For two to nine runs it is Student's t on the logit scale (shares), the log scale, or, with
// negative values, the plain scale; from ten runs on it is the bootstrap-t. If all runs are equal,
// it is the exact interval of a share or rate as if calls or events were independent. After one run
// it is unbounded within the limits of the Kind. Warnings say where the coverage is known to be
// lower. Without any run, the result is the zero Interval.
func (s Sample) Interval() Interval {
	e := s.estimate()
	if e.n == 0 {
		return Interval{}
	}
	return e.interval(float64(e.n - 1)).times(s.times())
}

// StandardError returns the standard error of the estimate, from the spread between the runs. It is
// zero if they are equal or fewer than two.
func (s Sample) StandardError() float64 { return s.estimate().err * s.times() }

func (s Sample) times() float64 {
	if s.Times == 0 {
		return 1
	}
	return s.Times
}

// interval returns the interval for the given degrees of freedom, which are those of the runs
// unless it becomes part of the interval of a difference.
func (e estimate) interval(freedom float64) Interval {
	i := Interval{Estimate: e.value, Level: Level, N: e.n}
	switch {
	case e.n == 1:
		i.Low, i.High, i.Method = e.min, e.max, "none"
		i.Warnings = []string{"one trial: how much trials differ is unknown"}
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

// equalRuns returns the interval if no run differs from the others.
func (e estimate) equalRuns() (low, high float64, method string, warnings []string) {
	switch e.kind {
	case KindShare:
		low, high = clopperPearson(e.count, e.of)
		return low, high, "Clopper-Pearson", []string{"all trials are equal, so the interval counts their calls as independent and may be too narrow"}
	case KindRate:
		low, high = garwood(e.count, e.of)
		return low, high, "Garwood", []string{"all trials are equal, so the interval counts their events as independent and may be too narrow"}
	}
	return e.min, e.max, "none", []string{"all trials are equal, so how much trials can differ is unknown"}
}

// warnings returns why an interval of differing runs may cover the true value less often than it
// claims.
func (e estimate) warnings() []string {
	var ws []string
	if e.n <= fewRuns {
		ws = append(ws, fmt.Sprintf("few trials (%d)", e.n))
	}
	if e.unlike < min(4, (e.n+1)/2) {
		ws = append(ws, fmt.Sprintf("only %d of %d trials differ from the rest", e.unlike, e.n))
	}
	if e.n < 2*manyRuns && e.deviation() > 0.9*e.room() {
		ws = append(ws, "long tail: rare bad trials may be missing")
	}
	return ws
}

// estimate is an intermediate result from which intervals are computed.
type estimate struct {
	kind      Kind
	n         int
	runs      []Run   // those with a positive Of
	count, of float64 // sums over runs
	value     float64
	err       float64   // standard error of value, from the spread between runs; zero if they are equal
	residuals []float64 // how far each run's count is from the expected one
	equal     bool      // no run differs from the others
	unlike    int       // how many runs differ from the most common value
	min, max  float64   // limits of the true value
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

// spread sets the fields that depend on the differences between runs. The standard error is that of
// the linearized ratio estimator (Cochran, ch. 6).
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

// deviation returns the standard deviation of the runs.
func (e estimate) deviation() float64 { return e.err * math.Sqrt(float64(e.n)) }

// room returns the distance from the value to the nearer limit.
func (e estimate) room() float64 { return min(e.value-e.min, e.max-e.value) }
