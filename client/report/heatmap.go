package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/stats"
)

// heatBox is one cell of a heatmap.
type heatBox struct {
	X, Y, Width, Height px
	Fill, Ink           string // colors; empty without a value
	Number              string
	Bounds, Predicted   string // empty if there are none, or no room
	NumberY, BoundsY    px
	PredictedY          px
	Title               string
}

// MiddleX is the middle of the text.
func (b heatBox) MiddleX() px { return b.X + b.Width/2 }

// heatmaps shows success for all levels of two factors, in one picture for each group.
func heatmaps(plan sweepPlan, groups []group) chart {
	c := chart{Title: fmt.Sprintf("what changes with %s and %s", plan.x.name, plan.y.name)}
	for _, g := range groups {
		c.Panels = append(c.Panels, heatmap(plan, g))
	}
	return c
}

func heatmap(plan sweepPlan, g group) panel {
	const nameWidth = 18
	rowHeight := px(38)
	if slices.ContainsFunc(g.cells, func(c experiment.CellSummary) bool { return c.Predicted != nil }) {
		rowHeight += 14
	}
	rows, columns := plan.y.levels, plan.x.levels
	p := panel{Title: metricName(design.Success), Width: panelWidth, Right: panelWidth - 8}
	p.under(g, float64(rowHeight)*float64(len(rows)))
	p.YAxis.Name = plan.y.name
	for i, level := range rows {
		at := p.Bottom - (px(i)+0.5)*rowHeight
		p.YAxis.Ticks = append(p.YAxis.Ticks, tick{At: at, Lines: []string{level}})
	}
	p.Left = nameWidth + px(labelWidth(p.YAxis.Ticks)+10)
	sideBySide := plan.x
	sideBySide.values = nil
	x := newLevelAxis(sideBySide, float64(p.Left), float64(p.Right))
	p.setXAxis(x)
	forms := formsFor(g.cells, x.room-4)
	p.Title += forms.unit
	for k, column := range columns {
		column := group{cells: having(g.cells, plan.x, column)}
		for i, row := range rows {
			b := heatBox{X: px(x.places[k] - x.room/2), Y: p.YAxis.Ticks[i].At - rowHeight/2, Width: px(x.room), Height: rowHeight}
			if c, ok := column.find(*plan.y, row); ok {
				b.fill(c, forms)
			}
			p.Boxes = append(p.Boxes, b)
		}
	}
	p.Desc = dotPlot{sweepPlan: plan, metric: design.Success, group: g}.describe()
	return p
}

func having(cells []experiment.CellSummary, f factor, level string) []experiment.CellSummary {
	var found []experiment.CellSummary
	for _, c := range cells {
		if levelOf(c.Cell, f.name) == level {
			found = append(found, c)
		}
	}
	return found
}

// forms print the numbers and the intervals of a heatmap, in the same way in all of its boxes.
type forms struct {
	number, bounds, predicted func(stats.Interval) string
	unit                      string // for the title, if the numbers have no room for it
}

// formsFor returns the longest forms that fit into boxes of that width, without intervals if even
// their shortest form does not fit.
func formsFor(cells []experiment.CellSummary, width float64) forms {
	whole := func(x float64) string { return strconv.FormatFloat(100*x, 'f', 0, 64) }
	number := firstThatFits(cells, width, 12.5,
		func(i stats.Interval) string { return estimate(design.Success, i) },
		func(i stats.Interval) string { return whole(i.Estimate) + "%" },
		func(i stats.Interval) string { return whole(i.Estimate) })
	bounds := firstThatFits(cells, width, 10,
		func(i stats.Interval) string {
			u := intervalUnit(design.Success, i)
			return u.number(i.Low) + " – " + u.number(i.High)
		},
		func(i stats.Interval) string { return whole(i.Low) + "–" + whole(i.High) },
		func(stats.Interval) string { return "" })
	var predictions []experiment.CellSummary
	for _, c := range cells {
		predictions = append(predictions, asPredicted(c))
	}
	marked := firstThatFits(predictions, width, 10,
		func(i stats.Interval) string { return "≠ (" + estimate(design.Success, i) + ")" },
		func(i stats.Interval) string { return "≠(" + whole(i.Estimate) + ")" })
	predicted := func(i stats.Interval) string { return strings.TrimLeft(marked(i), "≠ ") }
	f := forms{number: number, bounds: bounds, predicted: predicted}
	if !strings.HasSuffix(number(stats.Interval{}), "%") {
		f.unit = ", %"
	}
	return f
}

