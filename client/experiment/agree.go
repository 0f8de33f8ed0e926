package experiment

import (
	"fmt"
	"math"

	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/stats"
)

// Agreement compares a measured metric of a cell with its prediction.
type Agreement struct {
	Cell      string         `json:"cell"` // its title
	Metric    design.Metric  `json:"metric"`
	Measured  stats.Interval `json:"measured"`
	Predicted stats.Interval `json:"predicted"`
	// Allowed is how far apart the two may be: the Tolerance or, for success, 3 standard errors of
	// the difference if that is more.
	Allowed float64 `json:"allowed"`
	// Late is the number of measured trials whose load was generated too late to be reliable, see
	// workload.Pace.
	Late int `json:"late_trials"`
}

// Agrees reports whether the two are no further apart than allowed.
func (a Agreement) Agrees() bool {
	return math.Abs(a.Predicted.Estimate-a.Measured.Estimate) <= a.Allowed
}

// Agreeing returns the metrics that are compared with their prediction, in the order in which they
// are shown.
func Agreeing() []design.Metric {
	return []design.Metric{design.Success, design.Attempts, design.P50, design.P99}
}

// RequiredAgreement is the share of cells in which every metric must agree for a prediction to be
// reliable.
const RequiredAgreement = 0.95

// relativeError is how far a prediction may be from the measured value, as a share of that value.
var relativeError = map[design.Metric]float64{design.Attempts: 0.05, design.P50: 0.10, design.P99: 0.20}

// Tolerance returns how far a prediction may be from a measured metric: 3 percentage points for
// success, and 5% of the measured value for attempts, 10% for p50 and 20% for p99.
func Tolerance(m design.Metric, measured float64) float64 {
	if m == design.Success {
		return 0.03
	}
	return relativeError[m] * measured
}

// Agree compares a measured run with a predicted run of the same design: success, attempts, p50 and
// p99 of each cell, as far as both runs have a value. It fails if the runs have different cells.
func Agree(measured, predicted *record.Run) ([]Agreement, error) {
	s := Summary{Cells: cellsOf(measured, unchecked)}
	err := s.AddPrediction(predicted)
	return s.Agreements(), err
}

// unchecked finds no violation.
func unchecked(record.TrialRecords) []check.Violation { return nil }

// AddPrediction adds the results of another run, which made the same trials in virtual time, and
// compares them with the measured ones. If the runs have different cells, it returns an error and
// leaves the summary unchanged.
func (s *Summary) AddPrediction(predicted *record.Run) error {
	cells := cellsOf(predicted, unchecked)
	if len(s.Cells) != len(cells) {
		return fmt.Errorf("%d cells were measured and %d predicted: want runs of the same design", len(s.Cells), len(cells))
	}
	for i, c := range s.Cells {
		if c.Cell.Settings != cells[i].Cell.Settings {
			return fmt.Errorf("cell %q was measured and %q predicted: want runs of the same design", c.Cell.Title(), cells[i].Cell.Title())
		}
	}
	s.Prediction = &predicted.Manifest
	for i := range s.Cells {
		s.Cells[i].addPrediction(cells[i])
	}
	return nil
}

func (c *CellSummary) addPrediction(predicted CellSummary) {
	c.Predicted, c.Agreements = predicted.Metrics, nil
	for _, m := range Agreeing() {
		a := Agreement{Cell: c.Cell.Title(), Metric: m, Measured: c.Metrics[m], Predicted: predicted.Metrics[m], Late: c.Late}
		if a.Measured.N == 0 || a.Predicted.N == 0 {
			continue
		}
		a.Allowed = Tolerance(m, a.Measured.Estimate)
		if m == design.Success {
			of := func(c CellSummary) float64 { return sample(c.Counted(), m).StandardError() }
			a.Allowed = max(a.Allowed, 3*math.Hypot(of(*c), of(predicted)))
		}
		c.Agreements = append(c.Agreements, a)
	}
}

// Agreements returns the agreements of all cells; none without a prediction.
func (s Summary) Agreements() []Agreement {
	var all []Agreement
	for _, c := range s.Cells {
		all = append(all, c.Agreements...)
	}
	return all
}

// AgreeingCells returns the number of cells in which every metric agrees, and the number of cells.
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

// Reliable reports whether a prediction is reliable: there are cells, and it agrees in at least
// RequiredAgreement of them.
func Reliable(all []Agreement) bool {
	agreeing, cells := AgreeingCells(all)
	return cells > 0 && float64(agreeing) >= RequiredAgreement*float64(cells)
}
