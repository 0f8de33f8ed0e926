// Package stats computes confidence intervals for the results of repeated experiments: of means,
// shares and rates, of the difference between two samples, and how many runs a wanted precision
// takes. All functions are pure and deterministic.
//
// Use it where the unit of observation is a run, such as a fresh cluster under load, in which calls
// fail together: intervals that count single calls as independent would be far too narrow. It is
// not a general statistics library, and does not test hypotheses.
package stats

import "math"

// Quantile returns the q-quantile of values sorted in ascending order, by the nearest-rank method:
// the least value such that at least a share q of all values do not exceed it. The result is always
// one of the values, or zero if there are none. q ranges from 0 to 1.
func Quantile[T any](sorted []T, q float64) T {
	if len(sorted) == 0 {
		var zero T
		return zero
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
