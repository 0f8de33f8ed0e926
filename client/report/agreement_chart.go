package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/stats"
)

// agreementChart shows each metric of each cell as a point, predicted against measured, on a band
// that shows which differences are allowed. It is empty if nothing was predicted.
func agreementChart(agreements []experiment.Agreement) chart {
	c := chart{Title: "predicted against measured", Tall: true}
	for _, m := range experiment.Agreeing() {
		of := slices.DeleteFunc(slices.Clone(agreements), func(a experiment.Agreement) bool {
			return a.Metric != m || notFinite(a.Measured.Estimate) || notFinite(a.Predicted.Estimate)
		})
		if len(of) > 0 {
			c.Panels = append(c.Panels, newScatter(m, of).panel())
		}
	}
	if c.empty() {
		return c
	}
	c.Marks = []keyItem{
		{Class: "band", Shape: "M-7-5h14v10h-14z", Name: "allowed"},
		{Class: seriesClass(agreeingSeries), Shape: shapeOf(agreeingSeries), Name: "agrees"},
	}
	c.Notes = []string{
		"Each point is a cell; " + agreeing(agreements) + ".",
		fmt.Sprintf("Allowed: success %g points or, in the strips, 3 standard errors; attempts %g%%, p50 %g%%, p99 %g%%.",
			100*experiment.Tolerance(design.Success, 1), 100*experiment.Tolerance(design.Attempts, 1),
			100*experiment.Tolerance(design.P50, 1), 100*experiment.Tolerance(design.P99, 1)),
		fmt.Sprintf("Whiskers: %g%% intervals, horizontal for measured and vertical for predicted values.", 100*stats.Level),
	}
	for _, a := range agreements {
		if !a.Agrees() {
			c.Details = append(c.Details, a.Cell+": "+disagreement(a)+".")
		}
	}
	if len(c.Details) > 0 {
		c.Marks = append(c.Marks, keyItem{Class: seriesClass(otherSeries), Shape: shapeOf(otherSeries), Name: "does not agree"})
	}
	const most = 8
	if more := len(c.Details) - most; more > 1 {
		c.Details = append(c.Details[:most], fmt.Sprintf("And %d more that do not agree.", more))
	}
	return c
}

// The series of a scatter.
const (
	agreeingSeries = iota
	otherSeries
)

// scatter is one metric of the cells, predicted against measured.
type scatter struct {
	metric     design.Metric
	agreements []experiment.Agreement
	x, y       scale  // of the same values
	yTicks     []tick // which the plot is right of
}

const scatterHeight = 250 // of its plot

func newScatter(m design.Metric, of []experiment.Agreement) scatter {
	const nameWidth = 18
	s := scatter{metric: m, agreements: of, y: commonScale(m, of)}
	s.x = s.y
	s.y.from, s.y.to = plotTop+scatterHeight, plotTop
	s.yTicks = metricTicks(m, s.y, 5)
	s.x.from, s.x.to = nameWidth+labelWidth(s.yTicks)+10, panelWidth-18
	return s
}

// commonScale covers measured and predicted values. It is logarithmic if a share of the measured
// value is allowed, so that the band has the same width everywhere.
func commonScale(m design.Metric, of []experiment.Agreement) scale {
	var estimates, bounds []float64
	for _, a := range of {
		estimates = append(estimates, a.Measured.Estimate, a.Predicted.Estimate)
		bounds = append(bounds, a.Measured.Low, a.Measured.High, a.Predicted.Low, a.Predicted.High)
	}
	low, high := slices.Min(estimates), slices.Max(estimates)
	switch {
	case m == design.Success && low < 0.8:
		return scale{low: max(0, math.Floor(10*low-0.2)/10), high: 1}
	case m == design.Success:
		return aroundShares(append(estimates, bounds...), 0, 0)
	case low <= 0:
		return around(estimates, bounds, 0, 0)
	}
	const least = 5 // ratio of the ends, for at least two ticks
	wider := max(1.15, math.Sqrt(least*low/high))
	return scale{low: low / wider, high: high * wider, log: true}
}

