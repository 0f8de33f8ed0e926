package report

import (
	"math"
	"strconv"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/stats"
)

// unit is how figures of one size are printed for people. An interval is printed in the unit of its
// estimate.
type unit struct {
	symbol   string  // printed behind the number
	times    float64 // what a figure is multiplied by
	decimals int
}

// unitOf returns the unit for a figure of the metric.
func unitOf(m design.Metric, x float64) unit {
	switch m {
	case design.Success:
		return shareUnit(x)
	case design.P50, design.P90, design.P99, design.Makespan:
		return timeUnit(x)
	case design.Throughput:
		return unit{"/s", 1, decimals(x)}
	}
	return unit{"", 1, min(decimals(x), 2)}
}

// shareUnit has as many decimals as it takes to see how far the share is from all and from none:
// 99.91%, not 99.9%.
func shareUnit(share float64) unit {
	u := unit{"%", 100, 1}
	if short := 100 * min(share, 1-share); short > 1e-9 {
		u.decimals = int(min(max(1-math.Floor(math.Log10(short)+1e-9), 1), 4))
	}
	return u
}

// intervalUnit is that of the estimate. Where that is all or none, the bound tells how many
// decimals it takes.
func intervalUnit(m design.Metric, i stats.Interval) unit {
	switch {
	case m == design.Success && i.Estimate == 1:
		return shareUnit(i.Low)
	case m == design.Success && i.Estimate == 0:
		return shareUnit(i.High)
	}
	return unitOf(m, i.Estimate)
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

// decimals returns how many show three significant digits of x.
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

// estimate prints an interval's estimate, such as "97.3%".
func estimate(m design.Metric, i stats.Interval) string {
	return unitOf(m, i.Estimate).print(i.Estimate)
}

// boundless is an interval of which only the estimate is known, as after a single run: that a share
// is from 0 to 1, and a latency no less than 0, was known before.
func boundless(i stats.Interval) bool {
	return i.N == 1 || notFinite(i.High) && (notFinite(i.Low) || i.Low == 0)
}

// bounds prints an interval's bounds, such as "[95.1, 98.6]"; nothing when it has none.
func bounds(m design.Metric, i stats.Interval) string {
	if boundless(i) {
		return ""
	}
	return intervalUnit(m, i).bounds(i)
}

// interval prints both, such as "97.3% [95.1, 98.6]".
func interval(m design.Metric, i stats.Interval) string {
	if b := bounds(m, i); b != "" {
		return estimate(m, i) + " " + b
	}
	return estimate(m, i)
}

// metricOf returns the cell's interval of a metric; false when the metric has no value.
func metricOf(c experiment.CellSummary, m design.Metric) (stats.Interval, bool) {
	i, ok := c.Metrics[m]
	return i, ok && !notFinite(i.Estimate)
}

// confidence names the intervals of a run, such as "95% intervals".
func confidence(s experiment.Summary) string {
	for _, c := range s.Cells {
		for _, i := range c.Metrics {
			if i.Level > 0 {
				return strconv.FormatFloat(math.Round(i.Level*1000)/10, 'f', -1, 64) + "% intervals"
			}
		}
	}
	return "intervals"
}

// counted is such as "1 trial" or "3 trials".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

// metricName is what charts and heads call a metric.
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
