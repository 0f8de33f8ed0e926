// Package advise finds the cheapest policy of the client that meets a goal, by simulation: which
// deadlines, rounds and limits to use with replicas that crash and restart as given, under a given
// load.
package advise

import (
	"context"
	"fmt"
	"math"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/stats"
)

// Goal is what the calls must achieve. At least one of its fields is set.
type Goal struct {
	// Success is the share of the calls that must succeed, below 1; zero: any.
	Success float64
	// P99 is what 99 of 100 calls that succeed may take at most; zero: any time.
	P99 time.Duration
}

// Claims returns the goal as the claims of a design.
func (g Goal) Claims() []design.Claim {
	var claims []design.Claim
	if g.Success > 0 {
		claims = append(claims, design.Claim{
			Metric: design.Success, AtLeast: true, Threshold: g.Success, Text: fmt.Sprintf("success >= %v", g.Success),
		})
	}
	if g.P99 > 0 {
		claims = append(claims, design.Claim{Metric: design.P99, Threshold: g.P99.Seconds(), Text: fmt.Sprintf("p99 <= %v", g.P99)})
	}
	return claims
}

// Question is what advice is about.
type Question struct {
	Goal Goal
	// Settings are the cluster, and of the load Concurrency, or Rate and Arrivals. The other
	// factors are for the search to choose.
	Settings design.Settings
	// Model is that of the machine.
	Model simulate.Model
	// Seed is that of the simulated trials: the same seed, the same advice.
	Seed uint64
}

// Check returns why the question cannot be answered: goals that no policy could ever be shown to
// meet.
func (q Question) Check() error {
	least, trip := q.Settings.ServiceTime.Quantile(0), time.Duration(q.Model.RoundTrip.Median)
	switch {
	case q.Goal == Goal{}:
		return fmt.Errorf("no goal: want a share of successes, a p99, or both")
	case q.Goal.Success >= 1:
		return fmt.Errorf("success %v: want less than 1, as no number of trials shows that no call ever fails", q.Goal.Success)
	case q.Settings.PCrash == 1:
		return fmt.Errorf("p_crash 1: want less, as every request crashes its replica and no call ever succeeds")
	case q.Goal.P99 > 0 && q.Goal.P99 < least+trip:
		return fmt.Errorf("p99 %v: want %v or more, as a request takes %v or more and its way %v", q.Goal.P99, least+trip, least, trip)
	}
	return q.checkSize()
}

// checkSize returns an error where the trials of the search are too small to answer the question.
func (q Question) checkSize() error {
	const (
		perFailure = 4   // calls without a failure that it takes for each that is allowed, see package stats
		perCaller  = 5   // calls until the callers of a closed loop no longer make theirs at the same time
		spans      = 3.0 // restarts that a trial of an open loop has time for
	)
	s := q.Settings
	calls := longer * q.calls(s)
	if most := 1 - perFailure/float64(mostLast*calls); q.Goal.Success > most {
		return fmt.Errorf("success %v: want %.6g or less, as the search makes no more than %d calls of a policy", q.Goal.Success, math.Floor(most*1e6)/1e6, mostLast*calls)
	}
	if most := mostCalls / perCaller; s.Rate == 0 && s.Concurrency > most {
		return fmt.Errorf("concurrency %d: want %d or less, as a trial of the search has up to %d calls", s.Concurrency, most, mostCalls)
	}
	if s.RestartDelay > time.Hour {
		return fmt.Errorf("restart_delay %v: want 1h or less, or none, as the search makes trials of many restarts", s.RestartDelay)
	}
	restart := q.scale(s).restart
	if most := float64(calls) / (spans * restart.Seconds()); s.PCrash > 0 && s.RestartDelay != design.Never && s.Rate > most && calls == longer*mostCalls {
		return fmt.Errorf("rate %v: want %v or less with a restart delay of %v, as a trial of the search has up to %d calls", s.Rate, digits(most), s.RestartDelay, calls)
	}
	return nil
}

// Answer is the advice.
type Answer struct {
	// Best is the advised candidate; where Possible is false, the one that comes closest to the
	// goal.
	Best Candidate
	// Next are up to two that meet the goal too, the better one first.
	Next []Candidate
	// Possible reports whether Best meets the goal.
	Possible bool
	// Uses are how much of each constraint Best uses, the binding one first.
	Uses []Use

	// Where nothing meets the goal:

	Reasons  []string // why, the most important first
	Remedies []Remedy // what would help, one change at a time
}

// Candidate is a policy and what is predicted of it.
type Candidate struct {
	// Settings are those of a trial that shows what is predicted; the simulated trials may have had
	// more calls.
	Settings design.Settings
	Metrics  map[design.Metric]stats.Interval
	// Trials and Calls are how many were simulated.
	Trials, Calls int
	// Held reports whether the goal is met with confidence: by the ends of the intervals, not only
	// by the estimates.
	Held bool
	// Safe reports whether there is room, beyond that, for what a simulation leaves out: half of
	// the failures that are allowed, and a tenth of the p99.
	Safe bool
}

// attempts is the cost of a candidate: the attempts sent per call.
func (c Candidate) attempts() float64 { return c.Metrics[design.Attempts].Estimate }

// Use is how much of a constraint is used.
type Use struct {
	What  string  // such as "p99"
	Share float64 // 1: all of it
}

// Find searches for the cheapest policy that meets the goal, and returns what it has found. The
// error is that of ctx, or says why the question cannot be answered.
func Find(ctx context.Context, q Question) (*Answer, error) {
	if err := q.Check(); err != nil {
		return nil, err
	}
	s := &search{Question: q, engine: simulate.Engine{Model: q.Model}}
	all, err := s.find(ctx)
	if err != nil {
		return nil, err
	}
	a := &Answer{Best: all[0], Possible: all[0].Held}
	for _, c := range all[1:] {
		if a.Possible && c.Held && len(a.Next) < 2 {
			a.Next = append(a.Next, c)
		}
	}
	capacity, err := s.capacity(ctx, q.Settings)
	if err != nil {
		return nil, err
	}
	a.Uses = q.uses(a.Best, capacity)
	if !a.Possible {
		a.Reasons = q.reasons(a.Best, capacity)
		a.Remedies, err = s.remedies(ctx)
	}
	return a, err
}
