package workload

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies is a distribution of latencies of up to a day, with three significant digits. The zero
// value is empty.
type Latencies struct {
	histogram *hdrhistogram.Histogram // nil: empty
	longest   time.Duration
}

// Add adds a latency.
func (l *Latencies) Add(d time.Duration) {
	if l.histogram == nil {
		l.histogram = hdrhistogram.New(1, int64(24*time.Hour), 3)
	}
	// It cannot fail within the range.
	_ = l.histogram.RecordValue(min(max(int64(d), 0), l.histogram.HighestTrackableValue()))
	l.longest = max(l.longest, d)
}

// Quantile returns the q-quantile, q in [0, 1], or zero for the empty distribution. It is never
// longer than the longest latency, which the histogram rounds.
func (l *Latencies) Quantile(q float64) time.Duration {
	if l.histogram == nil {
		return 0
	}
	return min(time.Duration(l.histogram.ValueAtQuantile(100*q)), l.longest)
}
