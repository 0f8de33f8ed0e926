package workload

import (
	"math"
	"slices"
	"testing"
	"time"
)

// due returns when the calls of the plan are due.
func due(p Plan) []time.Duration { return slices.Collect(p.Due()) }

func TestConstantArrivals(t *testing.T) {
	times := due(Plan{Rate: 3, Duration: 1000 * time.Second})
	if len(times) != 3000 || times[0] != 0 {
		t.Fatalf("%d calls, the first at %v; want 3000 from the start", len(times), times[0])
	}
	for i, at := range times { // without drift, though a third of a second is not a whole number of nanoseconds
		if want := time.Duration(i) * time.Second / 3; (at - want).Abs() > 1 {
			t.Fatalf("call %d is due at %v, want %v", i+1, at, want)
		}
	}
	if n := len(due(Plan{Rate: 3, Duration: time.Hour, Calls: 7})); n != 7 {
		t.Errorf("%d calls, want the 7 of the plan", n)
	}
}

func TestPoissonArrivals(t *testing.T) {
	p := Plan{Rate: 50, Arrivals: ArrivalsPoisson, Seed: 1, Calls: 100_000}
	times := due(p)
	if !slices.Equal(times, due(p)) {
		t.Error("different times for the same seed")
	}
	p.Seed = 2
	if slices.Equal(times, due(p)) {
		t.Error("the same times for another seed")
	}
	// The mean and the standard deviation of an exponential distribution are equal.
	var sum, squares float64
	last := time.Duration(0)
	for _, at := range times {
		gap := (at - last).Seconds()
		sum, squares, last = sum+gap, squares+gap*gap, at
	}
	n := float64(len(times))
	mean := sum / n
	deviation := math.Sqrt(squares/n - mean*mean)
	if math.Abs(mean*50-1) > 0.02 || math.Abs(deviation*50-1) > 0.02 {
		t.Errorf("the times between calls have mean %v and standard deviation %v, want 0.02 s", mean, deviation)
	}
}

func TestArrivalsText(t *testing.T) {
	for _, a := range []Arrivals{ArrivalsConstant, ArrivalsPoisson} {
		got := Arrivals(-1)
		if err := got.UnmarshalText([]byte(a.String())); err != nil || got != a {
			t.Errorf("%v is read as %v, %v", a, got, err)
		}
	}
	var a Arrivals
	if err := a.UnmarshalText([]byte("uniform")); err == nil || err.Error() != `"uniform": want constant or poisson` {
		t.Errorf("got %v", err)
	}
	if got := Arrivals(7).String(); got != "Arrivals(7)" {
		t.Errorf("got %s", got)
	}
}
