// Package stats holds the statistics of crashlab: pure functions of numbers.
package stats

import "math"

// Quantile returns the q-quantile of values that are sorted in ascending order, by the nearest-rank
// method: the least value that is no less than a share q of them all, so always one that was
// measured. q is in [0, 1]. Without values it returns zero.
func Quantile[T any](sorted []T, q float64) T {
	if len(sorted) == 0 {
		var zero T
		return zero
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}
