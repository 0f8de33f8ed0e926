package core

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Latency estimates the distribution of recent durations. It is a histogram with four buckets per
// octave, so that a quantile is at most 25% too high, and its counts are halved every 2048
// durations. A duration that was cut off is a censored observation, known only to be longer;
// quantiles are product-limit estimates (Kaplan and Meier, JASA 53:457, 1958). The zero value is
// empty. A Latency is safe for concurrent use.
type Latency struct {
	n            atomic.Uint32 // sum of buckets and cutOff, except for concurrent changes
	isHalving    atomic.Bool   // the counts are being halved
	buckets      [octaves * perOctave]atomic.Uint32
	cutOff       [octaves * perOctave]atomic.Uint32
	slow         [octaves * perOctave]atomic.Uint32 // the part of cutOff that AddSlow has recorded
	typical      atomic.Int64                       // cached by Typical
	typicalCalls atomic.Uint32                      // calls of Typical
}

const (
	perOctave   = 4
	octaves     = 28 // from 1 µs to 268 s
	minBits     = 10 // log2 of the lower end in nanoseconds, about 1 µs
	quantileMin = 64 // durations required for a quantile
	guessMin    = 8  // durations required for a guess
	halving     = 2048
)

// Add records a duration.
func (l *Latency) Add(d time.Duration) { l.add(&l.buckets[bucket(d)]) }

// AddCutOff records a duration that was cut off at d.
func (l *Latency) AddCutOff(d time.Duration) { l.add(&l.cutOff[bucket(d)]) }

func (l *Latency) add(count *atomic.Uint32) {
	count.Add(1)
	if l.n.Add(1) >= halving && l.isHalving.CompareAndSwap(false, true) {
		l.halve()
		l.isHalving.Store(false)
	}
}

// halve halves the counts, without losing concurrent additions.
func (l *Latency) halve() {
	for i := range l.buckets {
		for _, count := range []*atomic.Uint32{&l.buckets[i], &l.cutOff[i]} {
			n := count.Load()
			gone := n - n/2
			count.Add(-gone)
			l.n.Add(-gone)
		}
		n := l.slow[i].Load()
		l.slow[i].Add(-(n - n/2))
	}
}

// Quantile returns the q-quantile of the durations, rounded up to the end of its bucket. It returns
// false if fewer than 64 durations are known, or if too many were cut off.
func (l *Latency) Quantile(q float64) (time.Duration, bool) {
	atRisk := float64(l.n.Load())
	if atRisk < quantileMin {
		return 0, false
	}
	const rounding = 1e-9
	longer := 1.0 // the share of the durations that exceed the bucket
	for i := range l.buckets {
		seen := float64(l.buckets[i].Load())
		if seen > 0 {
			if longer *= max(0, 1-seen/atRisk); longer <= 1-q+rounding {
				return upper(i), true
			}
		}
		if atRisk -= seen + float64(l.cutOff[i].Load()); atRisk <= 0 {
			break
		}
	}
	return 0, false
}

// Typical returns the 0.95-quantile, or zero while that is unknown. It is recomputed at every 64th
// call.
func (l *Latency) Typical() time.Duration {
	if l.typicalCalls.Add(1)%64 == 1 {
		if d, known := l.Quantile(0.95); known {
			l.typical.Store(int64(d))
		}
	}
	return time.Duration(l.typical.Load())
}

// Guess returns a duration that is unusually long, for use while Quantile returns false: three
// times the longest of at least eight durations, or zero if there are fewer.
func (l *Latency) Guess() time.Duration {
	seen, longest := uint32(0), 0
	for i := range l.buckets {
		if n := l.buckets[i].Load(); n > 0 {
			seen, longest = seen+n, i
		}
	}
	if seen < guessMin {
		return 0
	}
	return 3 * upper(longest)
}

// AddSlow records that n durations that were cut off at d were merely long: their replica has
// answered since.
func (l *Latency) AddSlow(d time.Duration, n int) { l.slow[bucket(d)].Add(uint32(n)) }

// Sample compares the durations with waited. Of those that were cut off it counts only the slow
// ones, so that attempts at an unhealthy replica do not make waited look normal. A duration in the
// same bucket counts as sooner.
func (l *Latency) Sample(waited time.Duration) (s Sample) {
	at := bucket(waited)
	for i := range l.buckets {
		n := int(l.buckets[i].Load())
		switch {
		case i > at:
			s.Later += n
		case n > 0:
			s.Sooner, s.Longest = s.Sooner+n, upper(i)
		}
		if i >= at {
			s.Later += int(l.slow[i].Load())
		}
	}
	return s
}

// bucket returns the index of the bucket of d: the octave, then the next two bits.
func bucket(d time.Duration) int {
	x := uint64(max(d, 1<<minBits)) >> (minBits - 2) // four steps in the first octave
	octave := bits.Len64(x) - 3
	i := octave*perOctave + int(x>>octave) - perOctave
	return min(i, octaves*perOctave-1)
}

// upper returns the upper end of a bucket.
func upper(i int) time.Duration {
	octave, step := i/perOctave, i%perOctave
	return time.Duration(perOctave+step+1) << (octave + minBits - 2)
}
