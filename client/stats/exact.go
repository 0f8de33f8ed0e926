package stats

import "gonum.org/v1/gonum/stat/distuv"

const tail = (1 - Level) / 2

// clopperPearson returns the exact interval of a share of independent calls (Clopper and Pearson,
// Biometrika 26, 1934). If all of n calls succeeded, its low end is about 1 - 3.7/n (the two-sided
// rule of three).
func clopperPearson(successes, calls float64) (low, high float64) {
	high = 1
	if successes > 0 {
		low = distuv.Beta{Alpha: successes, Beta: calls - successes + 1}.Quantile(tail)
	}
	if successes < calls {
		high = distuv.Beta{Alpha: successes + 1, Beta: calls - successes}.Quantile(1 - tail)
	}
	return low, high
}

// garwood returns the exact interval of the rate of independent events (Garwood, Biometrika 28,
// 1936).
func garwood(events, of float64) (low, high float64) {
	if events > 0 {
		low = distuv.Gamma{Alpha: events, Beta: 1}.Quantile(tail) / of
	}
	return low, distuv.Gamma{Alpha: events + 1, Beta: 1}.Quantile(1-tail) / of
}
