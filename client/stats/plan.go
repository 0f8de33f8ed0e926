package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// normal is how many standard errors an interval reaches to each side when the spread is known.
var normal = distuv.UnitNormal.Quantile(1 - tail)

// DesignEffect returns how many times the variance of a share is that of the same share of as many
// independent calls (Kish, Survey Sampling, 1965, ch. 8.2): the factor by which an interval that
// counts calls takes its variance too small. Zero: unknown, as there is only one run or no run
// differs from the others.
func (s Sample) DesignEffect() float64 {
	e := s.estimate()
	if s.Kind != KindShare || e.n < 2 || e.equal {
		return 0
	}
	return e.err * e.err / (e.value * (1 - e.value) / e.of)
}

// RunsNeeded returns how many runs, like those of the sample, it would take in all until the
// estimate is known to ±half, which is in the estimate's unit. When no run differs from the others,
// it is how many it takes until their calls know a share so well. Zero: unknown, as there is only
// one run, or no run differs in a sample that is not of a share.
func (s Sample) RunsNeeded(half float64) int {
	e := s.estimate()
	half /= s.times()
	switch {
	case e.n < 2 || half <= 0:
		return 0
	case !e.equal:
		return runsFor(e.deviation() / half)
	case s.Kind == KindShare:
		return max(2, ceil(e.callsFor(half)*float64(e.n)/e.of))
	}
	return 0
}

// runsFor returns for how many runs t·deviation/√n is at most one. The deviation is in units of the
// wanted half width.
func runsFor(deviation float64) int {
	n := max(2, ceil(math.Pow(normal*deviation, 2)))
	for n < mostRuns && tQuantile(float64(n-1))*deviation > math.Sqrt(float64(n)) {
		n++
	}
	return n
}

// callsFor returns how many independent calls it takes until their share is known to ±half: the
// normal approximation, but no fewer than the rule of three asks for.
func (e estimate) callsFor(half float64) float64 {
	if half >= 1 {
		return 1
	}
	return max(normal*normal*e.value*(1-e.value)/(half*half), math.Log(tail)/math.Log1p(-half))
}

const mostRuns = math.MaxInt32 // runs, more than anyone can make

func ceil(x float64) int { return int(math.Ceil(min(x, mostRuns))) }
