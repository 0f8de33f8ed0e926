package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
)

// bubble is a cell in the plane of success and p99. Its area is proportional to the attempts sent
// per call.
type bubble struct {
	point
	Radius px
	Class  string
	Label  label
}

// label is a text beside its bubble, joined to it by a line if it had to move away.
type label struct {
	Text   string
	X, Y   px // the middle of the text's baseline
	Leader *whisker
	box    rect
}

const (
	policiesWidth  = 380
	policiesHeight = 290 // of the plot
	largestBubble  = 20  // radius
	cardWidth      = 1118
	cardGap        = 16 // between panels in a line of a card
)

// policiesChart shows success against p99 for each row of the design. It is empty if there are
// fewer than two rows, or if no call succeeded.
func policiesChart(s experiment.Summary) chart {
	return policiesChartOf(s, func(int) float64 { return policiesWidth })
}

// widePoliciesChart is the same chart with panels that fill the width of a card.
func widePoliciesChart(s experiment.Summary) chart {
	return policiesChartOf(s, func(panels int) float64 {
		const most = 3 // in a line
		n := float64(min(panels, most))
		return (cardWidth - (n-1)*cardGap) / n
	})
}

// policiesChartOf returns the chart whose panels are as wide as width says for their number.
func policiesChartOf(s experiment.Summary, width func(panels int) float64) chart {
	varied := factorsOf(s.Cells)
	if len(varied) == 0 || varied[0].name != rowFactor {
		return chart{}
	}
	drawn, silent := withLatency(s.Cells)
	if len(drawn) == 0 {
		return chart{}
	}
	all, _ := withLatency(withPredictions(drawn))
	plane := plane{rows: varied[0].levels, most: mostAttempts(all)}
	groups := groupBy(drawn, plane.split(varied))
	plane.width = width(len(groups))
	plane.x, plane.y = plane.scales(all)
	c := chart{Title: "what success costs", Series: plane.rows, Discs: true}
	for _, g := range groups {
		c.Panels = append(c.Panels, plane.panel(g))
	}
	c.Notes = append(numberedRows(s.Cells),
		"The area of a bubble is the number of attempts sent per call"+attemptsRange(all)+". Whiskers: "+confidence(s)+".")
	if plane.within != nil {
		c.Notes = append(c.Notes, "The number beside it is its "+plane.within.name+".")
	}
	for _, cell := range silent {
		c.Notes = append(c.Notes, "Not shown, because no call succeeded: "+cell.Cell.Title()+".")
	}
	c.markPredicted(s)
	c.keyPredictions(s, policyMetrics...)
	return c
}

var policyMetrics = []design.Metric{design.Success, design.P99, design.Attempts}

// plane is success against p99.
type plane struct {
	rows   []string
	within *factor // tells the cells of a row apart; nil if a row has only one
	most   float64 // attempts sent per call
	width  float64 // of a panel
	x, y   scale
}

// right is the right edge of the plot.
func (pl plane) right() float64 { return pl.width - 12 }

// split sets the factor that tells the cells of a row apart, a numeric one if there is one, and
// returns the remaining factors, whose levels have panels of their own.
func (p *plane) split(varied []factor) (panels []factor) {
	panels = slices.Clone(varied[1:])
	if len(panels) == 0 {
		return nil
	}
	i := max(0, slices.IndexFunc(panels, func(f factor) bool { return f.values != nil }))
	p.within = &factor{name: panels[i].name}
	return slices.Delete(panels, i, i+1)
}

func hasLatency(c experiment.CellSummary) bool {
	_, success := metricOf(c, design.Success)
	_, p99 := metricOf(c, design.P99)
	return success && p99
}

func withLatency(cells []experiment.CellSummary) (with, without []experiment.CellSummary) {
	for _, c := range cells {
		if hasLatency(c) {
			with = append(with, c)
		} else {
			without = append(without, c)
		}
	}
	return with, without
}

const planeLeft = 50

