package report

import (
	"math"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/stats"
)

// madeCell returns a cell of ten trials of 100 calls each, with made-up intervals.
func madeCell(row string, levels []design.Level, success, p99, attempts float64) experiment.CellSummary {
	c := experiment.CellSummary{Cell: design.Cell{Row: row, Levels: levels}, DesignEffect: 4.25}
	for n := range 10 {
		c.Trials = append(c.Trials, experiment.TrialSummary{
			Trial:     record.Trial{Trial: design.Trial{Number: n + 1, Repeat: n + 1}},
			Succeeded: int(math.Round(100 * success)), Failed: 100 - int(math.Round(100*success)),
		})
	}
	c.Metrics = map[design.Metric]stats.Interval{
		design.Success:    about(success, 0.6*success*(1-success)),
		design.Successes:  about(100*success, 2),
		design.Attempts:   about(attempts, 0.1*attempts),
		design.Tries:      about(1.2*attempts, 0.1*attempts),
		design.Throughput: about(40*success, 3),
		design.Makespan:   about(2.5+p99, 0.3),
	}
	if success > 0 {
		c.Metrics[design.P50] = about(p99/8, p99/50)
		c.Metrics[design.P90] = about(p99/2, p99/20)
		c.Metrics[design.P99] = about(p99, p99/6)
	}
	return c
}

func about(estimate, margin float64) stats.Interval {
	return stats.Interval{Estimate: estimate, Low: estimate - margin, High: estimate + margin, Level: 0.95, N: 10, Method: "t"}
}

func levels(pairs ...string) []design.Level {
	var all []design.Level
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, design.Level{Factor: pairs[i], Value: pairs[i+1]})
	}
	return all
}

// madePolicies has four rows at three levels of concurrency, and one cell without a success.
func madePolicies() experiment.Summary {
	var s experiment.Summary
	for _, row := range []struct {
		name                   string
		success, p99, attempts [3]float64
	}{
		{"original", [3]float64{0.31, 0.04, 0}, [3]float64{2.1, 2.4, 2.5}, [3]float64{6.1, 8.4, 8.9}},
		{"waiting", [3]float64{0.998, 0.72, 0.35}, [3]float64{2.9, 4.8, 5.2}, [3]float64{1.44, 9.2, 22.9}},
		{"waiting, one in flight", [3]float64{0.9985, 0.9991, 1}, [3]float64{2.9, 3.3, 4.9}, [3]float64{1.43, 1.43, 1.43}},
		{"adaptive", [3]float64{0.9984, 0.9979, 0.996}, [3]float64{2.95, 3.5, 5.1}, [3]float64{1.45, 1.6, 1.9}},
	} {
		for i, concurrency := range []string{"1", "5", "10"} {
			l := levels("concurrency", concurrency)
			s.Cells = append(s.Cells, madeCell(row.name, l, row.success[i], row.p99[i], row.attempts[i]))
		}
	}
	return s
}

// madeSweep has one cell for each level of one factor.
func madeSweep(factor string, all ...string) experiment.Summary {
	var s experiment.Summary
	for i, level := range all {
		x := float64(i) / float64(len(all))
		s.Cells = append(s.Cells, madeCell("", levels(factor, level), 1-0.7*x, 0.2+2*x, 1+4*x))
	}
	return s
}

// madeGrid has a cell for each combination of the levels of factors.
func madeGrid(factors ...[]string) experiment.Summary {
	combinations := [][]design.Level{nil}
	for _, f := range factors {
		var next [][]design.Level
		for _, c := range combinations {
			for _, level := range f[1:] {
				next = append(next, append(c[:len(c):len(c)], design.Level{Factor: f[0], Value: level}))
			}
		}
		combinations = next
	}
	var s experiment.Summary
	for i, c := range combinations {
		x := float64(i) / float64(len(combinations)-1)
		row := ""
		if c[0].Factor == rowFactor {
			row, c = c[0].Value, c[1:]
		}
		s.Cells = append(s.Cells, madeCell(row, c, x, 0.02*math.Pow(300, x), 1+8*(1-x)))
	}
	return s
}

// namedRun returns a run that fits any of the summaries.
func namedRun() *record.Run {
	return &record.Run{Manifest: record.Manifest{
		Name: "made", Seed: 7, Command: []string{"crashlab", "experiment", "run", "made.yaml"},
		Began: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
	}}
}

// rendered executes a template of the page.
func rendered(t *testing.T, name string, data any) string {
	t.Helper()
	var b strings.Builder
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
