package report

import (
	"fmt"
	"slices"
	"strings"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/stats"
)

// sweepPlan assigns the factors to the dimensions of the pictures of a sweep.
type sweepPlan struct {
	x      factor
	y      *factor  // nil unless the pictures are heatmaps
	series []factor // distinguished by colors
	panels []factor // distinguished by pictures
}

// planSweep puts two numeric factors on the axes of heatmaps. Otherwise it puts the numeric factor,
// or the one with the most levels, on the x axis, and distinguishes as many others by color as
// there are colors.
func planSweep(varied []factor) sweepPlan {
	byLevels := slices.SortedStableFunc(slices.Values(varied), func(a, b factor) int { return len(b.levels) - len(a.levels) })
	numeric := slices.DeleteFunc(slices.Clone(byLevels), func(f factor) bool { return f.values == nil })
	if len(numeric) == 0 {
		numeric = byLevels[:1]
	}
	plan := sweepPlan{x: numeric[0]}
	if len(numeric) > 1 {
		plan.y = &numeric[1]
	}
	lines := 1
	for _, f := range varied {
		switch {
		case f.name == plan.x.name || plan.y != nil && f.name == plan.y.name:
		case plan.y == nil && lines*len(f.levels) <= colors:
			plan.series = append(plan.series, f)
			lines *= len(f.levels)
		default:
			plan.panels = append(plan.panels, f)
		}
	}
	return plan
}

var sweepMetrics = []design.Metric{design.Success, design.P99, design.Attempts, design.Makespan}

// sweepChart shows how the metrics change with the factors. It is empty if the run has only one
// cell or no results.
func sweepChart(s experiment.Summary) chart {
	varied := factorsOf(s.Cells)
	if len(varied) == 0 {
		return chart{}
	}
	plan := planSweep(varied)
	groups := groupBy(s.Cells, plan.panels)
	if plan.y != nil {
		c := heatmaps(plan, groups)
		c.Notes = append(numberedRows(s.Cells), "Below the numbers, if there is room: "+confidence(s)+".")
		if s.Prediction != nil {
			c.Notes = append(c.Notes, "In parentheses: predicted; ≠ if it does not agree.")
		}
		c.markPredicted(s)
		return c
	}
	names := seriesNames(s.Cells, plan.series)
	c := chart{Title: "what changes with " + plan.x.name, Series: names, Notes: numberedRows(s.Cells)}
	c.Notes = append(c.Notes, "Whiskers: "+confidence(s)+".")
	missing := false
	for _, m := range sweepMetrics {
		for _, g := range groups {
			d := dotPlot{sweepPlan: plan, metric: m, all: withPredictions(s.Cells), group: g, names: names, predicted: s.Prediction != nil}
			if p, ok := d.panel(); ok {
				c.Panels = append(c.Panels, p)
				missing = missing || p.hasMissing()
			}
		}
	}
	if missing {
		c.Notes = append(c.Notes, "× at the base of a plot: no value, because no call succeeded or no trial ended.")
	}
	c.markPredicted(s)
	c.keyPredictions(s, sweepMetrics...)
	return c
}

func seriesNames(cells []experiment.CellSummary, by []factor) []string {
	var names []string
	for _, g := range groupBy(cells, by) {
		names = append(names, g.name)
	}
	return names
}

const (
	panelWidth = 360
	plotHeight = 170
	plotTop    = 32
	levelRoom  = 14 // for each level that is a word, as far as a panel can grow
	labelRoom  = 46 // minimum left of a plot, so that plots above each other are aligned
)

// dotPlot is a metric against one factor, with a line or a color for each level of the others.
type dotPlot struct {
	sweepPlan
	metric    design.Metric
	all       []experiment.CellSummary // of all panels of the metric, which share a scale
	group     group
	names     []string // of the series of all panels, so that each has the same color everywhere
	predicted bool     // each point is followed by its prediction
}

// panel returns the plot; false if no cell of the group has the metric.
func (d dotPlot) panel() (panel, bool) {
	if !slices.ContainsFunc(d.group.cells, d.has) {
		return panel{}, false
	}
	p := panel{Title: metricName(d.metric), Width: panelWidth}
	if d.x.values == nil {
		p.Width = px(min(max(panelWidth, labelRoom+levelRoom*len(d.x.levels)), 2*panelWidth))
	}
	p.Right = p.Width - 8
	p.under(d.group, plotHeight)
	y := d.scale(float64(p.Bottom), float64(p.Top))
	p.YAxis.Ticks = metricTicks(d.metric, y, 5)
	p.Left = px(max(labelRoom, labelWidth(p.YAxis.Ticks)+10))
	x := newLevelAxis(d.x, float64(p.Left), float64(p.Right))
	p.setXAxis(x)
	for i, g := range groupBy(d.group.cells, d.series) {
		if len(d.names) > 1 {
			i = slices.Index(d.names, g.name)
		}
		p.Series = append(p.Series, d.line(i, false, g, x, y))
		if d.predicted {
			p.Series = append(p.Series, d.line(i, true, g, x, y))
		}
	}
	p.Desc = d.describe()
	return p, true
}

