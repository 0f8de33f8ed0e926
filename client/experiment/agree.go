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
	Cell      string         `json:"cell"` // its title
	Metric    design.Metric  `json:"metric"`
	Measured  stats.Interval `json:"measured"`
	Predicted stats.Interval `json:"predicted"`
	// Allowed is how far apart the two may be: Tolerance or, of success, 3 standard errors of the
	// difference, whichever is more.
	Allowed float64 `json:"allowed"`
	// Late is how many of the measured trials had a load that was generated too late to be
	// believed, see workload.Pace.
	Late int `json:"late_trials"`
}

// Agrees reports whether the two are no further apart than is allowed.
func (a Agreement) Agrees() bool {
	return math.Abs(a.Predicted.Estimate-a.Measured.Estimate) <= a.Allowed
}

// Agreeing returns the metrics of which measured and predicted are compared, in the order in which
// they are shown.
func Agreeing() []design.Metric {
	return []design.Metric{design.Success, design.Attempts, design.P50, design.P99}
}

// RequiredAgreement is the share of cells in which every metric must agree, so that a prediction is
// to be relied on.
const RequiredAgreement = 0.95

// relativeError is how far a prediction may be from what was measured, as a share of it.
var relativeError = map[design.Metric]float64{design.Attempts: 0.05, design.P50: 0.10, design.P99: 0.20}

// Tolerance is how far a prediction may be from a metric that was measured as that: of success, 3
// percentage points; of attempts 5%, of p50 10%, and of p99 20% of what was measured.
func Tolerance(m design.Metric, measured float64) float64 {
	if m == design.Success {
		return 0.03
	}
	return relativeError[m] * measured
}

// Agree returns how two runs of one design agree, of which one was measured and the other
// predicted: for each cell success, attempts, p50 and p99, without those that one of the runs has
// no value of. An error names the cell that only one of them has.
func Agree(measured, predicted *record.Run) ([]Agreement, error) {
	s := Summary{Cells: cellsOf(measured, unchecked)}
	err := s.AddPrediction(predicted)
	return s.Agreements(), err
}

// unchecked finds no violation.
func unchecked(record.TrialRecords) []check.Violation { return nil }

// AddPrediction adds to the summary what another run, of the same trials in virtual time, predicts
// of its cells, and how that agrees with what was measured. An error, which leaves the summary as
// it was, names the cell that only one of the runs has.
func (s *Summary) AddPrediction(predicted *record.Run) error {
	said := cellsOf(predicted, unchecked)
	if len(s.Cells) != len(said) {
		return fmt.Errorf("%d cells were measured and %d predicted: want runs of the same design", len(s.Cells), len(said))
	}
	for i, c := range s.Cells {
		if c.Cell.Settings != said[i].Cell.Settings {
			return fmt.Errorf("cell %q was measured and %q predicted: want runs of the same design", c.Cell.Title(), said[i].Cell.Title())
		}
	}
	s.Prediction = &predicted.Manifest
	for i := range s.Cells {
		s.Cells[i].addPrediction(said[i])
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

// Agreements returns those of all cells; none without a prediction.
func (s Summary) Agreements() []Agreement {
	var all []Agreement
	for _, c := range s.Cells {
		all = append(all, c.Agreements...)
	}
	return all
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

// Reliable reports whether a prediction that agrees so is to be relied on: it does in
// RequiredAgreement of the cells, and there are some.
func Reliable(all []Agreement) bool {
	agreeing, cells := AgreeingCells(all)
	return cells > 0 && float64(agreeing) >= RequiredAgreement*float64(cells)
}
