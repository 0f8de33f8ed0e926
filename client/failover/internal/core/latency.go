package core

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Latency learns the distribution of the lately seen durations: a histogram with four buckets to
// the octave, so that a quantile is at most 25% too high, whose counts are halved every 2048
// durations. A duration that was cut off is a censored observation: it counts as one that is
// longer, by the product-limit estimate (Kaplan and Meier, JASA 53:457, 1958), and not as one that
// was seen. Safe for concurrent use; the zero value knows nothing.
type Latency struct {
	n       atomic.Uint32 // in all buckets, but for what is on its way
	forgets atomic.Bool   // somebody halves the counts
	buckets [octaves * perOctave]atomic.Uint32
	cutOff  [octaves * perOctave]atomic.Uint32
	slow    [octaves * perOctave]atomic.Uint32 // some of cutOff
	typical atomic.Int64
	asked   atomic.Uint32 // for it
}

const (
	perOctave = 4
	octaves   = 28 // from 1 µs to 268 s
	unit      = 10 // 1<<unit ns is the lower end, near enough to a microsecond
	known     = 64 // durations that a quantile needs
	few       = 8  // durations that a guess needs
	halving   = 2048
)

// Add notes a duration.
func (l *Latency) Add(d time.Duration) { l.add(&l.buckets[bucket(d)]) }

// AddCutOff notes that a duration would have been longer than d.
func (l *Latency) AddCutOff(d time.Duration) { l.add(&l.cutOff[bucket(d)]) }

func (l *Latency) add(count *atomic.Uint32) {
	count.Add(1)
	if l.n.Add(1) >= halving && l.forgets.CompareAndSwap(false, true) {
		l.halve()
		l.forgets.Store(false)
	}
}

// halve forgets half of what is known, and nothing of what is added meanwhile.
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

// Quantile returns the least duration that the share q of the durations did not exceed, rounded up
// to the end of its bucket. It returns false until 64 durations are known, and where too many were
// cut off to tell.
func (l *Latency) Quantile(q float64) (time.Duration, bool) {
	atRisk := float64(l.n.Load())
	if atRisk < known {
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

// Typical returns how long nearly all of what is timed takes: the quantile of 0.95, as it was at
// one of the last 64 questions; zero until that is known.
func (l *Latency) Typical() time.Duration {
	if l.asked.Add(1)%64 == 1 {
		if d, known := l.Quantile(0.95); known {
			l.typical.Store(int64(d))
		}
	}
	return time.Duration(l.typical.Load())
}

// Guess returns the time beyond which a duration is unusual where too little is known for a
// quantile: three times the longest of at least eight durations; zero before.
func (l *Latency) Guess() time.Duration {
	seen, longest := uint32(0), 0
	for i := range l.buckets {
		if n := l.buckets[i].Load(); n > 0 {
			seen, longest = seen+n, i
		}
	}
	if seen < few {
		return 0
	}
	return 3 * upper(longest)
}

// AddSlow notes that n durations that were cut off at d were no more than long: what they belong to
// has answered since.
func (l *Latency) AddSlow(d time.Duration, n int) { l.slow[bucket(d)].Add(uint32(n)) }

// Sample compares the durations with one of them. Of those that were cut off, it counts the slow
// ones, so that a replica that is ill does not speak for itself or for others. One that is nearly
// as long counts as sooner.
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