func (d dotPlot) has(c experiment.CellSummary) bool {
	_, ok := metricOf(c, d.metric)
	return ok
}

func (d dotPlot) scale(from, to float64) scale {
	var estimates, all []float64
	for _, c := range d.all {
		if d.has(c) {
			i := c.Metrics[d.metric]
			estimates = append(estimates, i.Estimate)
			all = append(all, i.Estimate, i.Low, i.High)
		}
	}
	if d.metric == design.Success {
		return aroundShares(all, from, to)
	}
	return around(estimates, all, from, to)
}

func labelWidth(ticks []tick) float64 {
	w := 0.0
	for _, t := range ticks {
		w = max(w, widestOf(t.Lines))
	}
	return w
}

// setXAxis sets the x axis and the height, which depends on its labels.
func (p *panel) setXAxis(a levelAxis) {
	ticks, height := a.labels()
	p.XAxis = axis{Name: a.factor.name, Ticks: ticks}
	p.XNameY = p.Bottom + px(height) + 20
	p.Height = p.XNameY + 6
}

// line returns the i-th series, either as measured or as predicted.
func (d dotPlot) line(i int, predicted bool, g group, x levelAxis, y scale) series {
	s := series{Class: seriesClass(i), Shape: shapeOf(i)}
	point, place := d.point, i
	if d.predicted {
		place = 2 * i
	}
	if predicted {
		point, place = d.predictedPoint, place+1
		s.Class += " " + predictedClass
	}
	for k, level := range d.x.levels {
		if c, ok := g.find(d.x, level); ok {
			s.Points = append(s.Points, point(c, x.places[k]+d.offset(place, x), y))
		}
	}
	if d.x.ordered {
		s.Path = lineThrough(s.Points)
	}
	return s
}

// offset returns how far the n-th mark at a level is from the level's position. Marks are side by
// side so that their whiskers do not hide each other.
func (d dotPlot) offset(n int, x levelAxis) float64 {
	marks := float64(len(d.names))
	if d.predicted {
		marks *= 2
	}
	step := min(7, x.room*0.6/marks)
	if d.x.values != nil {
		step = min(step, 4, (x.scale.to-x.scale.from)*0.13/marks) // stay within the margins of the axis
	}
	return (float64(n) - (marks-1)/2) * step
}

func (d dotPlot) point(c experiment.CellSummary, x float64, y scale) point {
	i := c.Metrics[d.metric]
	if !d.has(c) {
		return point{X: px(x), Y: px(y.from - 5), Missing: true, Title: c.Cell.Title() + ": none"}
	}
	p := point{X: px(x), Y: px(y.clip(i.Estimate)), Title: pointTitle(c, d.metric)}
	if w, ok := upright(i, x, y); ok {
		p.Whiskers = append(p.Whiskers, w)
	}
	return p
}

func (d dotPlot) predictedPoint(c experiment.CellSummary, x float64, y scale) point {
	p := d.point(asPredicted(c), x, y)
	p.predict(c, ring, d.metric)
	return p
}

// pointTitle returns the exact numbers, such as "waiting, concurrency 5: 97.3% [95.1, 98.6], 20
// trials".
func pointTitle(c experiment.CellSummary, metrics ...design.Metric) string {
	var parts []string
	for _, m := range metrics {
		i, ok := metricOf(c, m)
		switch {
		case !ok:
		case len(metrics) == 1:
			parts = append(parts, interval(m, i))
		default:
			parts = append(parts, metricName(m)+" "+interval(m, i))
		}
	}
	return fmt.Sprintf("%s: %s, %s", c.Cell.Title(), strings.Join(parts, ", "), counted(len(c.Counted()), "trial"))
}

// upright returns an interval as a whisker along the y axis; false if it has no bounds or no width.
func upright(i stats.Interval, x float64, y scale) (whisker, bool) {
	if boundless(i) || i.Low == i.High {
		return whisker{}, false
	}
	return whisker{px(x), px(y.clip(i.Low)), px(x), px(y.clip(i.High)), i.Low < y.low, i.High > y.high}, true
}

// describe summarizes the picture in a sentence for screen readers.
func (d dotPlot) describe() string {
	var least, most experiment.CellSummary
	first := true
	for _, c := range d.group.cells {
		if !d.has(c) {
			continue
		}
		i := c.Metrics[d.metric]
		if first || i.Estimate < least.Metrics[d.metric].Estimate {
			least = c
		}
		if first || i.Estimate > most.Metrics[d.metric].Estimate {
			most = c
		}
		first = false
	}
	return fmt.Sprintf("%s against %s, with intervals. Least: %s. Most: %s.%s", metricName(d.metric), d.x.name,
		pointTitle(least, d.metric), pointTitle(most, d.metric), howMany(d.group.cells, d.metric))
}
