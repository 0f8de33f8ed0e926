package report

import (
	"fmt"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
)

// trialGroups returns the trials as the page offers them, in the order of the cells.
func trialGroups(run *record.Run, summary experiment.Summary) []trialGroup {
	groups := make([]trialGroup, len(summary.Cells))
	for i, c := range summary.Cells {
		groups[i].Title = c.Cell.Title()
	}
	chosen := telling(run.Trials)
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

// trialLabel is such as "trial 7 (repeat 2): 60 calls, 12 failed".
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

// telling returns the number of the trial that is shown first: of the last cell in which a replica
// crashed, or else made calls, the first trial in which it did. Zero when there is none.
func telling(trials []record.TrialRecords) int {
	last := func(tells func(record.TrialRecords) bool) (number int) {
		cell, repeat := -1, 0
		for _, t := range trials {
			if tells(t) && (t.Cell > cell || t.Cell == cell && t.Repeat < repeat) {
				cell, repeat, number = t.Cell, t.Repeat, t.Number
			}
		}
		return number
	}
	crashed := last(func(t record.TrialRecords) bool {
		_, crashes := replicaStates(t.Events, t.Took)
		return len(crashes) > 0 && len(t.Calls) > 0 && !t.Interrupted
	})
	if crashed != 0 {
		return crashed
	}
	return last(func(t record.TrialRecords) bool { return len(t.Calls) > 0 })
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

// settingsOf returns the settings of a cell; zero when the summary does not have it.
func settingsOf(summary experiment.Summary, cell int) design.Settings {
	if cell < 0 || cell >= len(summary.Cells) {
		return design.Settings{}
	}
	return summary.Cells[cell].Cell.Settings
}