func (s scatter) panel() panel {
	p := panel{
		Title: metricName(s.metric), Width: panelWidth, Left: px(s.x.from), Right: px(s.x.to), Top: plotTop, Bottom: plotTop + scatterHeight,
		XAxis: axis{Name: "measured", Ticks: thin(metricTicks(s.metric, s.x, 5))},
		YAxis: axis{Name: "predicted", Ticks: s.yTicks},
	}
	p.XNameY, p.Height = p.Bottom+33, p.Bottom+39
	p.Bands = s.bands()
	p.Diagonal = fmt.Sprintf("M%v %vL%v %v", p.Left, p.Bottom, p.Right, p.Top)
	p.Series = []series{
		agreeingSeries: {Class: seriesClass(agreeingSeries) + " faint", Shape: shapeOf(agreeingSeries)},
		otherSeries:    {Class: seriesClass(otherSeries), Shape: shapeOf(otherSeries)},
	}
	var marks []bubble // labeled if they do not agree
	for _, a := range s.agreements {
		b := bubble{point: s.point(a), Radius: 5}
		of := &p.Series[agreeingSeries]
		if !a.Agrees() {
			of, b.Label.Text = &p.Series[otherSeries], shorten(a.Cell, 34)
		}
		of.Points = append(of.Points, b.point)
		marks = append(marks, b)
	}
	placeLabels(marks, rect{s.x.from, plotTop, s.x.to - s.x.from, scatterHeight})
	for _, b := range marks {
		if b.Label.Text != "" {
			p.Labels = append(p.Labels, b.Label)
		}
	}
	p.Desc = s.describe()
	return p
}

// bands are the areas of allowed differences: the tolerance, and strips beyond it at cells for
// which more is allowed.
func (s scatter) bands() []string {
	const steps = 48
	var upper, lower []string
	for i := range steps + 1 {
		at := s.x.from + float64(i)/steps*(s.x.to-s.x.from)
		v := s.x.value(at)
		t := experiment.Tolerance(s.metric, v)
		upper = append(upper, fmt.Sprintf("%v %v", px(at), px(s.y.clip(v+t))))
		lower = append(lower, fmt.Sprintf("%v %v", px(at), px(s.y.clip(v-t))))
	}
	slices.Reverse(lower)
	bands := []string{"M" + strings.Join(append(upper, lower...), "L") + "z"}
	for _, a := range s.agreements {
		v := a.Measured.Estimate
		if a.Allowed > experiment.Tolerance(s.metric, v) {
			bands = append(bands, fmt.Sprintf("M%v %vh6V%vh-6z", px(s.x.clip(v)-3), px(s.y.clip(v-a.Allowed)), px(s.y.clip(v+a.Allowed))))
		}
	}
	return bands
}

func (s scatter) point(a experiment.Agreement) point {
	p := point{X: px(s.x.clip(a.Measured.Estimate)), Y: px(s.y.clip(a.Predicted.Estimate))}
	p.Title = fmt.Sprintf("%s: measured %s, predicted %s", a.Cell, interval(a.Metric, a.Measured), interval(a.Metric, a.Predicted))
	if !a.Agrees() {
		p.Title += "; does not agree: " + disagreement(a)
	}
	if w, ok := upright(a.Predicted, float64(p.X), s.y); ok {
		p.Whiskers = append(p.Whiskers, w)
	}
	if w, ok := sideways(a.Measured, float64(p.Y), s.x); ok {
		p.Whiskers = append(p.Whiskers, w)
	}
	return p
}

// sideways returns an interval as a whisker along the x axis.
func sideways(i stats.Interval, y float64, x scale) (whisker, bool) {
	w, ok := upright(i, y, x)
	w.X1, w.Y1, w.X2, w.Y2 = w.Y1, w.X1, w.Y2, w.X2
	return w, ok
}

// describe summarizes the picture in a sentence for screen readers.
func (s scatter) describe() string {
	var not []string
	for _, a := range s.agreements {
		if !a.Agrees() {
			not = append(not, s.point(a).Title)
		}
	}
	text := fmt.Sprintf("%s, predicted against measured, with intervals, of %s. ", metricName(s.metric), counted(len(s.agreements), "cell"))
	if len(not) == 0 {
		return text + "All agree."
	}
	return fmt.Sprintf("%sAll agree except %d: %s.", text, len(not), strings.Join(not, ". "))
}
