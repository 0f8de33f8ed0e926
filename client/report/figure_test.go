package report

import (
	"math"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/stats"
)

func TestInterval(t *testing.T) {
	inf := math.Inf(1)
	for _, tc := range []struct {
		metric              design.Metric
		estimate, low, high float64
		want                string
	}{
		{design.Success, 0.973, 0.951, 0.986, "97.3% [95.1, 98.6]"},
		{design.Success, 0.9991, 0.9989, 0.9993, "99.910% [99.890, 99.930]"},
		{design.Success, 0.9985, 0.9971, 1, "99.85% [99.71, 100]"},
		{design.Success, 1, 0.982, 1, "100% [98.2, 100]"},
		{design.Success, 1, 0.99963, 1, "100% [99.963, 100]"},
		{design.Success, 0, 0, 0.0004, "0% [0, 0.040]"},
		{design.Success, 0.0004, 0, 0.002, "0.040% [0, 0.200]"},
		{design.Success, 0, math.Copysign(0, -1), 0.0321, "0% [0, 3.2]"},
		{design.P99, 1.234, 1.1, 1.4049, "1.23 s [1.10, 1.40]"},
		{design.P99, 0.95, 0.9, 1.01, "0.95 s [0.90, 1.01]"},
		{design.P99, 0.77, 0.43, 1.36, "0.77 s [0.43, 1.36]"},
		{design.P99, 0.0027, 0.0004, 0.12, "2.7 ms [0.4, 120.0]"},
		{design.P99, 0.0663, 0.0361, 0.1219, "66 ms [36, 122]"},
		{design.Makespan, 560, 500, 640, "9.3 min [8.3, 10.7]"},
		{design.P99, 0.00123, 0.001, 0.002, "1.23 ms [1.00, 2.00]"},
		{design.P99, 0.9996, 0.9, 1.1, "1.00 s [0.90, 1.10]"},
		{design.P50, 0.000012, -0.000001, 0.00002, "12.0 µs [-1.0, 20.0]"},
		{design.Makespan, 42, 40, 44, "42.0 s [40.0, 44.0]"},
		{design.Makespan, 1500, 1200, 1800, "25.0 min [20.0, 30.0]"},
		{design.Makespan, 0, 0, 0, "0 s [0, 0]"},
		{design.Attempts, 1.43, 1.4, 1.4612, "1.43 [1.40, 1.46]"},
		{design.Tries, 22.94, 20.1, 25.8, "22.9 [20.1, 25.8]"},
		{design.Throughput, 123.4, 120, 127, "123/s [120, 127]"},
		{design.Attempts, 1.43, -inf, inf, "1.43"},
		{design.Attempts, 1.43, 0, inf, "1.43"},
		{design.Attempts, 1.43, 1.4, inf, "1.43 [1.40, ∞]"},
		{design.Attempts, 0.001, -0.001, 0.003, "0.00 [0.00, 0.00]"},
	} {
		if got := interval(tc.metric, stats.Interval{Estimate: tc.estimate, Low: tc.low, High: tc.high}); got != tc.want {
			t.Errorf("%s %v [%v, %v]: %q, want %q", tc.metric, tc.estimate, tc.low, tc.high, got, tc.want)
		}
	}
	if got := interval(design.Success, stats.Interval{Estimate: 0.9, High: 1, N: 1}); got != "90.0%" {
		t.Errorf("of a single trial: %q, want no bounds", got)
	}
}

// The times of a cell have one unit, if that serves all of them, and so do the ends of a span.
func TestFigures(t *testing.T) {
	of := map[design.Metric]stats.Interval{
		design.Success: {Estimate: 0.973, Low: 0.951, High: 0.986, N: 9}, design.P50: {Estimate: 0.4371, Low: 0.4267, High: 0.4503, N: 9},
		design.P90: {Estimate: 0.0012, Low: 0.0011, High: 0.0013, N: 9}, design.P99: {Estimate: 0.95, Low: 0.526, High: 2.08, N: 9},
		design.Makespan: {Estimate: 42, N: 1}, design.Attempts: {Estimate: 1.432, Low: 1.424, High: 1.441, N: 9},
	}
	for m, want := range map[design.Metric]Figure{
		design.Success: {"97.3%", "[95.1, 98.6]"}, design.P50: {"0.44 s", "[0.43, 0.45]"}, design.P90: {"1.20 ms", "[1.10, 1.30]"},
		design.P99: {"0.95 s", "[0.53, 2.08]"}, design.Attempts: {"1.43", "[1.42, 1.44]"},
	} {
		if got := Figures(of, design.Success, design.P50, design.P90, design.P99, design.Attempts, design.Throughput)[m]; got != want {
			t.Errorf("%s is %q, want %q", m, got, want)
		}
	}
	if got := Figures(of, design.Makespan)[design.Makespan]; got != (Figure{Estimate: "42.0 s"}) {
		t.Errorf("of a single trial: %q", got)
	}
	for want, span := range map[string][2]time.Duration{
		"0.53 to 2.08 s": {526 * time.Millisecond, 2080 * time.Millisecond}, "9.8 to 107.3 ms": {9800 * time.Microsecond, 107300 * time.Microsecond},
		"0 to 20.0 ms": {0, 20 * time.Millisecond},
	} {
		if got := Span(span[0], span[1]); got != want {
			t.Errorf("%v is %q, want %q", span, got, want)
		}
	}
}

func TestMetricTicks(t *testing.T) {
	for _, tc := range []struct {
		metric design.Metric
		scale  scale
		want   string
	}{
		{design.Success, scale{low: 0, high: 1}, "0% 20% 40% 60% 80% 100%"},
		{design.Success, scale{low: 0.9985, high: 1}, "99.85% 99.9% 99.95% 100%"},
		{design.P99, scale{low: 0, high: 2.2}, "0, 0.5 s, 1 s, 1.5 s, 2 s"},
		{design.P99, scale{low: 0.01, high: 10, log: true}, "10 ms, 100 ms, 1 s, 10 s"},
		{design.Attempts, scale{low: 0, high: 25}, "0 5 10 15 20 25"},
	} {
		var labels []string
		for _, tick := range metricTicks(tc.metric, tc.scale, 5) {
			labels = append(labels, tick.Lines...)
		}
		separator := " "
		if strings.Contains(tc.want, ",") {
			separator = ", "
		}
		if got := strings.Join(labels, separator); got != tc.want {
			t.Errorf("%s from %v to %v: ticks %s, want %s", tc.metric, tc.scale.low, tc.scale.high, got, tc.want)
		}
	}
}
