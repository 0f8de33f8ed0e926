package stats

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > 1e-3*max(1, math.Abs(want)) {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func warned(i Interval, word string) bool {
	return slices.ContainsFunc(i.Warnings, func(w string) bool { return strings.Contains(w, word) })
}

// Computed by hand: mean 12, standard error 1, t 4.303 with two degrees of freedom.
func TestStudent(t *testing.T) {
	i := Values([]float64{12 - math.Sqrt(3), 12, 12 + math.Sqrt(3)}).Interval()
	near(t, "estimate", i.Estimate, 12)
	near(t, "low", i.Low, 12*math.Exp(-4.3027/12))
	near(t, "high", i.High, 12*math.Exp(4.3027/12))
	if i.N != 3 || i.Level != 0.95 || i.Method != "t, log scale" || !warned(i, "few trials (3)") {
		t.Errorf("%+v", i)
	}
	i = Values([]float64{-math.Sqrt(3), 0, math.Sqrt(3)}).Interval()
	near(t, "low of values of both signs", i.Low, -4.3027)
}

// Runs of different lengths weigh by their calls.
func TestShareIsOfAllCalls(t *testing.T) {
	i := Sample{Kind: KindShare, Runs: []Run{{10, 100}, {9, 10}, {0, 0}, {10, 10}, {5, 10}, {6, 10}}}.Interval()
	near(t, "estimate", i.Estimate, 40.0/140)
	if i.N != 5 {
		t.Errorf("%d runs, want 5, without the one that has no calls", i.N)
	}
}

func TestEqualRuns(t *testing.T) {
	all := Sample{Kind: KindShare, Runs: slices.Repeat([]Run{{50, 50}}, 10)}.Interval()
	near(t, "low of 500 of 500", all.Low, 1-3.689/500)
	near(t, "high", all.High, 1)
	if !warned(all, "counts their calls as independent") {
		t.Errorf("warnings %q", all.Warnings)
	}
	none := Sample{Kind: KindShare, Runs: slices.Repeat([]Run{{0, 50}}, 10)}.Interval()
	near(t, "low of 0 of 500", none.Low, 0)
	near(t, "high", none.High, 3.689/500)
	part := Sample{Kind: KindShare, Runs: []Run{{5, 50}, {10, 100}}}.Interval()
	near(t, "low of 15 of 150", part.Low, 0.0571)
	near(t, "high", part.High, 0.1596)

	rate := Sample{Kind: KindRate, Runs: slices.Repeat([]Run{{50, 50}}, 2)}.Interval()
	near(t, "low of 100 events in 100", rate.Low, 0.8136)
	near(t, "high", rate.High, 1.2163)

	for _, mean := range []Interval{Values([]float64{2, 2, 2}).Interval(), Values([]float64{2}).Interval()} {
		if mean.Low != 0 || mean.Bounded() || len(mean.Warnings) == 0 {
			t.Errorf("%+v: want no upper end, and a warning", mean)
		}
	}
	one := Sample{Kind: KindShare, Runs: []Run{{20, 50}}}.Interval()
	if one.Low != 0 || one.High != 1 || !warned(one, "one trial") {
		t.Errorf("%+v: want a single run to be unbounded", one)
	}
	if zero := (Sample{}).Interval(); zero.N != 0 || zero.Level != 0 {
		t.Errorf("%+v: want the zero Interval", zero)
	}
}

func TestIntervalsStayWithinLimits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		s := Sample{Kind: Kind(r.IntN(3))}
		for range 1 + r.IntN(25) {
			of := 1 + float64(r.IntN(50))
			s.Runs = append(s.Runs, Run{math.Round(of * math.Pow(r.Float64(), 0.1)), of})
		}
		i := s.Interval()
		if !(0 <= i.Low && i.Low <= i.Estimate && i.Estimate <= i.High) || s.Kind == KindShare && i.High > 1 {
			t.Fatalf("%v: %+v", s, i)
		}
		if i.Low == i.High {
			t.Fatalf("%v: no width: %+v", s, i)
		}
	}
}

