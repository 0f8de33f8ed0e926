package report

import (
	"testing"
	"time"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
)

// The page opens the worst trial of the worst cell: the one with the lowest success, then the
// highest p99.
func TestWorstTrial(t *testing.T) {
	number := 0
	trial := func(succeeded, failed int, p99 time.Duration) experiment.TrialSummary {
		number++
		return experiment.TrialSummary{
			Trial: record.Trial{Trial: design.Trial{Number: number}}, Succeeded: succeeded, Failed: failed, P99: p99,
		}
	}
	interrupted := trial(0, 10, 0) // number 1
	interrupted.Trial.Interrupted = true
	good := []experiment.TrialSummary{trial(9, 1, time.Second), trial(0, 10, 0)}                              // 2, 3
	bad := []experiment.TrialSummary{interrupted, trial(3, 7, time.Second), trial(2, 8, time.Second)}         // 1, 4, 5
	slow := []experiment.TrialSummary{trial(2, 8, 2*time.Second), trial(3, 7, 2*time.Second), trial(0, 0, 0)} // 6, 7, 8
	for _, tc := range []struct {
		name  string
		cells [][]experiment.TrialSummary
		want  int
	}{
		{"no cell", nil, 0},
		{"no trial", [][]experiment.TrialSummary{nil, nil}, 0},
		{"no call", [][]experiment.TrialSummary{slow[2:]}, 0},
		{"the cell with the lowest success", [][]experiment.TrialSummary{good, bad}, 5},
		{"in whatever order", [][]experiment.TrialSummary{bad, good}, 5},
		{"among equals the slowest", [][]experiment.TrialSummary{bad, slow}, 6},
		{"interrupted trials alone", [][]experiment.TrialSummary{nil, bad[:1]}, 1},
	} {
		var s experiment.Summary
		for _, trials := range tc.cells {
			s.Cells = append(s.Cells, experiment.CellSummary{Trials: trials})
		}
		if got := worstTrial(s); got != tc.want {
			t.Errorf("%s: trial %d, want %d", tc.name, got, tc.want)
		}
	}
}
