package lab

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"example.com/crashlab/client/experiment/labtest"

	"gonum.org/v1/gonum/stat"

	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/services/fault"
)

// With one caller, the same seed gives every call the same outcome every time.
func TestSameSeedSameOutcomes(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: a second of real clusters")
	}
	repeats := 5
	if *soak {
		repeats = 50
	}
	for name, text := range map[string]string{
		"no restart":          "{calls: 40, concurrency: 1, p_crash: 0.15, timeout: 0s, pause: 0s}",
		"restart and waiting": "{calls: 15, concurrency: 1, p_crash: 0.2, timeout: 0s, replicas: 1, restart_delay: 1ms, when_down: wait, rounds: 99, pause: 0s}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := labtest.Design(t, "seed: 11\nrepeats: 1\nfactors: "+text)
			trial := d.Trials()[0]
			l := Lab{Counterd: counterd}
			var first string
			for i := range repeats {
				seen, err := l.Trial(t.Context(), d, trial, trials.Watch{})
				if err != nil {
					t.Fatal(err)
				}
				got := outcomes(seen.Calls)
				if i == 0 {
					first = got
				}
				if got != first {
					t.Fatalf("outcomes of run %d:\n%s\nof run 1:\n%s", i+1, got, first)
				}
			}
			if !strings.Contains(first, "lost") {
				t.Errorf("no crash in\n%s", first)
			}
		})
	}
}

// With one caller and no relaunch, a simulated trial and a real one of the same seed have the same
// outcomes. The test leaves out orders that each client draws at random, such as least-in-flight
// among equals.
func TestSameSeedSimulated(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: a second of real clusters")
	}
	t.Parallel()
	repeats := 3
	if *soak {
		repeats = 50
	}
	d := labtest.Design(t, fmt.Sprintf("seed: 5\nrepeats: %d\n", repeats)+`
factors: {calls: 40, concurrency: 1, p_crash: 0.1, timeout: 0s, pause: 0s, service_time: 'uniform:1ms:5ms'}
rows:
  - {name: original}
  - {name: round robin and one round, order: round-robin, rounds: 1}
  - {name: crash before the reply, crash_point: reply, order: sticky}
`)
	real, simulated := Lab{Counterd: counterd}, simulate.Engine{Model: simulate.DefaultModel()}
	for _, trial := range d.Trials() {
		measured, err := real.Trial(t.Context(), d, trial, trials.Watch{})
		if err != nil {
			t.Fatal(err)
		}
		predicted, err := simulated.Trial(t.Context(), d, trial, trials.Watch{})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := outcomes(predicted.Calls), outcomes(measured.Calls); got != want {
			t.Errorf("%s, repeat %d: simulated\n%s\nmeasured\n%s", d.Cells[trial.Cell].Title(), trial.Repeat, got, want)
		}
	}
}

// outcomes returns a line for each call with its result and the outcomes of its attempts.
func outcomes(calls []record.Call) string {
	var b strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&b, "%d %v", c.Number, c.Result)
		for _, a := range c.Attempts {
			fmt.Fprintf(&b, " %s %v", a.Replica, a.Outcome)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Without restarts and with one call at a time, each of three replicas answers until the request at
// which its seed makes it crash.
func TestSuccessesUntilAllDown(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: a second of real clusters")
	}
	t.Parallel()
	seen := run(t, t.Context(), `
repeats: 3
parallel: 2
factors: {p_crash: [0.1, 0.2, 0.3, 0.6], concurrency: 1, max_in_flight: 1, rounds: 1, timeout: 0s, calls: 150}
`)
	if len(seen.Trials) != 12 {
		t.Errorf("%d trials, want 12", len(seen.Trials))
	}
	for _, trial := range seen.Trials {
		n := 0
		for _, c := range trial.Calls {
			if c.Result == record.ResultOK {
				n++
			}
		}
		p := seen.Manifest.Design.Cells[trial.Cell].Settings.PCrash
		if want := min(answersUntilAllDown(trial.Seed, p), 150); n != want {
			t.Errorf("trial %d, p_crash %v: %d calls succeeded, want %d", trial.Number, p, n, want)
		}
	}
}

// answersUntilAllDown returns how many requests three replicas with the seed answer before each has
// crashed.
func answersUntilAllDown(seed uint64, pCrash float64) int {
	n := 0
	for _, replica := range []string{"a", "b", "c"} {
		plan := fault.Plan{Seed: seed, Replica: replica, Incarnation: 1}
		for k := uint64(1); plan.Draws(k).Crash >= pCrash; k++ {
			n++
		}
	}
	return n
}

// Over the trials of a design, the number of calls that succeed until all replicas are down has the
// mean 3(1−p)/p, that of three geometric distributions.
func TestMeanSuccessesUntilAllDown(t *testing.T) {
	const repeats = 2000
	trials := labtest.Design(t, fmt.Sprintf("repeats: %d", repeats)).Trials()
	for _, p := range []float64{0.1, 0.2, 0.3, 0.6} {
		successes := make([]float64, len(trials))
		for i, trial := range trials {
			successes[i] = float64(answersUntilAllDown(trial.Seed, p))
		}
		mean, sd := stat.MeanStdDev(successes, nil)
		if want, allowed := 3*(1-p)/p, 3*sd/math.Sqrt(repeats); math.Abs(mean-want) > allowed {
			t.Errorf("p_crash %v: mean %.2f calls, want %.2f ± %.2f", p, mean, want, allowed)
		}
	}
}
