package report

import (
	"math"
	"strconv"
	"time"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/stats"
)

// unit is how figures of similar size are printed for people. The estimate and both bounds of an
// interval share one unit.
type unit struct {
	symbol   string  // printed after the number
	times    float64 // what a figure is multiplied by
	decimals int
}

// unitOf returns the unit for a single figure of the metric.
func unitOf(m design.Metric, x float64) unit {
	switch {
	case m == design.Success:
		return shareUnit(x)
	case isTime(m):
		return timeUnit(x)
	case m == design.Throughput:
		return unit{"/s", 1, decimals(x)}
	}
	return unit{"", 1, min(decimals(x), 2)}
}

// shareUnit has as many decimals as it takes to see how far the share is from 0% and from 100%:
// 99.910%, not 99.9%.
func shareUnit(share float64) unit {
	u := unit{"%", 100, 1}
	if short := 100 * min(share, 1-share); short > 1e-9 {
		u.decimals = int(min(max(1-math.Floor(math.Log10(short)+1e-9), 1), 4))
	}
	return u
}

// intervalUnit returns the unit of an interval: of shares, that of the estimate or, if that is 0%
// or 100%, of the other bound; of times, see timesUnit; else that of the estimate.
func intervalUnit(m design.Metric, i stats.Interval) unit {
	switch {
	case m == design.Success && i.Estimate == 1:
		return shareUnit(i.Low)
	case m == design.Success && i.Estimate == 0:
		return shareUnit(i.High)
	case isTime(m) && !boundless(i):
		return timesUnit(i)
	}
	return unitOf(m, i.Estimate)
}

func isTime(m design.Metric) bool {
	switch m {
	case design.P50, design.P90, design.P99, design.Makespan:
		return true
	}
	return false
}

// timesUnit returns the unit of the number farthest from zero, also among the intervals printed
// beside i, with three significant digits of that number, and at least two of the estimate: 0.77 s
// [0.43, 1.36].
func timesUnit(i stats.Interval, beside ...stats.Interval) unit {
	farthest := math.Abs(i.Estimate)
	for _, one := range append(beside, i) {
		for _, v := range []float64{one.Estimate, one.Low, one.High} {
			if !notFinite(v) {
				farthest = max(farthest, math.Abs(v))
			}
		}
	}
	u := timeUnit(farthest)
	if estimate := round3(math.Abs(i.Estimate * u.times)); estimate > 0 {
		u.decimals = max(u.decimals, int(1-math.Floor(math.Log10(estimate))))
	}
	return u
}

// timeUnit has three significant digits.
func timeUnit(seconds float64) unit {
	u := unit{" s", 1, 0}
	switch s := round3(math.Abs(seconds)); {
	case s >= 600:
		u = unit{" min", 1.0 / 60, 0}
	case s >= 1 || s == 0:
	case s >= 1e-3:
		u = unit{" ms", 1e3, 0}
	default:
		u = unit{" µs", 1e6, 0}
	}
	u.decimals = decimals(seconds * u.times)
	return u
}

func round3(x float64) float64 {
	rounded, _ := strconv.ParseFloat(strconv.FormatFloat(x, 'e', 2, 64), 64)
	return rounded
}

// decimals returns how many decimals show three significant digits of x.
func decimals(x float64) int {
	if x = round3(math.Abs(x)); x == 0 || notFinite(x) {
		return 0
	}
	return int(max(0, 2-math.Floor(math.Log10(x))))
}

func (u unit) number(x float64) string {
	switch {
	case math.IsNaN(x):
		return "?"
	case math.IsInf(x, 1):
		return "∞"
	case math.IsInf(x, -1):
		return "−∞"
	case x == 0: // exactly, not rounded
		return "0"
	case x == 1 && u.symbol == "%":
		return "100"
	}
	s := strconv.FormatFloat(x*u.times, 'f', u.decimals, 64)
	if v, _ := strconv.ParseFloat(s, 64); v == 0 && s[0] == '-' {
		return s[1:]
	}
	return s
}

func (u unit) print(x float64) string { return u.number(x) + u.symbol }