// firstThatFits returns the first form that fits for all cells, or else the last one.
func firstThatFits(
	cells []experiment.CellSummary, width, size float64, all ...func(stats.Interval) string,
) func(stats.Interval) string {
	for _, form := range all {
		tooWide := func(c experiment.CellSummary) bool {
			i, ok := metricOf(c, design.Success)
			return ok && textWidth(form(i), size) > width
		}
		if !slices.ContainsFunc(cells, tooWide) {
			return form
		}
	}
	return all[len(all)-1]
}

// fill sets the texts of the box: the cell's number, its interval, and its prediction.
func (b *heatBox) fill(c experiment.CellSummary, forms forms) {
	i, ok := metricOf(c, design.Success)
	if !ok {
		return
	}
	b.Fill, b.Ink = heat(i.Estimate)
	b.Title = pointTitle(c, design.Success, design.P99, design.Attempts)
	b.Number = forms.number(i)
	if text := forms.bounds(i); !boundless(i) {
		b.Bounds = text
	}
	predicted := asPredicted(c)
	if i, ok := metricOf(predicted, design.Success); ok {
		b.Predicted = forms.predicted(i)
		b.Title += "; predicted: " + pointTitle(predicted, design.Success, design.P99, design.Attempts)
		if disagrees(c, design.Success) {
			b.Predicted, b.Title = "≠ "+b.Predicted, b.Title+"; does not agree"
		}
	}
	b.setLines()
}

// setLines sets the baselines of the texts so that together they are in the middle of the box.
func (b *heatBox) setLines() {
	const step = 14
	lines := 1
	for _, text := range []string{b.Bounds, b.Predicted} {
		if text != "" {
			lines++
		}
	}
	b.NumberY = b.Y + b.Height/2 + 4 - px(lines-1)*step/2
	b.BoundsY = b.NumberY + step
	b.PredictedY = b.BoundsY
	if b.Bounds != "" {
		b.PredictedY += step
	}
}

// rgb is a color as red, green and blue, each from 0 to 1.
type rgb [3]float64

// heatStops are colors from matplotlib's viridis, for shares from 0 to 1. Their lightness rises
// for every kind of color vision.
var heatStops = []rgb{
	{0.267, 0.005, 0.329}, {0.229, 0.322, 0.546}, {0.128, 0.567, 0.551}, {0.369, 0.789, 0.383}, {0.993, 0.906, 0.144},
}

// heat returns the fill for a share and the text color that is easiest to read on it.
func heat(share float64) (fill, ink string) {
	at := min(max(share, 0), 1) * float64(len(heatStops)-1)
	k := min(int(at), len(heatStops)-2)
	var c rgb
	for i := range c {
		c[i] = heatStops[k][i] + (at-float64(k))*(heatStops[k+1][i]-heatStops[k][i])
	}
	black, white := rgb{}, rgb{1, 1, 1}
	if contrastOf(c, black) > contrastOf(c, white) {
		return c.String(), black.String()
	}
	return c.String(), white.String()
}

// String returns the color in CSS notation.
func (c rgb) String() string {
	return fmt.Sprintf("#%02x%02x%02x", int(math.Round(c[0]*255)), int(math.Round(c[1]*255)), int(math.Round(c[2]*255)))
}

// contrastOf returns the contrast ratio of the Web Content Accessibility Guidelines 2.2, from 1 to
// 21.
func contrastOf(a, b rgb) float64 {
	x, y := a.luminance(), b.luminance()
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

func (c rgb) luminance() float64 {
	linear := func(v float64) float64 {
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c[0]) + 0.7152*linear(c[1]) + 0.0722*linear(c[2])
}
