// Package experiment evaluates runs: it summarizes their trials and cells, judges the claims of
// their design, and compares runs. The files of a run are its only input.
//
// The trial is the statistical unit: a crash makes calls of one trial fail together, so intervals
// come from the spread between trials, not between calls.
package experiment

import (
	"time"

	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/stats"
)

// TrialSummary is the result of one trial. Calls in the warm-up and interrupted calls do not count,
// and neither do their attempts.
type TrialSummary struct {
	Trial               record.Trial
	Succeeded, Failed   int
	Interrupted, Warmup int // calls that do not count
	Attempts, Sent      int
	Outcomes            map[failover.Outcome]int // attempts by outcome; has a key for every outcome
	Reasons             map[string]int           // failed calls by reason
	P50, P90, P99, Max  time.Duration            // latency of the calls that succeeded; zero if none did
	Makespan            time.Duration            // from the first call's intended start to the last call's end
	Replicas            map[string]ReplicaSummary
	Violations          []check.Violation
}

// ReplicaSummary is the result of one trial for one replica.
type ReplicaSummary struct {
	Served, Lost, Refused, Timeout, Other int // attempts, by outcome
	Launches, Crashes                     int
}

// CellSummary is the result of all trials of one cell. Interrupted trials do not count.
type CellSummary struct {
	Cell   design.Cell
	Trials []TrialSummary
	// Metrics has the interval of each metric that has a value: of the mean over the trials or, for
	// shares and rates, over all their calls, see stats.Sample. Latency quantiles are missing if no
	// call succeeded, and all metrics if there was no call.
	Metrics map[design.Metric]stats.Interval
	// DesignEffect is the variance of the share of successes between trials, as a multiple of the
	// variance that as many independent calls would have. Zero if it is unknown because there are
	// too few trials or no failures.
	DesignEffect float64
	// TrialsNeeded is how many trials like these it takes to know the share of successes to ±0.01.
	// Zero if it is unknown because there is only one trial.
	TrialsNeeded int
	// Late is the number of trials whose load was generated too late to be reliable, see
	// workload.Pace.
	Late int
	// Predicted has the metrics of a simulation of the same trials. It is nil without a prediction,
	// see [Summary.AddPrediction].
	Predicted map[design.Metric]stats.Interval
	// Agreements compares Predicted with Metrics. It is nil without a prediction.
	Agreements []Agreement
}

// Summary is the result of a run.
type Summary struct {
	Answer Answer        // to the design's question
	Cells  []CellSummary // in the order of the design
	// Predicted is true if the trials ran in virtual time, so that nothing was measured.
	Predicted bool
	// Prediction is the manifest of the run that predicts this one. It is nil without a prediction,
	// see [Summary.AddPrediction].
	Prediction *record.Manifest
	// Differences compares success, p99 and attempts of each cell with the cell of the first row or
	// level in which all else is equal.
	Differences []Difference
	Claims      []ClaimResult // each claim in each cell that it applies to
	Verdict     Verdict       // the worst of Claims, of the checks of the records, and of late loads
}

// ClaimResult is the result of judging a claim in one cell.
type ClaimResult struct {
	Claim    design.Claim
	Cell     int // index into Summary.Cells
	Interval stats.Interval
	Verdict  Verdict
	Reason   string // why it is inconclusive; empty otherwise
}
