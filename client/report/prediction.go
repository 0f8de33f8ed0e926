package report

import (
	"fmt"
	"slices"
	"strings"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
)

// What is predicted has hollow marks, wherever it is drawn. Where both are, a ring is around a
// prediction that does not agree.
const (
	predictedClass = "predicted"
	ring           = 8 // radius, around a mark
)

// asPredicted is the cell with what is predicted of it in place of what was measured.
func asPredicted(c experiment.CellSummary) experiment.CellSummary {
	c.Metrics = c.Predicted
	return c
}

// withPredictions are the cells, each as it was measured and as it was predicted.
func withPredictions(cells []experiment.CellSummary) []experiment.CellSummary {
	all := slices.Clone(cells)
	for _, c := range cells {
		if c.Predicted != nil {
			all = append(all, asPredicted(c))
		}
	}
	return all
}

// disagrees reports whether what is predicted of one of the metrics does not agree with what was
// measured.
func disagrees(c experiment.CellSummary, metrics ...design.Metric) bool {
	return slices.ContainsFunc(c.Agreements, func(a experiment.Agreement) bool {
		return slices.Contains(metrics, a.Metric) && !a.Agrees()
	})
}

// predict makes the point one of what is predicted of the cell: with a ring, where the metrics do
// not agree.
func (p *point) predict(c experiment.CellSummary, ring px, metrics ...design.Metric) {
	p.Title = "predicted: " + p.Title
	if disagrees(c, metrics...) {
		p.Ring, p.Title = ring, p.Title+"; does not agree"
	}
}

// markPredicted says in the titles of the chart that all of it is predicted, where it is.
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

// keyPredictions says in the key of the chart which marks are measured and which predicted, where
// it has both.
func (c *chart) keyPredictions(s experiment.Summary, metrics ...design.Metric) {
	if s.Prediction == nil || c.empty() {
		return
	}
	c.Marks = []keyItem{
		{Class: "measured", Shape: shapes[0], Name: "measured"},
		{Class: "measured " + predictedClass, Shape: shapes[0], Name: "predicted"},
	}
	if slices.ContainsFunc(s.Cells, func(c experiment.CellSummary) bool { return disagrees(c, metrics...) }) {
		c.Marks = append(c.Marks, keyItem{Class: "ring", Shape: ringShape, Name: "predicted, and does not agree"})
	}
}

// ringShape is a circle of the size that it has around a mark in the key.
const ringShape = "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0z"

// howMany says for those who do not see a picture where what is predicted in it agrees; nothing
// where nothing is.
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
		return " What is predicted agrees in all cells."
	}
	return fmt.Sprintf(" What is predicted agrees in %d of %d cells, not in: %s.", of-len(not), of, strings.Join(not, "; "))
}
