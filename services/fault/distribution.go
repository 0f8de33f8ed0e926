package fault

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Distribution is a distribution of durations, none of them negative. The zero value is always 0.
type Distribution struct {
	text      string // as it was parsed
	shape     shape
	low, high time.Duration // exponential: low is the mean
}

type shape uint8

const (
	constant shape = iota // first, so that the zero Distribution is a constant 0
	uniform
	exponential
)

// UnmarshalText parses "0", a duration ("50ms"), "uniform:50ms:500ms" (its least and its greatest duration) or
// "exp:100ms" (exponential; its mean). A duration without a unit, a negative one, and a greatest below the least are
// errors, and leave d as it was.
func (d *Distribution) UnmarshalText(text []byte) error {
	parsed, ok := parseDistribution(string(text))
	if !ok {
		return fmt.Errorf("%q: want 0, a duration such as 50ms, uniform:MIN:MAX with MIN up to MAX, or exp:MEAN, "+
			"no duration negative", text)
	}
	*d = parsed
	return nil
}

func parseDistribution(text string) (Distribution, bool) {
	d := Distribution{text: text}
	fields := strings.Split(text, ":")
	switch {
	case len(fields) == 1:
		d.shape = constant
	case len(fields) == 3 && fields[0] == "uniform":
		d.shape, fields = uniform, fields[1:]
	case len(fields) == 2 && fields[0] == "exp":
		d.shape, fields = exponential, fields[1:]
	default:
		return Distribution{}, false
	}
	for i, bound := range []*time.Duration{&d.low, &d.high}[:len(fields)] {
		parsed, err := time.ParseDuration(fields[i])
		if err != nil || parsed < 0 {
			return Distribution{}, false
		}
		*bound = parsed
	}
	return d, d.shape != uniform || d.low <= d.high
}

// String returns the text that d was parsed from, and "0s" for the zero value.
func (d Distribution) String() string {
	if d.text == "" {
		return "0s"
	}
	return d.text
}

// Quantile returns the duration that a share u of all durations stays below; u is at least 0 and less than 1. With u
// drawn uniformly, the result is drawn from d. What a Duration cannot hold is the longest Duration.
func (d Distribution) Quantile(u float64) time.Duration {
	switch d.shape {
	case uniform:
		return d.low + time.Duration(u*float64(d.high-d.low))
	case exponential:
		// Log1p(-u) is log(1-u), and exact for a small u too.
		t := -math.Log1p(-u) * float64(d.low)
		if t >= math.MaxInt64 {
			return math.MaxInt64
		}
		return time.Duration(t)
	default:
		return d.low
	}
}

// isZero reports whether d is always 0.
func (d Distribution) isZero() bool { return d.low == 0 && d.high == 0 }