func (pl plane) panel(g group) panel {
	p := panel{
		Title: metricName(design.Success) + " against p99 latency", Width: px(pl.width),
		Left: planeLeft, Right: px(pl.right()),
	}
	p.under(g, policiesHeight)
	p.XNameY, p.Height = p.Bottom+33, p.Bottom+39
	pl.y.from, pl.y.to = pl.y.from+float64(p.Top), pl.y.to+float64(p.Top)
	p.YAxis.Ticks = metricTicks(design.Success, pl.y, 5)
	p.XAxis = axis{Name: "p99 latency", Ticks: thin(metricTicks(design.P99, pl.x, max(5, int(pl.width/100))))}
	for _, c := range g.cells {
		b := pl.bubble(c)
		p.Bubbles = append(p.Bubbles, b)
		if predicted := asPredicted(c); hasLatency(predicted) {
			p.Bubbles = append(p.Bubbles, pl.predicted(predicted, b))
		}
	}
	placeLabels(p.Bubbles, rect{planeLeft, float64(p.Top), pl.right() - planeLeft, policiesHeight})
	// Small bubbles lie on top of large ones, so that the pointer can reach each.
	slices.SortStableFunc(p.Bubbles, func(a, b bubble) int { return cmp.Compare(b.Radius, a.Radius) })
	best := slices.MaxFunc(g.cells, func(a, b experiment.CellSummary) int {
		return cmp.Compare(a.Metrics[design.Success].Estimate, b.Metrics[design.Success].Estimate)
	})
	p.Desc = fmt.Sprintf("%s, one bubble for each cell. Most: %s.%s", p.Title, pointTitle(best, policyMetrics...),
		howMany(g.cells, policyMetrics...))
	return p
}

// scales leave room for the largest bubble at each side.
func (pl plane) scales(cells []experiment.CellSummary) (x, y scale) {
	var shares, latencies, bounds []float64
	for _, c := range cells {
		success, p99 := c.Metrics[design.Success], c.Metrics[design.P99]
		shares = append(shares, success.Estimate, success.Low, success.High)
		latencies = append(latencies, p99.Estimate)
		bounds = append(bounds, p99.Low, p99.High)
	}
	x = around(latencies, bounds, planeLeft, pl.right()-largestBubble)
	y = aroundShares(shares, policiesHeight-largestBubble, largestBubble) // relative to the top of the plot
	return x, y
}

// attemptsOf returns the attempts sent per call, or zero if they are unknown.
func attemptsOf(c experiment.CellSummary) float64 {
	if i, ok := metricOf(c, design.Attempts); ok {
		return i.Estimate
	}
	return 0
}

func mostAttempts(cells []experiment.CellSummary) float64 {
	most := 0.0
	for _, c := range cells {
		most = max(most, attemptsOf(c))
	}
	return most
}

// attemptsRange names the attempts of the smallest and the largest bubble.
func attemptsRange(cells []experiment.CellSummary) string {
	least, most := math.Inf(1), mostAttempts(cells)
	for _, c := range cells {
		least = min(least, attemptsOf(c))
	}
	return fmt.Sprintf(", here %s to %s", unitOf(design.Attempts, least).print(least), unitOf(design.Attempts, most).print(most))
}

func (pl plane) bubble(c experiment.CellSummary) bubble {
	success, p99 := c.Metrics[design.Success], c.Metrics[design.P99]
	b := bubble{Class: seriesClass(slices.Index(pl.rows, c.Cell.Row))}
	b.X, b.Y = px(pl.x.at(p99.Estimate)), px(pl.y.clip(success.Estimate))
	b.Radius = px(max(4, largestBubble*math.Sqrt(attemptsOf(c)/cmp.Or(pl.most, 1))))
	b.Title = pointTitle(c, policyMetrics...)
	b.Label.Text = c.Cell.Row
	if pl.within != nil {
		b.Label.Text = levelOf(c.Cell, pl.within.name)
	}
	if w, ok := upright(success, float64(b.X), pl.y); ok {
		b.Whiskers = append(b.Whiskers, w)
	}
	if w, ok := sideways(p99, float64(b.Y), pl.x); ok {
		b.Whiskers = append(b.Whiskers, w)
	}
	return b
}

// predicted returns the bubble of a cell's prediction, joined by a line to the measured one, which
// has the label.
func (pl plane) predicted(c experiment.CellSummary, measured bubble) bubble {
	b := pl.bubble(c)
	b.Class += " " + predictedClass
	b.Label = label{Leader: &whisker{measured.X, measured.Y, b.X, b.Y, true, true}}
	b.predict(c, b.Radius+4, policyMetrics...)
	return b
}
