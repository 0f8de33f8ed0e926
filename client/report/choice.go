package report

import (
	"fmt"
	"math"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
)

// trialGroups returns the trials to choose from, in the order of the cells.
func trialGroups(run *record.Run, summary experiment.Summary) []trialGroup {
	groups := make([]trialGroup, len(summary.Cells))
	for i, c := range summary.Cells {
		groups[i].Title = c.Cell.Title()
	}
	chosen := worstTrial(summary)
	for _, t := range run.Trials {
		if t.Cell < 0 || t.Cell >= len(groups) {
			continue
		}
		g := &groups[t.Cell]
		g.Trials = append(g.Trials, trialChoice{t.Number, trialLabel(t), t.Number == chosen})
		g.Chosen = g.Chosen || t.Number == chosen
	}
	var filled []trialGroup
	for _, g := range groups {
		if len(g.Trials) > 0 {
			filled = append(filled, g)
		}
	}
	return filled
}

// trialLabel describes a trial, such as "trial 7 (repeat 2): 60 calls, 12 failed".
func trialLabel(t record.TrialRecords) string {
	failed := 0
	for _, c := range t.Calls {
		if c.Result == record.ResultFailed {
			failed++
		}
	}
	label := fmt.Sprintf("trial %d (repeat %d): %s", t.Number, t.Repeat, counted(len(t.Calls), "call"))
	if failed > 0 {
		label += fmt.Sprintf(", %d failed", failed)
	}
	if t.Interrupted {
		label += ", interrupted"
	}
	return label
}

// worstTrial returns the number of the trial that the page opens: in the cell with the lowest
// success the trial with the lowest success, and among equals the highest p99. Interrupted trials
// do not count, unless all are. It is zero if no trial has calls.
func worstTrial(s experiment.Summary) int {
	number := 0
	worst := performance{success: math.Inf(1)}
	for _, c := range s.Cells {
		trials := c.Counted()
		if len(trials) == 0 {
			continue
		}
		if p := meanPerformance(trials); p.worseThan(worst) {
			worst, number = p, worstOf(trials)
		}
	}
	if number != 0 {
		return number
	}
	var all []experiment.TrialSummary
	for _, c := range s.Cells {
		all = append(all, c.Trials...)
	}
	return worstOf(all)
}

// worstOf returns the number of the worst of some trials; zero if none of them has calls.
func worstOf(trials []experiment.TrialSummary) int {
	number := 0
	worst := performance{success: math.Inf(1)}
	for _, t := range trials {
		if p := meanPerformance([]experiment.TrialSummary{t}); p.worseThan(worst) {
			worst, number = p, t.Trial.Number
		}
	}
	return number
}

// performance is the success and the p99 latency of trials.
type performance struct {
	success float64 // the share of calls that succeed; NaN without calls
	p99     float64 // the mean, in seconds
}

func (p performance) worseThan(o performance) bool {
	return p.success < o.success || p.success == o.success && p.p99 > o.p99
}

func meanPerformance(trials []experiment.TrialSummary) performance {
	var succeeded, calls int
	var p99 float64
	for _, t := range trials {
		succeeded, calls = succeeded+t.Succeeded, calls+t.Succeeded+t.Failed
		p99 += t.P99.Seconds() / float64(len(trials))
	}
	return performance{float64(succeeded) / float64(calls), p99}
}

// summaries returns the summaries of the trials by their numbers.
func summaries(summary experiment.Summary) map[int]experiment.TrialSummary {
	byNumber := map[int]experiment.TrialSummary{}
	for _, c := range summary.Cells {
		for _, t := range c.Trials {
			byNumber[t.Trial.Number] = t
		}
	}
	return byNumber
}

// settingsOf returns the settings of a cell, or zero ones if the summary does not have it.
func settingsOf(summary experiment.Summary, cell int) design.Settings {
	if cell < 0 || cell >= len(summary.Cells) {
		return design.Settings{}
	}
	return summary.Cells[cell].Cell.Settings
}
