package stats

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// scale is a transformation after which the errors of an estimate are more symmetric, and whose
// range ends at the estimate's limits.
type scale struct {
	method   string
	to, from func(float64) float64
	slope    func(float64) float64 // derivative of to
}

var (
	identity = scale{"t",
		func(x float64) float64 { return x },
		func(x float64) float64 { return x },
		func(float64) float64 { return 1 }}
	logs   = scale{"t, log scale", math.Log, math.Exp, func(x float64) float64 { return 1 / x }}
	logits = scale{"t, logit scale",
		func(x float64) float64 { return math.Log(x / (1 - x)) },
		func(x float64) float64 { return 1 / (1 + math.Exp(-x)) },
		func(x float64) float64 { return 1 / (x * (1 - x)) }}
)

func scaleOf(kind Kind, min float64) scale {
	switch {
	case kind == KindShare:
		return logits
	case min < 0:
		return identity
	}
	return logs
}

// student returns the t interval, computed on the estimate's scale by the delta method. It is an
// interval of the mean itself, not of the mean of logarithms (for shares it is the logit interval
// of Korn and Graubard, Survey Methodology 24, 1998). For skewed runs, such as those of a gamma
// distribution, mean and standard error grow together, so t is better behaved for their quotient,
// which is the standard error of the logarithm.
func (e estimate) student(freedom float64) (low, high float64) {
	at, reach := e.scale.to(e.value), tQuantile(freedom)*e.err*e.scale.slope(e.value)
	return e.scale.from(at - reach), e.scale.from(at + reach)
}

// tQuantile returns how many standard errors a two-sided t interval extends to each side.
func tQuantile(freedom float64) float64 {
	return distuv.StudentsT{Sigma: 1, Nu: freedom}.Quantile(1 - tail)
}
