package workload

import (
	"fmt"
	"iter"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Arrivals is the arrival process of the calls of an open loop.
type Arrivals int

const (
	// ArrivalsConstant: arrivals are 1/Rate apart; the first is at the start.
	ArrivalsConstant Arrivals = iota
	// ArrivalsPoisson: the times between arrivals are exponentially distributed with mean 1/Rate,
	// like those of many independent users.
	ArrivalsPoisson
)

var arrivalsNames = []string{ArrivalsConstant: "constant", ArrivalsPoisson: "poisson"}

// String returns "constant" or "poisson".
func (a Arrivals) String() string {
	if a < 0 || int(a) >= len(arrivalsNames) {
		return fmt.Sprintf("Arrivals(%d)", int(a))
	}
	return arrivalsNames[a]
}

// UnmarshalText parses "constant" or "poisson". Any other text is an error.
func (a *Arrivals) UnmarshalText(text []byte) error {
	i := slices.Index(arrivalsNames, string(text))
	if i < 0 {
		return fmt.Errorf("%q: want %s", text, strings.Join(arrivalsNames, " or "))
	}
	*a = Arrivals(i)
	return nil
}

// Due yields the times at which the calls of an open loop are due, from the start of the load.
func (p Plan) Due() iter.Seq[time.Duration] {
	return func(yield func(time.Duration) bool) {
		random := rand.New(rand.NewPCG(p.Seed, 0))
		at := 0.0 // in seconds
		for n := 1; p.Calls == 0 || n <= p.Calls; n++ {
			if p.Arrivals == ArrivalsPoisson {
				at += random.ExpFloat64() / p.Rate
			} else {
				at = float64(n-1) / p.Rate // a sum would accumulate errors
			}
			due := time.Duration(math.Round(at * float64(time.Second)))
			if p.Duration > 0 && due >= p.Duration || !yield(due) {
				return
			}
		}
	}
}
