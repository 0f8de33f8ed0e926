package report

import (
	"math"
	"slices"
)

// scale maps the values from low to high to positions from from to to.
type scale struct {
	low, high float64
	log       bool // low must be positive then
	from, to  float64
}

// decades is the span of positive values above which a logarithmic scale is used.
const decades = 1.6

func wantsLog(low, high float64) bool { return low > 0 && high >= low*math.Pow(10, decades) }

func (s scale) at(v float64) float64 {
	low, high := s.low, s.high
	if s.log {
		v, low, high = math.Log(v), math.Log(low), math.Log(high)
	}
	if high == low {
		return (s.from + s.to) / 2
	}
	return s.from + (v-low)/(high-low)*(s.to-s.from)
}

// value is the inverse of at.
func (s scale) value(at float64) float64 {
	share := (at - s.from) / (s.to - s.from)
	if s.log {
		return s.low * math.Pow(s.high/s.low, share)
	}
	return s.low + share*(s.high-s.low)
}

// clip returns the position of v or, if v is outside the scale, of the nearest end.
func (s scale) clip(v float64) float64 { return s.at(min(max(v, s.low), s.high)) }

// ticks returns about n round values within the scale.
func (s scale) ticks(n int) []float64 {
	if s.log {
		return logTicks(s.low, s.high, n)
	}
	step := roundStep((s.high - s.low) / float64(n))
	var ticks []float64
	for k := math.Ceil(s.low/step - 1e-9); k*step <= s.high+step*1e-9; k++ {
		ticks = append(ticks, k*step)
	}
	return ticks
}

// roundStep returns the smallest number of the form 1, 2 or 5 times a power of ten that is at least
// x.
func roundStep(x float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(x)))
	for _, m := range []float64{1, 2, 5} {
		if x <= m*power*(1+1e-9) {
			return m * power
		}
	}
	return 10 * power
}

// logTicks returns powers of ten: also 2 and 5 times them if there are too few, and only some of
// them if there are too many.
func logTicks(low, high float64, n int) []float64 {
	first, last := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	stride := max(1, math.Ceil((last-first)/float64(n+1)))
	within := func(multiples ...float64) []float64 {
		var ticks []float64
		for e := first; e <= last; e += stride {
			for _, m := range multiples {
				if v := m * math.Pow(10, e); v >= low*(1-1e-9) && v <= high*(1+1e-9) {
					ticks = append(ticks, v)
				}
			}
		}
		return ticks
	}
	if tens := within(1); len(tens) >= 3 {
		return tens
	}
	return within(1, 2, 5)
}

// around returns a scale that covers all finite values: a logarithmic one, or one from zero. It
// ignores bounds beyond three times the greatest estimate, so that a wide interval of few trials
// does not dwarf everything else.
func around(estimates, bounds []float64, from, to float64) scale {
	estimates = slices.DeleteFunc(slices.Clone(estimates), notFinite)
	if len(estimates) == 0 {
		return scale{low: 0, high: 1, from: from, to: to}
	}
	least, most := slices.Min(estimates), slices.Max(estimates)
	low, high := least, most
	for _, v := range bounds {
		if notFinite(v) {
			continue
		}
		high = max(high, min(v, 3*most))
		if v > 0 {
			low = min(low, max(v, least/3))
		}
	}
	if wantsLog(least, most) {
		return scale{low: low / 1.2, high: high * 1.2, log: true, from: from, to: to}
	}
	if high <= 0 {
		high = 1
	}
	return scale{low: 0, high: high * 1.06, from: from, to: to}
}

func notFinite(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }

// aroundShares returns a scale of shares from 0 to 1, or from a round share to 1 if all shares are
// near 1.
func aroundShares(shares []float64, from, to float64) scale {
	low := 1.0
	for _, v := range shares {
		if !notFinite(v) {
			low = min(low, max(v, 0))
		}
	}
	if low < 0.8 {
		return scale{low: 0, high: 1, from: from, to: to}
	}
	step := roundStep(max(1-low, 1e-4) / 4)
	return scale{low: 1 - step*math.Ceil((1-low)/step+0.5), high: 1, from: from, to: to}
}
