// Package advise searches by simulation for the cheapest client policy that meets a goal: which
// deadlines, rounds and limits to use with replicas that crash and restart as given, under a given
// load.
//
// Use it to choose the policy of a client before deployment, and confirm the advice by an
// experiment on real processes. It knows only what package simulate does: it leaves out replicas
// that hang, changes of the load, and the limits of processors and networks.
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

// Goal is what the calls must achieve. At least one of its fields must be set.
type Goal struct {
	// Success is the least share of calls that succeed, below 1. Zero means any share.
	Success float64
	// P99 is the greatest 99th percentile of the latency of calls that succeed. Zero means any.
	P99 time.Duration
}

// Claims returns the goal as claims of a design.
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

// Question asks for a policy.
type Question struct {
	Goal Goal
	// Settings describe the cluster and the load: Concurrency, or Rate and Arrivals. The search
	// ignores and chooses the factors of the policy.
	Settings design.Settings
	// Model is the model of the machine.
	Model simulate.Model
	// Seed is the seed of the simulated trials. The same question with the same seed gets the same
	// answer.
	Seed uint64
}

// Check returns an error if the question cannot be answered: if its goal contradicts itself or the
// cluster, or the search is too small to show that a policy meets it.
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

// checkSize returns an error if the trials of the search are too small to answer the question.
func (q Question) checkSize() error {
	const (
		perFailure = 4   // calls without failures for each failure that is allowed; see package stats
		perCaller  = 5   // calls until the callers of a closed loop are out of step
		spans      = 3.0 // restarts for which a trial of an open loop must have time
	)
	s := q.Settings
	calls := longer * q.calls(s)
	if most := 1 - perFailure/float64(maxLastTrials*calls); q.Goal.Success > most {
		return fmt.Errorf("success %v: want %.6g or less, as the search makes no more than %d calls of a policy", q.Goal.Success, math.Floor(most*1e6)/1e6, maxLastTrials*calls)
	}
	if most := maxCalls / perCaller; s.Rate == 0 && s.Concurrency > most {
		return fmt.Errorf("concurrency %d: want %d or less, as a trial of the search has up to %d calls", s.Concurrency, most, maxCalls)
	}
	if s.RestartDelay > time.Hour {
		return fmt.Errorf("restart_delay %v: want 1h or less, or none, as the search makes trials of many restarts", s.RestartDelay)
	}
	restart := q.scale(s).restart
	if most := float64(calls) / (spans * restart.Seconds()); s.PCrash > 0 && s.RestartDelay != design.Never && s.Rate > most && calls == longer*maxCalls {
		return fmt.Errorf("rate %v: want %v or less with a restart delay of %v, as a trial of the search has up to %d calls", s.Rate, digits(most), s.RestartDelay, calls)
	}
	return nil
}

// Answer is the advice.
type Answer struct {
	// Best is the advised candidate, or, if Possible is false, the one that comes closest to the
	// goal.
	Best Candidate
	// Next are up to two further candidates that meet the goal, in order of preference.
	Next []Candidate
	// Possible reports whether Best meets the goal.
	Possible bool
	// Uses says how much of each constraint Best uses, in descending order.
	Uses []Use

	// Reasons and Remedies are set if no candidate meets the goal.

	Reasons  []string // why not, the most important first
	Remedies []Remedy // changes that would each make it possible alone
}

// Candidate is a policy and its prediction.
type Candidate struct {
	// Settings are those of a trial that shows the prediction. The simulated trials may have had
	// more calls.
	Settings design.Settings
	// Metrics has the predicted metrics with their 95% intervals.
	Metrics map[design.Metric]stats.Interval
	// Trials and Calls are the numbers of simulated trials, and of calls in all of them.
	Trials, Calls int
	// Held reports whether the ends of the intervals, and not only the estimates, meet the goal.
	Held bool
	// Safe reports whether the candidate also leaves a margin for what a simulation leaves out:
	// half of the allowed failures and a tenth of the p99.
	Safe bool
}

// attempts returns the cost of a candidate: the attempts sent per call.
func (c Candidate) attempts() float64 { return c.Metrics[design.Attempts].Estimate }

// Use says how much of a constraint is used.
type Use struct {
	What  string  // the constraint: "failures allowed", "p99" or "capacity"
	Share float64 // 1 is all of it
}

// Find searches for the cheapest policy that meets the goal: the one that sends the fewest attempts
// per call and, of those whose cost differs by at most 2%, the one with the fewest factors that are
// not at their defaults. It prefers candidates that are Safe.
//
// Find returns an Answer with Possible false if no policy meets the goal. It returns the error of
// q.Check, or ctx's error if ctx ends.
//
// The search narrows the candidates in stages: it simulates a few trials of a grid of policies,
// then of the best ones' neighbors, and many long trials of those that remain.
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
