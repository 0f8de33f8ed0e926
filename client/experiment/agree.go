package experiment

import (
	"fmt"
	"math"

	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/stats"
)

// Agreement is how one metric of a cell was measured and how it was predicted.
type Agreement struct {
	Cell      string // its title
	Metric    design.Metric
	Measured  stats.Interval
	Predicted stats.Interval
	// Allowed is how far apart the two may be: of success, 3 percentage points or 3 standard errors of the difference, whichever is
	// more; of attempts 5%, of p50 10%, and of p99 20% of what was measured.
	Allowed float64
	// Late is how many of the measured trials had a load that was generated too late to be believed, see workload.Pace.
	Late int
}

// Agrees reports whether the two are no further apart than is allowed.
func (a Agreement) Agrees() bool {
	return math.Abs(a.Predicted.Estimate-a.Measured.Estimate) <= a.Allowed
}

// RequiredAgreement is the share of cells in which every metric must agree, so that a prediction is to be relied on.
const RequiredAgreement = 0.95

// relativeError is how far a prediction may be from what was measured, as a share of it.
var relativeError = map[design.Metric]float64{design.Attempts: 0.05, design.P50: 0.10, design.P99: 0.20}

// Agree returns how two runs of one design agree, of which one was measured and the other predicted: for each cell success, attempts,
// p50 and p99, without those that one of the runs has no value of. An error names the cell that only one of them has.
func Agree(measured, predicted *record.Run) ([]Agreement, error) {
	none := func(record.TrialRecords) []check.Violation { return nil }
	was, said := cellsOf(measured, none), cellsOf(predicted, none)
	if len(was) != len(said) {
		return nil, fmt.Errorf("%d cells were measured and %d predicted: want runs of the same design", len(was), len(said))
	}
	var all []Agreement
	for i := range was {
		if was[i].Cell.Settings != said[i].Cell.Settings {
			return nil, fmt.Errorf("cell %q was measured and %q predicted: want runs of the same design", was[i].Cell.Title(), said[i].Cell.Title())
		}
		for _, m := range []design.Metric{design.Success, design.Attempts, design.P50, design.P99} {
			if a, ok := agreement(was[i], said[i], m); ok {
				all = append(all, a)
			}
		}
	}
	return all, nil
}

func agreement(measured, predicted CellSummary, m design.Metric) (Agreement, bool) {
	a := Agreement{Cell: measured.Cell.Title(), Metric: m, Measured: measured.Metrics[m], Predicted: predicted.Metrics[m], Late: measured.Late}
	if a.Measured.N == 0 || a.Predicted.N == 0 {
		return Agreement{}, false
	}
	if m == design.Success {
		of := func(c CellSummary) float64 { return sample(c.Counted(), m).StandardError() }
		a.Allowed = max(0.03, 3*math.Hypot(of(measured), of(predicted)))
	} else {
		a.Allowed = relativeError[m] * a.Measured.Estimate
	}
	return a, true
}

// AgreeingCells returns in how many cells every metric agrees, and how many there are.
func AgreeingCells(all []Agreement) (agreeing, cells int) {
	agrees := map[string]bool{}
	for _, a := range all {
		before, known := agrees[a.Cell]
		agrees[a.Cell] = a.Agrees() && (before || !known)
	}
	for _, yes := range agrees {
		if yes {
			agreeing++
		}
	}
	return agreeing, len(agrees)
}
