package experiment

import (
	"fmt"
	"time"

	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/stats"
)

// Summarize computes the results of a run and judges its claims. It checks the records, too.
func Summarize(run *record.Run) Summary {
	switch run.Manifest.Engine {
	case record.EngineLoad, record.EngineLive: // others may have called the replicas too
		return summarize(run, check.Calls)
	}
	return summarize(run, check.Trial)
}

func summarize(run *record.Run, violations func(record.TrialRecords) []check.Violation) Summary {
	s := Summary{Cells: cellsOf(run, violations), Predicted: run.Manifest.Predicted()}
	s.Differences = contrasts(s.Cells)
	s.Claims = judgeAll(run.Manifest.Design.Claims, s.Cells)
	s.Verdict = overall(s.Claims, s.Cells)
	s.Answer = answer(run, s.Claims, s.Cells)
	return s
}

// cellsOf summarizes the trials of each cell of the design.
func cellsOf(run *record.Run, violations func(record.TrialRecords) []check.Violation) []CellSummary {
	cells := make([]CellSummary, len(run.Manifest.Design.Cells))
	for i, c := range run.Manifest.Design.Cells {
		cells[i].Cell = c
	}
	for _, t := range run.Trials {
		trial := summarizeTrial(t)
		trial.Violations = violations(t)
		cell := &cells[t.Cell]
		cell.Trials = append(cell.Trials, trial)
		if late(t) && !t.Interrupted {
			cell.Late++
		}
	}
	for i := range cells {
		cells[i].measure()
	}
	return cells
}

// measure computes the figures of the cell from its trials.
func (c *CellSummary) measure() {
	c.Metrics = map[design.Metric]stats.Interval{}
	trials := c.Counted()
	for _, m := range design.Metrics() {
		i := sample(trials, m).Interval()
		if i.N == 0 {
			continue
		}
		if without := len(trials) - i.N; without > 0 && isLatency(m) {
			i.Warnings = append(i.Warnings, fmt.Sprintf("trials without a success left out: %d", without))
		}
		c.Metrics[m] = i
	}
	success := sample(trials, design.Success)
	c.DesignEffect, c.TrialsNeeded = success.DesignEffect(), success.RunsNeeded(0.01)
}

// Counted returns the trials that count, that is those that were not interrupted.
func (c CellSummary) Counted() []TrialSummary {
	var whole []TrialSummary
	for _, t := range c.Trials {
		if !t.Trial.Interrupted {
			whole = append(whole, t)
		}
	}
	return whole
}

// sample returns the values of a metric from which its interval is computed.
func sample(trials []TrialSummary, m design.Metric) stats.Sample {
	if m == design.Successes {
		return successes(trials)
	}
	s := stats.Sample{Kind: kinds[m]}
	for _, t := range trials {
		s.Runs = append(s.Runs, t.value(m))
	}
	return s
}

var kinds = map[design.Metric]stats.Kind{
	design.Success: stats.KindShare, design.Attempts: stats.KindRate, design.Tries: stats.KindRate, design.Throughput: stats.KindRate,
	design.P50: stats.KindMean, design.P90: stats.KindMean, design.P99: stats.KindMean, design.Makespan: stats.KindMean,
}

// value returns what the trial contributes to the metric. Of is zero if the trial has no value.
func (t TrialSummary) value(m design.Metric) stats.Run {
	calls := float64(t.calls())
	switch m {
	case design.Success:
		return stats.Run{Count: float64(t.Succeeded), Of: calls}
	case design.Attempts:
		return stats.Run{Count: float64(t.Sent), Of: calls}
	case design.Tries:
		return stats.Run{Count: float64(t.Attempts), Of: calls}
	case design.Throughput:
		return stats.Run{Count: float64(t.Succeeded), Of: t.Makespan.Seconds()}
	case design.Makespan:
		return seconds(t.Makespan, t.calls() > 0)
	case design.P50:
		return seconds(t.P50, t.Succeeded > 0)
	case design.P90:
		return seconds(t.P90, t.Succeeded > 0)
	case design.P99:
		return seconds(t.P99, t.Succeeded > 0)
	}
	panic(fmt.Sprintf("no such metric: %q", m))
}

func seconds(d time.Duration, known bool) stats.Run {
	if !known {
		return stats.Run{}
	}
	return stats.Run{Count: d.Seconds(), Of: 1}
}

// successes returns the number of calls that succeed in a trial. If all trials have equally many
// calls, it is the share of successes times that number, so no interval exceeds it.
func successes(trials []TrialSummary) stats.Sample {
	share, number := stats.Sample{Kind: stats.KindShare}, stats.Sample{Kind: stats.KindRate}
	alike := len(trials) > 0
	for _, t := range trials {
		share.Runs = append(share.Runs, t.value(design.Success))
		number.Runs = append(number.Runs, stats.Run{Count: float64(t.Succeeded), Of: 1})
		alike = alike && t.calls() > 0 && t.calls() == trials[0].calls()
	}
	if !alike {
		return number
	}
	share.Times = float64(trials[0].calls())
	return share
}

func isLatency(m design.Metric) bool { return m == design.P50 || m == design.P90 || m == design.P99 }
