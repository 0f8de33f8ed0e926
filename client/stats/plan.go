package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// normal is how many standard errors an interval extends to each side if the spread is known.
var normal = distuv.UnitNormal.Quantile(1 - tail)

// DesignEffect returns the ratio of the variance of a share to the variance it would have if all
// calls were independent (Kish, Survey Sampling, 1965, ch. 8.2): the factor by which an interval
// that counts calls underestimates the variance. Zero means unknown, because the sample is not of a
// share, there is only one run, or no run differs from the others.
func (s Sample) DesignEffect() float64 {
	e := s.estimate()
	if s.Kind != KindShare || e.n < 2 || e.equal {
		return 0
	}
	return e.err * e.err / (e.value * (1 - e.value) / e.of)
}

// RunsNeeded returns how many runs like those of the sample it takes in total for an interval of
// ±half, which is in the unit of the estimate. If no run of a share differs from the others, it
// counts their calls as independent. Zero means unknown, because half is not positive, there is
// only one run, or no run differs in a sample that is not of a share.
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

// runsFor returns the least number n of runs for which t·deviation/√n is at most 1. The deviation
// is in units of the wanted half width.
func runsFor(deviation float64) int {
	n := max(2, ceil(math.Pow(normal*deviation, 2)))
	for n < maxRuns && tQuantile(float64(n-1))*deviation > math.Sqrt(float64(n)) {
		n++
	}
	return n
}

// callsFor returns how many independent calls it takes to estimate their share to ±half, by the
// normal approximation, but at least as many as the rule of three requires.
func (e estimate) callsFor(half float64) float64 {
	if half >= 1 {
		return 1
	}
	return max(normal*normal*e.value*(1-e.value)/(half*half), math.Log(tail)/math.Log1p(-half))
}

const maxRuns = math.MaxInt32 // upper bound of RunsNeeded

func ceil(x float64) int { return int(math.Ceil(min(x, maxRuns))) }
