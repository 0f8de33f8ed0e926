package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/stats"
)

// Advice is right if the estimates meet the goal. The answer that a goal is impossible is right if
// no policy meets it. Invalid trials prove nothing.
func TestAdviceProof(t *testing.T) {
	refused := answered()
	refused.answer.Possible, refused.answer.Reasons = false, []string{"capacity 4.2 calls/s at most, 6 asked"}
	all := []advice{answered(), refused}
	const seconds, met, missed = 1.0, 0.9995, 0.9
	for _, tt := range []struct {
		success [3]float64 // of the advised, the closest and the recommended policy
		p99     float64
		change  func(*experiment.Summary)
		right   string
	}{
		{[3]float64{met, missed, missed}, 4 * seconds, nil, "2 of 2"},
		{[3]float64{missed, missed, missed}, 4 * seconds, nil, "1 of 2"},
		{[3]float64{met, met, missed}, 4 * seconds, nil, "1 of 2"},
		{[3]float64{met, missed, met}, 4 * seconds, nil, "1 of 2"},
		{[3]float64{met, missed, missed}, 6 * seconds, nil, "1 of 2"},
		{[3]float64{met, missed, missed}, 4 * seconds, func(s *experiment.Summary) { s.Cells[1].Late = 1 }, "1 of 2"},
		{[3]float64{met, missed, missed}, 4 * seconds, func(s *experiment.Summary) {
			s.Cells[0].Trials = []experiment.TrialSummary{{Violations: []check.Violation{{}}}}
		}, "1 of 2"},
		{[3]float64{0, missed, missed}, 4 * seconds, func(s *experiment.Summary) { delete(s.Cells[0].Metrics, design.P99) }, "1 of 2"},
	} {
		v := &validateAdviceCmd{Seed: 1, Scenarios: 2, Repeats: 10, Output: filepath.Join(t.TempDir(), "advice.md")}
		d := v.design(all)
		s := experiment.Summary{}
		for i, c := range d.Cells {
			s.Cells = append(s.Cells, experiment.CellSummary{Cell: c, Metrics: map[design.Metric]stats.Interval{
				design.Success: {Estimate: tt.success[i], Low: tt.success[i] - 0.0001, High: 1, N: 10}, design.P99: {Estimate: tt.p99, Low: 1, High: 9, N: 10},
			}})
		}
		if tt.change != nil {
			tt.change(&s)
		}
		for i, c := range s.Cells {
			for _, claim := range d.Claims {
				if claim.Matches(c.Cell) {
					s.Claims = append(s.Claims, experiment.ClaimResult{Claim: claim, Cell: i, Interval: c.Metrics[claim.Metric]})
				}
			}
		}
		var b strings.Builder
		err := v.report(output{&b, &b}, all, s)
		page, readErr := os.ReadFile(v.Output)
		if readErr != nil || !strings.Contains(string(page), "\n"+tt.right+" answers are right") || (err == nil) != (tt.right == "2 of 2") {
			t.Errorf("%v: %v, %v\n%s\nwant %s", tt.success, err, readErr, page, tt.right)
		}
		if e, ok := err.(*exit); err != nil && (!ok || e.code != exitBelow) {
			t.Errorf("%v: %v", tt.success, err)
		}
	}
}
