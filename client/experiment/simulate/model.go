package simulate

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Model is the time that the machine takes for its own part, the service time left out.
type Model struct {
	// RoundTrip is the time from a request to its reply, without the service time.
	RoundTrip Measurement `yaml:"round_trip" json:"round_trip"`
	// Connect is the time that a dial takes which finds a replica. One that was down is dialed
	// twice: first to see whether something accepts connections.
	Connect Measurement `yaml:"connect" json:"connect"`
	// Refuse is the time that a dial takes where nothing listens.
	Refuse Measurement `yaml:"refuse" json:"refuse"`
	// Notice is the time from a replica's crash until its client knows that the connection is lost.
	Notice Measurement `yaml:"notice" json:"notice"`
	// Relaunch is the time from a replica's crash to its relaunch, without the restart delay.
	Relaunch Measurement `yaml:"relaunch" json:"relaunch"`
	// Boot is the time from a launch until the replica listens.
	Boot Measurement `yaml:"boot" json:"boot"`
}

// Measurement is a time that differs from case to case.
type Measurement struct {
	// Median is the time, and Low and High are its 95% interval.
	Median Span `yaml:"median" json:"median"`
	Low    Span `yaml:"low" json:"low"`
	High   Span `yaml:"high" json:"high"`
	// N is how many measurements it is made of. Zero: none, and the time is that of DefaultModel.
	N count `yaml:"measurements" json:"measurements"`
	// Spread is how single times differ from the median.
	Spread Spread `yaml:"spread" json:"spread"`
}

// draw returns a single time.
func (m *Measurement) draw(random *rand.Rand) time.Duration {
	if len(m.Spread) == 0 {
		return time.Duration(m.Median)
	}
	return time.Duration(m.Spread[random.IntN(len(m.Spread))] * float64(m.Median))
}

// Spread is how single times differ from their median: quantiles of them, as multiples of it, that
// are equally likely. On a busy machine the longest are a hundred times the median. Empty: all are
// the median.
type Spread []float64

// maxSpread is how many quantiles a spread has at most.
const maxSpread = 100

// MarshalText returns the quantiles in ascending order, such as "0.8 1 1.5".
func (s Spread) MarshalText() ([]byte, error) {
	words := make([]string, len(s))
	for i, x := range s {
		words[i] = strconv.FormatFloat(x, 'g', 4, 64)
	}
	return []byte(strings.Join(words, " ")), nil
}

// UnmarshalText reads what MarshalText wrote.
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

// DefaultModel is that of an idle machine with two cores of 2024. [Calibrate] measures another one.
func DefaultModel() Model {
	always := func(d time.Duration) Measurement { return Measurement{Median: Span(d), Low: Span(d), High: Span(d)} }
	return Model{
		RoundTrip: always(300 * time.Microsecond), Connect: always(600 * time.Microsecond), Refuse: always(200 * time.Microsecond),
		Notice: always(300 * time.Microsecond), Relaunch: always(time.Millisecond), Boot: always(6 * time.Millisecond),
	}
}