// Cases in which a plain bootstrap-t has an infinite or absurd end.
func TestRunsEqualExceptForFew(t *testing.T) {
	s := Sample{Kind: KindShare, Runs: append(slices.Repeat([]Run{{50, 50}}, 18), Run{49, 50}, Run{45, 50})}
	i := s.Interval()
	if i.Low < 0.95 || i.High > 1 || i.High < 0.999 || !warned(i, "only 2 of 20") || i.Method != "bootstrap-t, bounded" {
		t.Errorf("%+v", i)
	}
	slow := []float64{1.01, 0.99, 1.02, 1, 0.98, 1.01, 1.03, 0.97, 1, 9}
	if i := Values(slow).Interval(); i.High > 15 || i.Low <= 0 || i.Low > 1 || !warned(i, "spread") {
		t.Errorf("%+v", i)
	}
}

// Compares the sums of a single pass with the estimates of the samples drawn.
func TestStudentizedAgainstThePlainFormula(t *testing.T) {
	for _, w := range []world{clustered(0.9, 10, 50), retries(), normally(1000, 0.01), crashes(0.6)} {
		e := w.sample(rand.New(rand.NewPCG(4, 4)), 12).estimate()
		draw := rand.New(rand.NewPCG(1, 2))
		var want []float64
		for range resamples {
			drawn := Sample{Kind: w.kind}
			for range e.n {
				drawn.Runs = append(drawn.Runs, e.runs[draw.IntN(e.n)])
			}
			if d := drawn.estimate(); !d.equal {
				want = append(want, (d.value-e.value)/d.err)
			}
		}
		slices.Sort(want)
		got := slices.DeleteFunc(e.studentized(), func(x float64) bool { return math.IsInf(x, 0) })
		if len(got) != len(want) {
			t.Fatalf("%s: %d finite values, want %d", w.name, len(got), len(want))
		}
		for i := range got {
			if math.Abs(got[i]-want[i]) > 1e-6*max(1, math.Abs(want[i])) {
				t.Fatalf("%s: value %d is %v, want %v", w.name, i, got[i], want[i])
			}
		}
	}
}

// In a difference, the bootstrap also has Welch's degrees of freedom.
func TestBootstrapReachesByDegreesOfFreedom(t *testing.T) {
	e := normally(10, 1).sample(rand.New(rand.NewPCG(4, 4)), 10).estimate()
	alone, _, _, _ := e.bootstrapped(9)
	with, _, _, _ := e.bootstrapped(18)
	near(t, "share of its reach", (e.value-with)/(e.value-alone), 2.1009/2.2622)
}

func TestTheSameRunsGiveTheSameInterval(t *testing.T) {
	s := crashes(0.3).sample(rand.New(rand.NewPCG(1, 1)), 15)
	if a, b := s.Interval(), s.Interval(); a.Low != b.Low || a.High != b.High || a.Method != "bootstrap-t" {
		t.Errorf("%+v, then %+v", a, b)
	}
}

func TestDifference(t *testing.T) {
	low, high := Values([]float64{10, 11, 12, 10, 11}), Values([]float64{20, 21, 22, 20, 21})
	up := Difference(low, high)
	near(t, "estimate", up.Estimate, 10)
	if up.Sign() != 1 || Difference(high, low).Sign() != -1 || Difference(low, low).Sign() != 0 {
		t.Errorf("up %+v, down %+v", up, Difference(high, low))
	}
	// Welch's t has 8 degrees of freedom here, and standard error 0.529: on the log scale it
	// differs a little.
	if reach := up.High - 10; reach < 1.1 || reach > 1.4 {
		t.Errorf("reaches %v up, want about 2.306·0.529 = 1.22", reach)
	}
	if d := Difference(low, Values([]float64{50})); d.Sign() != 0 || !warned(d, "one trial") {
		t.Errorf("against a single run: %+v", d)
	}
	all := Sample{Kind: KindShare, Runs: slices.Repeat([]Run{{50, 50}}, 5)}
	if d := Difference(all, all); d.Sign() != 0 || d.Low == d.High || d.Low < -0.03 {
		t.Errorf("of equal runs: %+v", d)
	}
	none := Sample{Kind: KindShare, Runs: slices.Repeat([]Run{{0, 50}}, 5)}
	if d := Difference(all, none); d.Sign() != -1 || d.Low < -1 {
		t.Errorf("from all to none: %+v", d)
	}
	if d := Difference(low, Sample{}); d.N != 0 {
		t.Errorf("against no run: %+v", d)
	}
}

