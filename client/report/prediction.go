package report

import (
	"fmt"
	"slices"
	"strings"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
)

// Predictions have hollow marks in all charts, and a ring if they do not agree with the measured
// value.
const (
	predictedClass = "predicted"
	ring           = 8 // radius, around a mark
)

// asPredicted returns the cell with its predicted metrics in place of the measured ones.
func asPredicted(c experiment.CellSummary) experiment.CellSummary {
	c.Metrics = c.Predicted
	return c
}

// withPredictions returns the cells as measured, followed by the cells as predicted.
func withPredictions(cells []experiment.CellSummary) []experiment.CellSummary {
	all := slices.Clone(cells)
	for _, c := range cells {
		if c.Predicted != nil {
			all = append(all, asPredicted(c))
		}
	}
	return all
}

// disagrees reports whether the prediction of one of the metrics does not agree.
func disagrees(c experiment.CellSummary, metrics ...design.Metric) bool {
	return slices.ContainsFunc(c.Agreements, func(a experiment.Agreement) bool {
		return slices.Contains(metrics, a.Metric) && !a.Agrees()
	})
}

// predict marks the point as a prediction of the cell, with a ring if one of the metrics does not
// agree.
func (p *point) predict(c experiment.CellSummary, ring px, metrics ...design.Metric) {
	p.Title = "predicted: " + p.Title
	if disagrees(c, metrics...) {
		p.Ring, p.Title = ring, p.Title+"; does not agree"
	}
}

// markPredicted marks the whole chart as predicted if nothing was measured.
func (c *chart) markPredicted(s experiment.Summary) {
	if !s.Predicted || c.empty() {
		return
	}
	c.Title += ", predicted"
	c.Class = predictedClass
	for i := range c.Panels {
		c.Panels[i].Title += ", predicted"
		c.Panels[i].Class = predictedClass
	}
}

// keyPredictions explains the marks of measured and predicted values in the key of a chart that has
// both.
func (c *chart) keyPredictions(s experiment.Summary, metrics ...design.Metric) {
	if s.Prediction == nil || c.empty() {
		return
	}
	c.Marks = []keyItem{
		{Class: "measured", Shape: shapes[0], Name: "measured"},
		{Class: "measured " + predictedClass, Shape: shapes[0], Name: "predicted"},
	}
	if slices.ContainsFunc(s.Cells, func(c experiment.CellSummary) bool { return disagrees(c, metrics...) }) {
		c.Marks = append(c.Marks, keyItem{Class: "ring", Shape: ringShape, Name: "predicted, does not agree"})
	}
}

// ringShape is a circle as large as the ring around a mark in the key.
const ringShape = "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0z"

// howMany describes for screen readers in which cells the predictions agree. It is empty without
// predictions.
func howMany(cells []experiment.CellSummary, metrics ...design.Metric) string {
	var not []string
	of := 0
	for _, c := range cells {
		if len(c.Agreements) == 0 {
			continue
		}
		of++
		if disagrees(c, metrics...) {
			not = append(not, c.Cell.Title())
		}
	}
	switch {
	case of == 0:
		return ""
	case len(not) == 0:
		return " The prediction agrees in all cells."
	}
	return fmt.Sprintf(" The prediction agrees in %d of %d cells, not in: %s.", of-len(not), of, strings.Join(not, "; "))
}
