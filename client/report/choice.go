package report

import (
	"fmt"

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
	chosen := shownFirst(summary)
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

// shownFirst returns the number of the trial that the page opens: in the cell with the lowest
// success and, among equals, the highest p99, the trial that shows the most. Interrupted trials do
// not count, unless all are. It is zero if no trial has calls.
func shownFirst(s experiment.Summary) int {
	var all, worst []experiment.TrialSummary
	for _, c := range s.Cells {
		all = append(all, c.Trials...)
		if trials := c.Counted(); performanceOf(trials...).worseThan(performanceOf(worst...)) {
			worst = trials
		}
	}
	if worst == nil {
		worst = all
	}
	return mostEventful(worst)
}

// mostEventful returns the number of the trial with the most crashes and, among equals, the worst
// performance. It is zero if no trial has calls.
func mostEventful(trials []experiment.TrialSummary) int {
	number, most := 0, -1
	var worst performance
	for _, t := range trials {
		p, crashes := performanceOf(t), crashesOf(t)
		if p.calls > 0 && (crashes > most || crashes == most && p.worseThan(worst)) {
			number, most, worst = t.Trial.Number, crashes, p
		}
	}
	return number
}

func crashesOf(t experiment.TrialSummary) int {
	n := 0
	for _, r := range t.Replicas {
		n += r.Crashes
	}
	return n
}

// performance is how well trials went.
type performance struct {
	calls   int
	success float64 // share of calls
	p99     float64 // mean of the trials, in seconds
}

// worseThan reports whether p is worse than o. Performance without calls is the best.
func (p performance) worseThan(o performance) bool {
	switch {
	case p.calls == 0 || o.calls == 0:
		return p.calls > 0
	case p.success != o.success:
		return p.success < o.success
	}
	return p.p99 > o.p99
}

func performanceOf(trials ...experiment.TrialSummary) performance {
	var p performance
	succeeded := 0
	for _, t := range trials {
		succeeded += t.Succeeded
		p.calls += t.Succeeded + t.Failed
		p.p99 += t.P99.Seconds() / float64(len(trials))
	}
	if p.calls > 0 {
		p.success = float64(succeeded) / float64(p.calls)
	}
	return p
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
