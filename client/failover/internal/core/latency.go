package core

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Latency learns the distribution of the lately seen durations: a histogram with four buckets to the octave, so that a
// quantile is at most 25% too high, whose counts are halved every 2048 durations. Safe for concurrent use; the zero
// value knows nothing.
type Latency struct {
	n       atomic.Uint32 // in all buckets, but for what is on its way
	forgets atomic.Bool   // somebody halves the counts
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
	if l.n.Add(1) >= halving && l.forgets.CompareAndSwap(false, true) {
		l.halve()
		l.forgets.Store(false)
	}
}

// halve forgets half of what is known, and nothing of what is added meanwhile.
func (l *Latency) halve() {
	for i := range l.buckets {
		n := l.buckets[i].Load()
		gone := n - n/2
		l.buckets[i].Add(-gone)
		l.n.Add(-gone)
	}
}

// Quantile returns the least duration that at least the share q of the durations did not exceed, rounded up to the end
// of its bucket. It returns false until 64 durations are known.
func (l *Latency) Quantile(q float64) (time.Duration, bool) {
	n := l.n.Load()
	if n < known {
		return 0, false
	}
	want, seen, last := q*float64(n), uint32(0), 0
	for i := range l.buckets {
		x := l.buckets[i].Load()
		if x == 0 {
			continue
		}
		last = i
		if seen += x; float64(seen) >= want {
			break
		}
	}
	return upper(last), true // also where some were halved away since they were counted
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
