package stats

import (
	"encoding/json"
	"math"
)

// Level is the confidence level of all intervals.
const Level = 0.95

// Interval is an estimate with its confidence interval.
type Interval struct {
	// Low and High are infinite if nothing bounds the true value, as after a single run.
	Estimate, Low, High float64
	Level               float64  // confidence level, such as 0.95
	N                   int      // number of runs
	Method              string   // for people, such as "t" or "bootstrap-t"
	Warnings            []string // why the interval may be wrong, each a short phrase
}

// Bounded reports whether both ends are finite.
func (i Interval) Bounded() bool { return !math.IsInf(i.Low, 0) && !math.IsInf(i.High, 0) }

// Sign returns 1 if the whole interval lies above zero, -1 if it lies below, and 0 if it contains
// zero, which means that a difference is inconclusive.
func (i Interval) Sign() int {
	switch {
	case i.Low > 0:
		return 1
	case i.High < 0:
		return -1
	}
	return 0
}

// times returns the interval multiplied by x, which must be positive.
func (i Interval) times(x float64) Interval {
	i.Estimate *= x
	i.Low *= x
	i.High *= x
	return i
}

// MarshalJSON returns the interval as a JSON object. An infinite end becomes null, because JSON has
// no such number.
func (i Interval) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Estimate float64  `json:"estimate"`
		Low      *float64 `json:"low"`
		High     *float64 `json:"high"`
		Level    float64  `json:"level"`
		N        int      `json:"n"`
		Method   string   `json:"method"`
		Warnings []string `json:"warnings,omitempty"`
	}{i.Estimate, finite(i.Low), finite(i.High), i.Level, i.N, i.Method, i.Warnings})
}

func finite(x float64) *float64 {
	if math.IsInf(x, 0) {
		return nil
	}
	return &x
}
