package core

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Latency learns the distribution of the lately seen durations: a histogram with four buckets to the octave, so that a
// quantile is at most 19% too high, whose counts are halved every 2048 durations. Safe for concurrent use; the zero
// value knows nothing.
type Latency struct {
	n       atomic.Uint32
	buckets [octaves * perOctave]atomic.Uint32
}

const (
	perOctave = 4
	octaves   = 28 // from 1 µs to 268 s
	unit      = 10 // 1<<unit ns is the lower end, near enough to a microsecond
	known     = 64 // durations that a quantile needs
	halving   = 2048
)

// Add notes a duration.
func (l *Latency) Add(d time.Duration) {
	l.buckets[bucket(d)].Add(1)
	if l.n.Add(1) >= halving {
		l.halve()
	}
}

// halve forgets half of what is known. Two that do so at once forget three quarters, which does no harm.
func (l *Latency) halve() {
	var n uint32
	for i := range l.buckets {
		half := l.buckets[i].Load() / 2
		l.buckets[i].Store(half)
		n += half
	}
	l.n.Store(n)
}

// Quantile returns the least duration that at least the share q of the durations did not exceed, rounded up to the end
// of its bucket. It returns false until 64 durations are known.
func (l *Latency) Quantile(q float64) (time.Duration, bool) {
	n := l.n.Load()
	if n < known {
		return 0, false
	}
	want, seen := q*float64(n), uint32(0)
	for i := range l.buckets {
		if seen += l.buckets[i].Load(); float64(seen) >= want && seen > 0 {
			return upper(i), true
		}
	}
	return upper(len(l.buckets) - 1), true
}

// bucket returns the index of the bucket of d: the octave, then the next two bits.
func bucket(d time.Duration) int {
	x := uint64(max(d, 1<<unit)) >> (unit - 2) // four steps to the first octave
	octave := bits.Len64(x) - 3
	i := octave*perOctave + int(x>>octave) - perOctave
	return min(i, octaves*perOctave-1)
}

// upper returns the end of a bucket.
func upper(i int) time.Duration {
	octave, step := i/perOctave, i%perOctave
	return time.Duration(perOctave+step+1) << (octave + unit - 2)
}
