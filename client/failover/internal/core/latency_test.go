package core

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// A quantile is never below the exact one, and at most a quarter above it.
func TestQuantileIsNearExactOne(t *testing.T) {
	for name, draw := range map[string]func(*rand.Rand) time.Duration{
		"even": func(r *rand.Rand) time.Duration { return time.Duration(r.Int64N(int64(time.Second))) },
		"long tail": func(r *rand.Rand) time.Duration {
			return time.Duration(math.Exp(r.NormFloat64()*2) * float64(time.Millisecond))
		},
		"two kinds":  func(r *rand.Rand) time.Duration { return []time.Duration{time.Millisecond, time.Minute}[r.IntN(20)/19] },
		"all alike":  func(*rand.Rand) time.Duration { return 7 * time.Millisecond },
		"very short": func(r *rand.Rand) time.Duration { return time.Duration(1024 + r.IntN(1024)) },
	} {
		t.Run(name, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 3))
			for _, n := range []int{quantileMin, quantileMin + 1, 500, halving - 1} {
				var l Latency
				var all []time.Duration
				for range n {
					d := draw(rnd)
					l.Add(d)
					all = append(all, d)
				}
				slices.Sort(all)
				for _, q := range []float64{0.01, 0.5, 0.9, 0.95, 0.99, 0.999} {
					exact := max(all[int(math.Ceil(q*float64(n)))-1], 1<<minBits)
					got, ok := l.Quantile(q)
					if !ok || got < exact || float64(got) > 1.25*float64(exact) {
						t.Errorf("of %d the quantile %v: got %v, %v, want %v or up to a quarter more", n, q, got, ok, exact)
					}
				}
			}
		})
	}
}

func TestQuantileNeeds64(t *testing.T) {
	var l Latency
	for n := range quantileMin {
		if d, ok := l.Quantile(0.5); ok {
			t.Fatalf("got %v of %d durations, want none before %d", d, n, quantileMin)
		}
		l.Add(time.Millisecond)
	}
	if _, ok := l.Quantile(0.5); !ok {
		t.Errorf("got none of %d durations", quantileMin)
	}
}

// Before a quantile is known, the guess is based on the longest of a few durations.
func TestLatencyGuess(t *testing.T) {
	l := new(Latency)
	for i := range guessMin {
		if got := l.Guess(); got != 0 {
			t.Errorf("%v after %d durations, want no guess", got, i)
		}
		l.Add(10 * ms)
	}
	l.AddCutOff(time.Second)
	if got := l.Guess(); got < 30*ms || got > 37500*time.Microsecond {
		t.Errorf("%v, want 30 to 37.5 ms", got)
	}
}

// Durations outside the range count as its ends.
func TestLatencyOfAnyLength(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{-1: 1280, 0: 1280, math.MaxInt64: 8 << (octaves + minBits - 3)} {
		var l Latency
		for range quantileMin {
			l.Add(d)
		}
		if got, _ := l.Quantile(0.5); got != want {
			t.Errorf("of %v: got %v, want %v", d, got, want)
		}
	}
}

// Old durations are outweighed by as many new ones.
func TestLatencyForgets(t *testing.T) {
	var l Latency
	for range 10 * halving {
		l.Add(time.Millisecond)
	}
	for range halving {
		l.Add(time.Second)
	}
	if d, _ := l.Quantile(0.5); d < time.Second {
		t.Errorf("the median is %v, want 1s or a little more", d)
	}
	for range halving {
		l.Add(time.Millisecond)
	}
	if d, _ := l.Quantile(0.5); d > 2*time.Millisecond {
		t.Errorf("the median is %v, want 1ms or a little more", d)
	}
}

// No duration is lost or counted twice, and the total stays correct when counts are halved. A
// quantile never exceeds the longest duration.
func TestLatencyIsExactUnderConcurrency(t *testing.T) {
	for _, each := range []int{(halving - 1) / 16, 2000} {
		var l Latency
		var group sync.WaitGroup
		for range 16 {
			group.Go(func() {
				for i := range each {
					l.Add(time.Duration(1+i%100) * time.Millisecond)
					if d, ok := l.Quantile(0.999); ok && d > 125*time.Millisecond {
						t.Errorf("got %v of durations up to 100ms", d)
						return
					}
				}
			})
		}
		group.Wait()
		sum := uint32(0)
		for i := range l.buckets {
			sum += l.buckets[i].Load()
		}
		if n := l.n.Load(); n != sum || n >= halving || each*16 < halving && int(n) != each*16 {
			t.Errorf("%d durations added, %d counted, %d in the buckets", each*16, n, sum)
		}
	}
}
