package simulate

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Model says how long the machine takes for everything except the service time.
type Model struct {
	// RoundTrip is the time from a request to its reply, without the service time.
	RoundTrip Measurement `yaml:"round_trip" json:"round_trip"`
	// Connect is the time of a dial to a replica that listens. The client dials a replica that was
	// down twice: first only to see whether it accepts connections.
	Connect Measurement `yaml:"connect" json:"connect"`
	// Refuse is the time of a dial to an address on which nothing listens.
	Refuse Measurement `yaml:"refuse" json:"refuse"`
	// Notice is the time from a replica's crash until its client sees the connection break.
	Notice Measurement `yaml:"notice" json:"notice"`
	// Relaunch is the time from a replica's crash to its relaunch, without the restart delay.
	Relaunch Measurement `yaml:"relaunch" json:"relaunch"`
	// Boot is the time from a launch until the replica listens.
	Boot Measurement `yaml:"boot" json:"boot"`
}

// Measurement is the distribution of a time.
type Measurement struct {
	// Median is the median time; Low and High are its 95% confidence interval.
	Median Span `yaml:"median" json:"median"`
	Low    Span `yaml:"low" json:"low"`
	High   Span `yaml:"high" json:"high"`
	// N is the number of samples. Zero means that the time comes from DefaultModel.
	N count `yaml:"measurements" json:"measurements"`
	// Spread says how single times differ from the median.
	Spread Spread `yaml:"spread" json:"spread"`
}

// draw returns a random time.
func (m *Measurement) draw(random *rand.Rand) time.Duration {
	if len(m.Spread) == 0 {
		return time.Duration(m.Median)
	}
	return time.Duration(m.Spread[random.IntN(len(m.Spread))] * float64(m.Median))
}

// Spread has evenly spaced quantiles of a time in ascending order, as multiples of its median,
// which are equally likely. On a busy machine the greatest are around 100. If it is empty, all
// times are the median.
type Spread []float64

// maxSpread is the greatest number of quantiles in a spread.
const maxSpread = 100

// MarshalText returns the quantiles in ascending order, such as "0.8 1 1.5".
func (s Spread) MarshalText() ([]byte, error) {
	words := make([]string, len(s))
	for i, x := range s {
		words[i] = strconv.FormatFloat(x, 'g', 4, 64)
	}
	return []byte(strings.Join(words, " ")), nil
}

// UnmarshalText parses the form that MarshalText returns.
func (s *Spread) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	*s = nil
	for i, word := range words {
		x, err := strconv.ParseFloat(word, 64)
		if err != nil || !(x >= 0 && x <= 1e6) || i > 0 && x < (*s)[i-1] || len(words) > maxSpread {
			return fmt.Errorf("%q: want at most %d numbers from 0 to 1000000 in ascending order, such as \"0.8 1 1.5\"", text, maxSpread)
		}
		*s = append(*s, x)
	}
	return nil
}

// DefaultModel returns the model of an idle machine with two cores of 2024. [Calibrate] measures
// another machine.
func DefaultModel() Model {
	constant := func(d time.Duration) Measurement { return Measurement{Median: Span(d), Low: Span(d), High: Span(d)} }
	return Model{
		RoundTrip: constant(300 * time.Microsecond), Connect: constant(600 * time.Microsecond), Refuse: constant(200 * time.Microsecond),
		Notice: constant(300 * time.Microsecond), Relaunch: constant(time.Millisecond), Boot: constant(6 * time.Millisecond),
	}
}
