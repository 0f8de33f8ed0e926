package report

import (
	"testing"
	"time"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
)

// The page opens a trial of the worst cell, the one with the lowest success and then the highest
// p99: its trial with the most crashes and then the worst performance.
func TestShownFirst(t *testing.T) {
	number := 0
	trial := func(succeeded, failed, crashes int, p99 time.Duration) experiment.TrialSummary {
		number++
		return experiment.TrialSummary{
			Trial: record.Trial{Trial: design.Trial{Number: number}}, Succeeded: succeeded, Failed: failed, P99: p99,
			Replicas: map[string]experiment.ReplicaSummary{"a": {Crashes: crashes}, "b": {Crashes: 1}},
		}
	}
	interrupted := trial(0, 10, 9, 0)
	interrupted.Trial.Interrupted = true
	good := []experiment.TrialSummary{trial(9, 1, 5, time.Second), trial(0, 10, 5, 0)}
	bad := []experiment.TrialSummary{interrupted, trial(3, 7, 2, time.Second), trial(2, 8, 2, time.Second), trial(2, 8, 1, time.Second)}
	slow := []experiment.TrialSummary{trial(1, 9, 2, 2*time.Second), trial(4, 6, 3, 2*time.Second), trial(2, 8, 0, 2*time.Second), trial(0, 0, 7, 0)}
	for _, tc := range []struct {
		name  string
		cells [][]experiment.TrialSummary
		want  experiment.TrialSummary
	}{
		{"no cell", nil, experiment.TrialSummary{}},
		{"no trial", [][]experiment.TrialSummary{nil, nil}, experiment.TrialSummary{}},
		{"no call", [][]experiment.TrialSummary{slow[3:]}, experiment.TrialSummary{}},
		{"the cell with the lowest success", [][]experiment.TrialSummary{good, bad}, bad[2]},
		{"in any order", [][]experiment.TrialSummary{bad, good}, bad[2]},
		{"among equals the slowest cell", [][]experiment.TrialSummary{bad, slow[:3]}, slow[1]},
		{"a trial without calls is not shown", [][]experiment.TrialSummary{slow}, slow[1]},
		{"only interrupted trials", [][]experiment.TrialSummary{nil, bad[:1]}, interrupted},
	} {
		var s experiment.Summary
		for _, trials := range tc.cells {
			s.Cells = append(s.Cells, experiment.CellSummary{Trials: trials})
		}
		if got := shownFirst(s); got != tc.want.Trial.Number {
			t.Errorf("%s: trial %d, want %d", tc.name, got, tc.want.Trial.Number)
		}
	}
}
