package workload

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/stats"
)

// The calls of every valid plan are due in order, within its bounds, and at the same times in every
// run.
func FuzzSchedule(f *testing.F) {
	f.Add(3.0, int64(time.Hour), 0, uint64(1), false)
	f.Add(MinRate, int64(0), 1000, uint64(1), true)
	f.Add(float64(MaxRate), int64(time.Millisecond), 7, uint64(0), true)
	f.Fuzz(func(t *testing.T, rate float64, duration int64, calls int, seed uint64, poisson bool) {
		p := Plan{Rate: rate, Duration: time.Duration(duration), Calls: calls, Seed: seed}
		if poisson {
			p.Arrivals = ArrivalsPoisson
		}
		if p.Rate == 0 || p.Validate() != nil {
			return
		}
		const most = 1000
		first := func() (times []time.Duration) {
			for at := range p.Due() {
				if times = append(times, at); len(times) == most {
					break
				}
			}
			return times
		}
		times := first()
		if !slices.IsSorted(times) || !slices.Equal(times, first()) || p.Calls > 0 && len(times) > p.Calls {
			t.Errorf("%+v: due at %v, then at %v", p, times, first())
		}
		for i, at := range times {
			if at < 0 || p.Duration > 0 && at >= p.Duration {
				t.Errorf("%+v: call %d is due at %v", p, i+1, at)
			}
			if want := float64(i) / rate * float64(time.Second); !poisson && math.Abs(float64(at)-want) > 1+want*1e-12 {
				t.Errorf("%+v: call %d is due at %v, want %v ns", p, i+1, at, want)
			}
		}
		if p.Duration == 0 && len(times) != min(p.Calls, most) {
			t.Errorf("%+v: %d calls", p, len(times))
		}
	})
}

// The error for an invalid plan is one line that names a field.
func FuzzValidate(f *testing.F) {
	f.Add(0, int64(0), 0, math.NaN(), 0, int64(0), 0)
	f.Add(1, int64(time.Second), -1, 0.0, -1, int64(time.Second), 2)
	f.Add(1, int64(0), 1, 0.0, 0, int64(0), 0)
	f.Fuzz(func(t *testing.T, calls int, duration int64, workers int, rate float64, underWay int, warmup int64, arrivals int) {
		p := Plan{Calls: calls, Duration: time.Duration(duration), Workers: workers, Rate: rate, MaxUnderWay: underWay,
			Warmup: time.Duration(warmup), Arrivals: Arrivals(arrivals)}
		err := p.Validate()
		if err == nil {
			if calls < 0 || duration < 0 || calls == 0 && duration == 0 || rate == 0 && workers < 1 || math.IsNaN(rate) || rate < 0 {
				t.Errorf("%+v is valid", p)
			}
			return
		}
		field, _, _ := strings.Cut(err.Error(), " ")
		fields := []string{"calls", "duration", "workers", "rate", "arrivals", "maxunderway", "warmup"}
		if !slices.Contains(fields, field) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: %q", p, err)
		}
	})
}

func FuzzArrivals(f *testing.F) {
	f.Add("constant")
	f.Add("poisson")
	f.Add("Poisson\n")
	f.Fuzz(func(t *testing.T, text string) {
		const before = Arrivals(-1)
		a := before
		err := a.UnmarshalText([]byte(text))
		if err == nil && a.String() != text || err != nil && (a != before || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%q is read as %v, %v", text, a, err)
		}
	})
}

// Compares the histogram with the sorted latencies.
func FuzzLatencies(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3}, int64(time.Millisecond))
	f.Add([]byte{255, 1, 255}, int64(24*time.Hour))
	f.Add([]byte{}, int64(1))
	f.Fuzz(func(t *testing.T, multiples []byte, unit int64) {
		const longest = 24 * time.Hour
		unit = min(max(unit, 0), int64(longest)) // so that no product overflows
		var l Latencies
		var sorted []time.Duration
		for _, m := range multiples {
			d := time.Duration(m) * time.Duration(unit)
			l.Add(d)
			sorted = append(sorted, min(d, longest))
		}
		slices.Sort(sorted)
		for _, q := range []float64{0.001, 0.5, 0.9, 0.99, 1} {
			// With few latencies, the histogram may return the one below, because it rounds the
			// rank.
			got, high := l.Quantile(q), stats.Quantile(sorted, q)
			low := stats.Quantile(sorted, q-1/float64(len(sorted)))
			if got < low-low/1000 || got > high+high/1000 {
				t.Errorf("quantile %v of %v is %v, want %v to %v", q, sorted, got, low, high)
			}
		}
	})
}
