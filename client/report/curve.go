package report

import (
	"cmp"
	"math"
	"slices"
	"time"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/stats"
)

// curve is the latency of the calls that succeeded, by quantile: a line for each cell, over the
// calls of all its trials.
type curve struct {
	// X is 1/(1-q) for the quantile q: 10 stands for the 90th percentile, 1000 for 99.9%.
	X     []float64   `json:"x"`
	Cells []curveCell `json:"cells"`
}

type curveCell struct {
	Title string     `json:"title"`
	Y     []*float64 `json:"y"` // in seconds; null beyond the greatest latency
}

const curveSteps = 8 // per doubling of X

// curveOf returns the curve, which is nil if no call succeeded, and the titles of the cells without
// a success. Interrupted trials and calls in the warm-up do not count.
func curveOf(run *record.Run, summary experiment.Summary) (*curve, []string) {
	latencies := make([][]time.Duration, len(summary.Cells))
	ended := make([]int, len(summary.Cells))
	for _, t := range run.Trials {
		if t.Interrupted || t.Cell < 0 || t.Cell >= len(latencies) {
			continue
		}
		for _, call := range t.Calls {
			if call.Warmup || call.Result == record.ResultInterrupted {
				continue
			}
			ended[t.Cell]++
			if call.Result == record.ResultOK {
				latencies[t.Cell] = append(latencies[t.Cell], call.Latency())
			}
		}
	}
	longest := len(slices.MaxFunc(append(latencies, nil), func(a, b []time.Duration) int { return cmp.Compare(len(a), len(b)) }))
	c := &curve{}
	for i := 0; longest > 0; i++ {
		x := math.Exp2(float64(i) / curveSteps)
		if c.X = append(c.X, x); x >= float64(longest) {
			break
		}
	}
	var none []string
	for i, cell := range summary.Cells {
		if len(latencies[i]) == 0 {
			none = append(none, cell.Cell.Title())
			continue
		}
		title := cell.Cell.Title()
		if share := float64(len(latencies[i])) / float64(ended[i]); share < 1 {
			title += " (the " + shareUnit(share).print(share) + " that succeeded)"
		}
		c.Cells = append(c.Cells, curveCell{title, quantiles(latencies[i], c.X)})
	}
	if len(c.Cells) == 0 {
		return nil, none
	}
	return c, none
}

// quantiles returns the latency in seconds at each 1/(1-q), up to the first at which it is the
// greatest of all.
func quantiles(latencies []time.Duration, xs []float64) []*float64 {
	slices.Sort(latencies)
	ys := make([]*float64, len(xs))
	for i, x := range xs {
		y := stats.Quantile(latencies, 1-1/x).Seconds()
		ys[i] = &y
		if x >= float64(len(latencies)) {
			break
		}
	}
	return ys
}
