package stats

import (
	"encoding/json"
	"math"
)

// Level is the confidence of all intervals.
const Level = 0.95

// Interval is an estimate and how far it may be from the truth.
type Interval struct {
	// Low and High are infinite where nothing bounds the truth, as after a single run.
	Estimate, Low, High float64
	Level               float64  // confidence, such as 0.95
	N                   int      // how many runs it is made of
	Method              string   // such as "t" or "bootstrap-t", for people
	Warnings            []string // why it may be wrong, in a few words each
}

// Bounded reports whether both ends are finite.
func (i Interval) Bounded() bool { return !math.IsInf(i.Low, 0) && !math.IsInf(i.High, 0) }

// Sign returns 1 when the whole interval lies above zero, -1 when it lies below, and 0 when it
// spans zero or touches it: of a difference, that it is inconclusive.
func (i Interval) Sign() int {
	switch {
	case i.Low > 0:
		return 1
	case i.High < 0:
		return -1
	}
	return 0
}

// times returns the interval of the estimate multiplied by x, which is positive.
func (i Interval) times(x float64) Interval {
	i.Estimate *= x
	i.Low *= x
	i.High *= x
	return i
}

// MarshalJSON returns the interval as an object; an end that is infinite is null, for JSON has no
// such number.
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