func (u unit) bounds(i stats.Interval) string {
	return "[" + u.number(i.Low) + ", " + u.number(i.High) + "]"
}

// estimate prints the estimate of an interval in the interval's unit, such as "97.3%".
func estimate(m design.Metric, i stats.Interval) string {
	return intervalUnit(m, i).print(i.Estimate)
}

// lone prints the estimate of an interval that is not shown.
func lone(m design.Metric, i stats.Interval) string { return unitOf(m, i.Estimate).print(i.Estimate) }

// boundless reports whether the bounds of an interval say nothing, as after a single trial: it was
// known before that a share is between 0 and 1 and that a latency is not negative.
func boundless(i stats.Interval) bool {
	return i.N == 1 || notFinite(i.High) && (notFinite(i.Low) || i.Low == 0)
}

// bounds prints the bounds of an interval, such as "[95.1, 98.6]"; nothing if they say nothing.
func bounds(m design.Metric, i stats.Interval) string {
	if boundless(i) {
		return ""
	}
	return intervalUnit(m, i).bounds(i)
}

// interval prints an estimate and its bounds, such as "97.3% [95.1, 98.6]".
func interval(m design.Metric, i stats.Interval) string {
	if b := bounds(m, i); b != "" {
		return estimate(m, i) + " " + b
	}
	return estimate(m, i)
}

// Figure is an interval as it is printed.
type Figure struct {
	Estimate string // with its unit, such as "97.3%"
	Bounds   string // in the same unit, such as "[95.1, 98.6]"; empty if they say nothing
}

// Figures prints the intervals of those of the metrics that have one. Their times share a unit,
// except those that are less than a hundredth of another.
func Figures(of map[design.Metric]stats.Interval, metrics ...design.Metric) map[design.Metric]Figure {
	figures := map[design.Metric]Figure{}
	for _, m := range metrics {
		i, ok := of[m]
		if !ok {
			continue
		}
		u := intervalUnit(m, i)
		if isTime(m) {
			var beside []stats.Interval
			for _, other := range metrics {
				if o, ok := of[other]; ok && isTime(other) && o.Estimate <= 100*i.Estimate {
					beside = append(beside, o)
				}
			}
			u = timesUnit(i, beside...)
		}
		f := Figure{Estimate: u.print(i.Estimate)}
		if !boundless(i) {
			f.Bounds = u.bounds(i)
		}
		figures[m] = f
	}
	return figures
}

// Span prints two times in one unit, such as "0.53 to 2.08 s".
func Span(from, to time.Duration) string {
	u := timesUnit(stats.Interval{Estimate: from.Seconds(), Low: from.Seconds(), High: to.Seconds()})
	return u.number(from.Seconds()) + " to " + u.print(to.Seconds())
}

// metricOf returns the cell's interval of a metric; false if the metric has no value.
func metricOf(c experiment.CellSummary, m design.Metric) (stats.Interval, bool) {
	i, ok := c.Metrics[m]
	return i, ok && !notFinite(i.Estimate)
}

// confidence names the intervals of a run, such as "95% intervals".
func confidence(s experiment.Summary) string {
	for _, c := range s.Cells {
		for _, i := range c.Metrics {
			if i.Level > 0 {
				return levelName(i.Level)
			}
		}
	}
	return "intervals"
}

// levelName names intervals of a confidence level; zero is an unknown one.
func levelName(level float64) string {
	if level == 0 {
		return "intervals"
	}
	return strconv.FormatFloat(math.Round(level*1000)/10, 'f', -1, 64) + "% intervals"
}

// counted is such as "1 trial" or "3 trials".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// metricName returns the name of a metric in charts and headings.
func metricName(m design.Metric) string {
	switch m {
	case design.Success:
		return "calls that succeed"
	case design.P50, design.P90, design.P99:
		return string(m) + " latency"
	case design.Attempts:
		return "attempts sent per call"
	case design.Tries:
		return "attempts per call, sent or not"
	case design.Throughput:
		return "calls that succeed, per second"
	}
	return string(m)
}
