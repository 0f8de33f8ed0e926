package fault

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Distribution is a distribution of durations that are not negative. The zero value is always 0.
// Distributions parsed from the same text are equal (==).
type Distribution struct {
	text      string // as it was parsed
	shape     shape
	low, high time.Duration // exponential: low is the mean
	sorted    string        // the durations of values, 8 bytes each; a string is comparable
}

type shape uint8

const (
	constant shape = iota // first, so that the zero Distribution is a constant 0
	uniform
	exponential
	values
)

// MaxValues is the maximum number of durations of "values:".
const MaxValues = 1000

// UnmarshalText parses "0", a duration ("50ms"), "uniform:50ms:500ms" (with its minimum and
// maximum), "exp:100ms" (exponential, with its mean) or "values:12ms:15ms:80ms" (equally likely, in
// ascending order). A duration without a unit, a negative duration and a wrong order are errors,
// which leave d unchanged.
func (d *Distribution) UnmarshalText(text []byte) error {
	parsed, ok := parseDistribution(string(text))
	if !ok {
		return fmt.Errorf("%q: want 0, a duration such as 50ms, uniform:MIN:MAX with MIN up to MAX, exp:MEAN, "+
			"or values:A:B:... with up to %d durations in ascending order, no duration negative", text, MaxValues)
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
	case len(fields) > 1 && len(fields) <= 1+MaxValues && fields[0] == "values":
		d.shape, fields = values, fields[1:]
	default:
		return Distribution{}, false
	}
	all := make([]time.Duration, len(fields))
	for i, field := range fields {
		parsed, err := time.ParseDuration(field)
		if err != nil || parsed < 0 {
			return Distribution{}, false
		}
		all[i] = parsed
	}
	d.low = all[0]
	if len(all) > 1 {
		d.high = all[len(all)-1]
	}
	if d.shape == values {
		d.sorted = packed(all)
	}
	return d, slices.IsSorted(all)
}

func packed(all []time.Duration) string {
	var b []byte
	for _, v := range all {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return string(b)
}

// Values returns the empirical distribution of measured durations, rounded to microseconds. There
// must be at least one, and none may be negative. Of more than most durations, that many quantiles
// are used; most is at most [MaxValues].
func Values(measured []time.Duration, most int) Distribution {
	sorted := slices.Sorted(slices.Values(measured))
	n := min(len(sorted), most)
	var text strings.Builder
	text.WriteString("values")
	for i := range n {
		fmt.Fprintf(&text, ":%v", sorted[(2*i+1)*len(sorted)/(2*n)].Round(time.Microsecond))
	}
	d, ok := parseDistribution(text.String())
	if !ok {
		panic(fmt.Sprintf("fault: %d of %v: want at least one duration, none negative", most, measured))
	}
	return d
}

// String returns the text that d was parsed from, or "0s" for the zero value.
func (d Distribution) String() string {
	if d.text == "" {
		return "0s"
	}
	return d.text
}

// Quantile returns the u-quantile of d, for u in [0, 1). With u drawn uniformly, the result is
// drawn from d. A result that a Duration cannot hold becomes the longest Duration.
func (d Distribution) Quantile(u float64) time.Duration {
	switch d.shape {
	case uniform:
		return d.low + time.Duration(u*float64(d.high-d.low))
	case exponential:
		// Log1p(-u) is log(1-u), and is exact for a small u too.
		t := -math.Log1p(-u) * float64(d.low)
		if t >= math.MaxInt64 {
			return math.MaxInt64
		}
		return time.Duration(t)
	case values:
		i := 8 * int(u*float64(len(d.sorted)/8))
		return time.Duration(binary.BigEndian.Uint64([]byte(d.sorted[i : i+8])))
	default:
		return d.low
	}
}

// isZero reports whether d is always 0.
func (d Distribution) isZero() bool { return d.low == 0 && d.high == 0 }