// The number of successes among 50 calls is their share times 50.
func TestTimes(t *testing.T) {
	share := Sample{Kind: KindShare, Runs: []Run{{10, 50}, {20, 50}, {15, 50}}}
	many := share
	many.Times = 50
	s, m := share.Interval(), many.Interval()
	near(t, "estimate", m.Estimate, 15)
	near(t, "low", m.Low, 50*s.Low)
	near(t, "high", m.High, 50*s.High)
	if a, b := share.RunsNeeded(0.02), many.RunsNeeded(1); a != b {
		t.Errorf("%d runs to know the share, %d to know the number", a, b)
	}
	// Both have the same spread, so there are four degrees of freedom, and the difference reaches
	// about 11; with two, 17.
	d := Difference(many, Values([]float64{10, 20, 15}))
	near(t, "difference from runs of another kind", d.Estimate, 0)
	if d.Low < -13 || d.Low > -9 {
		t.Errorf("%+v", d)
	}
}

func TestDesignEffect(t *testing.T) {
	whole := Sample{Kind: KindShare, Runs: []Run{{50, 50}, {0, 50}, {50, 50}, {0, 50}}} // each run counts as one call, so four in total
	near(t, "of runs that fail as one", whole.DesignEffect(), 50*4.0/3)
	r := rand.New(rand.NewPCG(2, 2))
	near(t, "of independent calls", math.Round(10*clustered(0.5, 1.0001, 50).sample(r, 4000).DesignEffect())/10, 1)
	near(t, "of calls that fail together", math.Round(clustered(0.5, 8, 50).sample(r, 4000).DesignEffect()), 8)
	if e := (Sample{Kind: KindShare, Runs: []Run{{50, 50}, {50, 50}}}).DesignEffect(); e != 0 {
		t.Errorf("of equal runs: %v, want zero", e)
	}
}

func TestRunsNeeded(t *testing.T) {
	s := Values([]float64{9, 10, 11}) // deviation 1
	for _, tc := range []struct {
		half float64
		want int
	}{{0.1, 387}, {0.5, 18}, {1, 7}, {100, 2}, {0, 0}} {
		if got := s.RunsNeeded(tc.half); got != tc.want {
			t.Errorf("±%v: %d runs, want %d", tc.half, got, tc.want)
		}
	}
	all := Sample{Kind: KindShare, Runs: []Run{{50, 50}, {50, 50}}}
	if got := all.RunsNeeded(0.01); got != 8 { // 367.0 calls
		t.Errorf("of equal shares: %d runs, want 8", got)
	}
	if got := Values([]float64{2, 2}).RunsNeeded(1); got != 0 {
		t.Errorf("of equal values: %d, want zero", got)
	}
	if got := s.RunsNeeded(1e-9); got < 1e9 {
		t.Errorf("±1e-9: %d", got)
	}
}

func TestIntervalAsJSON(t *testing.T) {
	text, err := json.Marshal(Values([]float64{2}).Interval())
	want := `{"estimate":2,"low":0,"high":null,"level":0.95,"n":1,"method":"none",` +
		`"warnings":["one trial: how much trials differ is unknown"]}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v\nwant %s", text, err, want)
	}
}

func BenchmarkInterval(b *testing.B) {
	s := crashes(0.3).sample(rand.New(rand.NewPCG(1, 1)), 20)
	for b.Loop() {
		s.Interval()
	}
}
