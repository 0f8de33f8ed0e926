package simulate

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Model is the time that the machine takes for its own part, the service time left out. Each is a median.
type Model struct {
	// RoundTrip is the time from a request to its reply, without the service time.
	RoundTrip time.Duration
	// Connect is the time that a dial takes which finds a replica. One that was down is dialed twice: first to see whether something
	// accepts connections.
	Connect time.Duration
	// Refuse is the time that a dial takes where nothing listens.
	Refuse time.Duration
	// Notice is the time from a replica's crash until its client knows that the connection is lost.
	Notice time.Duration
	// Relaunch is the time from a replica's crash to its relaunch, without the restart delay.
	Relaunch time.Duration
	// Boot is the time from a launch until the replica listens.
	Boot time.Duration

	// Spreads are how single times differ from these medians.
	Spreads Spreads
}

// Spreads are those of the fields of a [Model].
type Spreads struct{ RoundTrip, Connect, Refuse, Notice, Relaunch, Boot Spread }

// Spread is how single times differ from their median: quantiles of them, as multiples of it, that are equally likely. On a busy machine
// the longest are a hundred times the median. Empty: all are the median.
type Spread []float64

// maxSpread is how many quantiles a spread has at most.
const maxSpread = 100

// draw returns a time.
func (s Spread) draw(median time.Duration, random *rand.Rand) time.Duration {
	if len(s) == 0 {
		return median
	}
	return time.Duration(s[random.IntN(len(s))] * float64(median))
}

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
	return Model{
		RoundTrip: 300 * time.Microsecond, Connect: 600 * time.Microsecond, Refuse: 200 * time.Microsecond,
		Notice: 300 * time.Microsecond, Relaunch: time.Millisecond, Boot: 6 * time.Millisecond,
	}
}
