// Package experiment says what a run has shown: a summary of each trial and of each cell, whether
// the claims of the design hold, and how two runs differ. It computes from the files of a run
// alone.
//
// The run of a trial is the unit that is counted: a crash makes calls of one trial fail together,
// so intervals come from the spread between trials.
package experiment

import (
	"time"

	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/stats"
)

// TrialSummary is what one trial has shown. Calls in the warm-up, and interrupted ones, do not
// count, nor do their attempts.
type TrialSummary struct {
	Trial               record.Trial
	Succeeded, Failed   int
	Interrupted, Warmup int // calls that are not counted
	Attempts, Sent      int
	Outcomes            map[failover.Outcome]int // has every outcome
	Reasons             map[string]int           // why calls failed
	P50, P90, P99, Max  time.Duration            // latency of the calls that succeeded; zero without any
	Makespan            time.Duration            // from the first call's intended start to the last one's end
	Replicas            map[string]ReplicaSummary
	Violations          []check.Violation
}

// ReplicaSummary is what one trial has shown of one replica.
type ReplicaSummary struct {
	Served, Lost, Refused, Timeout, Other int // attempts, by outcome
	Launches, Crashes                     int
}

// CellSummary is what the trials of one cell have shown together. Interrupted trials do not count.
type CellSummary struct {
	Cell   design.Cell
	Trials []TrialSummary
	// Metrics has an interval for each metric: of the mean over the trials or, for shares and
	// rates, over all their calls, see stats.Sample. A latency quantile has none when no trial had
	// a success; without any call there is none.
	Metrics map[design.Metric]stats.Interval
	// DesignEffect is how many times the variance of the share of successes is that of as many
	// independent calls. Zero: unknown, as there are too few trials or no failures.
	DesignEffect float64
	// RunsNeeded is how many trials, like those that were run, it takes until the share of
	// successes is known to ±0.01. Zero: unknown, as there is only one.
	RunsNeeded int
	// Late is the number of trials whose load was generated too late to be believed, see
	// workload.Pace.
	Late int
	// Predicted is what a simulation of the trials has in place of Metrics; nil where there is
	// none, see [Summary.AddPrediction].
	Predicted map[design.Metric]stats.Interval
	// Agreements are those of the metrics that must agree with what was predicted.
	Agreements []Agreement
}

// Summary is what a run has shown.
type Summary struct {
	Cells []CellSummary // in the order of the design
	// Predicted is true when the trials ran in virtual time: nothing was measured.
	Predicted bool
	// Prediction is of the run that predicts this one; nil where none does, see
	// [Summary.AddPrediction].
	Prediction *record.Manifest
	// Differences are those between the cells: of the success, p99 and attempts of each from those
	// of the first row or level, where all else is equal.
	Differences []Difference
	Claims      []ClaimResult // of each claim, for each cell that it is about
	Verdict     Verdict       // the worst of all claims', of the checks and of loads that came too late
}

// ClaimResult is how a claim stands in one cell.
type ClaimResult struct {
	Claim    design.Claim
	Cell     int // index into Summary.Cells
	Interval stats.Interval
	Verdict  Verdict
	Reason   string // why it is inconclusive; empty otherwise
}
