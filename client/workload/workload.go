// Package workload generates a load of calls and records how each ended. A [Plan] is a closed loop
// (a number of workers) or an open loop (a rate). Its Run method makes the calls, [Records]
// collects their records, and [Summarize] computes success rate, latency quantiles and throughput.
//
// Use an open loop to measure the latency that users see at a given rate: a closed loop slows down
// with the replicas, so a stall delays at most one call per worker and is under-counted.
package workload

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/crashlab/client/failover"
)

// Plan is the plan of a load: the number of calls, and when each should start.
//
// A closed loop has Workers, each of which makes its next call when its last has ended. An open
// loop has a Rate: calls start when they are due, however long earlier ones take, so that a stall
// shows in every call that it delays.
type Plan struct {
	// Calls is the total number of calls, including those of the warm-up. Zero means unlimited
	// until Duration has passed.
	Calls int
	// Duration is the time in which calls start, including the warm-up, up to failover.MaxDuration.
	// Zero means unlimited until Calls are made. At least one of the two must be set; with both,
	// the load ends at whichever comes first.
	Duration time.Duration
	// Workers is the maximum number of calls under way in a closed loop, from 1 to MaxWorkers. An
	// open loop ignores it.
	Workers int
	// Rate is the number of calls a second in an open loop, from MinRate to MaxRate. Zero means a
	// closed loop.
	Rate float64
	// Arrivals is the arrival process of an open loop.
	Arrivals Arrivals
	// Seed is the seed of Poisson arrivals: equal seeds give equal times.
	Seed uint64
	// MaxUnderWay is the maximum number of calls under way in an open loop. It bounds the memory in
	// use while replicas do not answer. Further calls wait for a place; their latency still counts
	// from when they were due. Zero means DefaultMaxUnderWay; the most is MaxWorkers.
	MaxUnderWay int
	// Warmup is the first part of the load; calls that are due in it do not count. It must be
	// shorter than Duration if that is set.
	Warmup time.Duration
}

const (
	// MinRate and MaxRate bound Plan.Rate.
	MinRate = 0.001
	MaxRate = 1_000_000
	// MaxWorkers bounds Plan.Workers and Plan.MaxUnderWay.
	MaxWorkers = 100_000
	// DefaultMaxUnderWay is the default of Plan.MaxUnderWay.
	DefaultMaxUnderWay = 10_000
)

// Validate returns nil if the plan can be run. The error is one line that begins with the name of
// the field, in lower case, and contains its value and what is allowed.
func (p Plan) Validate() error {
	open := p.Rate != 0
	switch {
	case p.Calls < 0:
		return fmt.Errorf("calls %d: want 1 or more, or 0 with a duration", p.Calls)
	case p.Duration < 0:
		return fmt.Errorf("duration %v: want more than 0s, or 0s with a number of calls", p.Duration)
	case p.Duration > failover.MaxDuration:
		return fmt.Errorf("duration %v: want at most %v, or 0s with a number of calls", p.Duration, failover.MaxDuration)
	case p.Calls == 0 && p.Duration == 0:
		return errors.New("calls 0: want 1 or more, or a duration")
	case !open && (p.Workers < 1 || p.Workers > MaxWorkers):
		return fmt.Errorf("workers %d: want 1 to %d, or a rate", p.Workers, MaxWorkers)
	case open && !(p.Rate >= MinRate && p.Rate <= MaxRate):
		return fmt.Errorf("rate %v: want %v to %d calls a second, or 0 for a closed loop", p.Rate, MinRate, MaxRate)
	case open && p.Duration == 0 && float64(p.Calls)/p.Rate > failover.MaxDuration.Seconds():
		return fmt.Errorf("calls %d: want at most %d at %v calls a second, or a duration: the others are due after %v",
			p.Calls, int(p.Rate*failover.MaxDuration.Seconds()), p.Rate, failover.MaxDuration)
	case p.Arrivals < 0 || int(p.Arrivals) >= len(arrivalsNames):
		return fmt.Errorf("arrivals %d: want constant or poisson", int(p.Arrivals))
	case p.MaxUnderWay < 0 || p.MaxUnderWay > MaxWorkers:
		return fmt.Errorf("maxunderway %d: want 1 to %d, or 0 for %d", p.MaxUnderWay, MaxWorkers, DefaultMaxUnderWay)
	case p.Warmup < 0:
		return fmt.Errorf("warmup %v: want 0s or more", p.Warmup)
	case p.Warmup > failover.MaxDuration:
		return fmt.Errorf("warmup %v: want at most %v", p.Warmup, failover.MaxDuration)
	case p.Duration > 0 && p.Warmup >= p.Duration:
		return fmt.Errorf("warmup %v: want less than the duration, which is %v", p.Warmup, p.Duration)
	}
	return nil
}

// Reply is the result of a call.
type Reply struct {
	// Value is the answer; Replica and Incarnation tell which process gave it. All are zero if the
	// call failed.
	Value       uint64
	Replica     string
	Incarnation int
	// Attempts are all attempts of the call, in order.
	Attempts []failover.Attempt
}

// Record describes one call after its end.
type Record struct {
	Reply
	// Call is the number of the call, from 1, in the order in which calls started, without gaps.
	Call int
	// Intended is when the call was due. In a closed loop, that is when it started.
	Intended time.Time
	// Start is when the call started, and Duration how long it took from then.
	Start    time.Time
	Duration time.Duration
	// Warmup is true for a call that was due in the warm-up and does not count.
	Warmup bool
	// Err is the error of a call that failed, or nil.
	Err error
	// Interrupted is true if the end of the run ended the call. Such a call tells nothing about the
	// replicas.
	Interrupted bool
}

// Latency returns how long the user of the call waited: from Intended to the end.
func (r Record) Latency() time.Duration { return r.Start.Sub(r.Intended) + r.Duration }

// Served returns the replica that answered, or an empty text if the call failed.
func (r Record) Served() string {
	if r.Err != nil {
		return ""
	}
	for _, a := range slices.Backward(r.Attempts) { // in a hedged call, it need not be the last attempt
		if a.Outcome == failover.OutcomeOK {
			return a.Replica
		}
	}
	return ""
}
