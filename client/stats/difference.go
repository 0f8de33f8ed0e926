package stats

import (
	"math"
	"slices"
)

// Difference returns the figure of sample b minus that of sample a, with its interval. The result
// is inconclusive if the interval contains zero; see [Interval.Sign]. If either sample has no runs,
// it is the zero Interval.
//
// The interval is combined from those of the samples by the method of variance estimates recovery
// (MOVER: Newcombe, Statistics in Medicine 17, 1998; Zou and Donner, Statistics in Medicine 27,
// 2008), so it is as asymmetric as they are and crosses no limit. The degrees of freedom are Welch
// and Satterthwaite's. For symmetric intervals it equals Welch's t interval.
func Difference(a, b Sample) Interval {
	ea, eb := a.estimate(), b.estimate()
	if ea.n == 0 || eb.n == 0 {
		return Interval{}
	}
	freedom := welch(ea, eb, b.times()/a.times())
	ia, ib := ea.interval(freedom(ea)).times(a.times()), eb.interval(freedom(eb)).times(b.times())
	d := Interval{Estimate: ib.Estimate - ia.Estimate, Level: Level, N: ia.N + ib.N, Method: "MOVER of " + ia.Method}
	if ib.Method != ia.Method {
		d.Method += " and " + ib.Method
	}
	d.Low = d.Estimate - math.Hypot(ib.Estimate-ib.Low, ia.High-ia.Estimate)
	d.High = d.Estimate + math.Hypot(ib.High-ib.Estimate, ia.Estimate-ia.Low)
	for _, w := range slices.Concat(ia.Warnings, ib.Warnings) {
		if !slices.Contains(d.Warnings, w) {
			d.Warnings = append(d.Warnings, w)
		}
	}
	return d
}

// welch returns a function from a or b to the degrees of freedom of its interval in their
// difference. times is the factor of b relative to a.
func welch(a, b estimate, times float64) func(either estimate) float64 {
	if a.equal || b.equal { // at most one of them has a spread
		return func(either estimate) float64 { return float64(either.n - 1) }
	}
	va, vb := a.err*a.err, b.err*b.err*times*times
	both := (va + vb) * (va + vb) / (va*va/float64(a.n-1) + vb*vb/float64(b.n-1))
	return func(estimate) float64 { return both }
}
