// Package workload drives calls through a failover client and records what became of each.
package workload

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/crashlab/client/failover"
)

// Plan is a load: how many calls, and when each is to start.
//
// A closed loop has Workers, each of which makes its next call when its last has ended. An open
// loop has a Rate: calls start when they are due, however long those before them take, so that a
// stall is seen by every call it delayed.
type Plan struct {
	// Calls is how many calls are made in all, those of the warm-up among them; zero means until
	// Duration has passed.
	Calls int
	// Duration is how long calls are started, the warm-up included; zero means until Calls are
	// made. One of the two must be set; with both, the load ends with the first.
	Duration time.Duration
	// Workers is how many calls may be under way at a time in a closed loop, from 1. An open loop
	// does not use it.
	Workers int
	// Rate is how many calls a second are due in an open loop, from MinRate to MaxRate. Zero means
	// a closed loop.
	Rate float64
	// Arrivals is how the calls of an open loop follow each other.
	Arrivals Arrivals
	// Seed draws Poisson arrivals: equal seeds, equal times.
	Seed uint64
	// MaxUnderWay is how many calls may be under way at a time in an open loop, so that replicas
	// that do not answer do not take all memory. Calls beyond it wait for a place, and are timed
	// from when they were due all the same. Zero means DefaultMaxUnderWay.
	MaxUnderWay int
	// Warmup is how long, from the start, calls are due that do not count. Less than Duration, if
	// that is set.
	Warmup time.Duration
}

const (
	// MinRate and MaxRate bound Plan.Rate: nobody waits longer for the next call, and nothing
	// starts more.
	MinRate = 0.001
	MaxRate = 1_000_000
	// DefaultMaxUnderWay is Plan.MaxUnderWay unless that is set.
	DefaultMaxUnderWay = 10_000
)

// Validate returns nil when the plan can be run. Else the error is one line that begins with the
// name of the field, in lower case, and says its value and what is allowed.
func (p Plan) Validate() error {
	open := p.Rate != 0
	switch {
	case p.Calls < 0:
		return fmt.Errorf("calls %d: want 1 or more, or 0 with a duration", p.Calls)
	case p.Duration < 0:
		return fmt.Errorf("duration %v: want more than 0s, or 0s with a number of calls", p.Duration)
	case p.Calls == 0 && p.Duration == 0:
		return errors.New("calls 0: want 1 or more, or a duration")
	case !open && p.Workers < 1:
		return fmt.Errorf("workers %d: want 1 or more, or a rate", p.Workers)
	case open && !(p.Rate >= MinRate && p.Rate <= MaxRate):
		return fmt.Errorf("rate %v: want %v to %d calls a second, or 0 for a closed loop", p.Rate, MinRate, MaxRate)
	case p.Arrivals < 0 || int(p.Arrivals) >= len(arrivalsNames):
		return fmt.Errorf("arrivals %d: want constant or poisson", int(p.Arrivals))
	case p.MaxUnderWay < 0:
		return fmt.Errorf("maxunderway %d: want 1 or more, or 0 for %d", p.MaxUnderWay, DefaultMaxUnderWay)
	case p.Warmup < 0:
		return fmt.Errorf("warmup %v: want 0s or more", p.Warmup)
	case p.Duration > 0 && p.Warmup >= p.Duration:
		return fmt.Errorf("warmup %v: want less than the duration, which is %v", p.Warmup, p.Duration)
	}
	return nil
}

// Reply is what a call brought back.
type Reply struct {
	// Value is what was answered, Replica and Incarnation who did. Zero when the call failed.
	Value       uint64
	Replica     string
	Incarnation int
	// Attempts are all attempts of the call, in order.
	Attempts []failover.Attempt
}

// Record is one call, after its end.
type Record struct {
	Reply
	// Call is its number in the run, from 1, in the order in which calls start. No number is left
	// out.
	Call int
	// Intended is when the call was due. In a closed loop, that is when it started.
	Intended time.Time
	// Start is when it started, and Duration how long it took from there.
	Start    time.Time
	Duration time.Duration
	// Warmup is true for a call that was due in the warm-up, and does not count.
	Warmup bool
	// Err is why the call failed; nil when it succeeded.
	Err error
	// Interrupted is true when the end of the run ended the call, so that it says nothing of the
	// replicas.
	Interrupted bool
}

// Latency is how long the call's user waited: from Intended to the end.
func (r Record) Latency() time.Duration { return r.Start.Sub(r.Intended) + r.Duration }

// Served returns the replica that answered; empty when the call failed.
func (r Record) Served() string {
	if r.Err != nil {
		return ""
	}
	for _, a := range slices.Backward(r.Attempts) { // of a hedged call it need not be the last
		if a.Outcome == failover.OutcomeOK {
			return a.Replica
		}
	}
	return ""
}
