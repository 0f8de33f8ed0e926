package simulate

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/labtest"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/supervisor/event"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
)

// simulate summarizes the simulated trials of a design.
func simulate(t testing.TB, d *design.Design) experiment.Summary {
	t.Helper()
	return simulateOn(t, d, DefaultModel())
}

// busy returns the model of a machine that is busy with other work.
func busy() Model {
	m := DefaultModel()
	for _, part := range []*Measurement{&m.RoundTrip, &m.Connect, &m.Refuse, &m.Notice, &m.Relaunch, &m.Boot} {
		part.Spread = Spread{0.5, 1, 10, 100, 1000}
	}
	return m
}

func simulateOn(t testing.TB, d *design.Design, m Model) experiment.Summary {
	t.Helper()
	run, err := (&Engine{Model: m}).Run(t.Context(), d, d.Trials())
	if err != nil {
		t.Fatal(err)
	}
	return experiment.Summarize(run)
}

// Whatever the cluster, the policy and the load, the records pass all checks.
func TestRecordsCanBeTrue(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	for n := range 300 {
		text := fmt.Sprintf("seed: %d\nrepeats: 2\nfactors:\n", n+1)
		for _, f := range [][]string{
			{"replicas", "1", "2", "3", "7"}, {"p_crash", "0", "0.05", "0.3", "1"}, {"crash_point", "arrival", "reply"},
			{"service_time", "0", "1ms", "uniform:5ms:500ms", "exp:100ms"}, {"capacity", "0", "1", "3"},
			{"restart_delay", "none", "0s", "100ms", "1s"}, {"timeout", "0s", "50ms", "1s"}, {"deadline", "100ms", "5s"},
			{"rounds", "1", "3"}, {"pause", "0s", "200ms"}, {"order", "first", "round-robin", "random", "least-in-flight"},
			{"when_down", "attempt", "wait"}, {"max_in_flight", "0", "1", "5", "adaptive"}, {"budget", "0", "0.2"},
			{"budget_per_second", "0", "5"}, {"budget_burst", "0", "2"}, {"eject_after", "0", "3"}, {"hedge_after", "0s", "20ms"}, {"only_unsent", "false", "true"},
		} {
			text += fmt.Sprintf("  %s: %s\n", f[0], pick(f[1:]...))
		}
		text += pick("  concurrency: 1\n  calls: 30\n", "  concurrency: 20\n  calls: 100\n", "  rate: 20\n  arrivals: poisson\n  duration: 5s\n  warmup: 1s\n")
		model := DefaultModel()
		if n%2 == 1 {
			model = busy()
		}
		for _, c := range simulateOn(t, labtest.Design(t, text), model).Cells {
			for _, trial := range c.Trials {
				for _, v := range trial.Violations {
					t.Fatalf("%s: %s in\n%s", v.Check, v.Detail, text)
				}
			}
		}
	}
}

// Without restarts and with one call at a time, the number of successes until all three replicas
// are down has a negative binomial distribution with the mean 3(1-p)/p.
func TestSuccessesUntilAllDown(t *testing.T) {
	const repeats, p = 400, 0.2
	d := labtest.Design(t, fmt.Sprintf("seed: 3\nrepeats: %d\nfactors: {calls: 200, concurrency: 1, p_crash: %v, timeout: 0s, pause: 0s, eject_after: 0}", repeats, p))
	sum := 0
	for _, trial := range simulate(t, d).Cells[0].Trials {
		sum += trial.Succeeded
	}
	want, deviation := 3*(1-p)/p, math.Sqrt(3*(1-p)/(p*p)/repeats)
	if mean := float64(sum) / repeats; math.Abs(mean-want) > 4*deviation {
		t.Errorf("%v successes on average, want %v ± %v", mean, want, deviation)
	}
}

// With one call in flight at each of n replicas and a restart delay d, the capacity is known: with
// q = (1-p)/p successes for each crash it is n·q / ((q+β)·E[S] + d + boot), where β is 1 if the
// crash comes after the work and 0 if it comes before.
func TestCapacity(t *testing.T) {
	for _, tt := range []struct {
		point string
		beta  float64
	}{{"arrival", 0}, {"reply", 1}} {
		d := labtest.Design(t, "seed: 4\nrepeats: 4\nfactors: {duration: 500s, deadline: 500s, concurrency: 20, p_crash: 0.3, restart_delay: 1s, service_time: 'uniform:50ms:500ms', "+
			"when_down: wait, max_in_flight: 1, order: least-in-flight, timeout: 0s, pause: 0s, rounds: 99, eject_after: 0, crash_point: "+tt.point+"}")
		var calls int
		for _, trial := range simulate(t, d).Cells[0].Trials {
			calls += trial.Succeeded
		}
		const q = 0.7 / 0.3
		want := 3 * q / ((q+tt.beta)*0.275 + 1 + 0.010)
		if got := float64(calls) / 2_000; math.Abs(got/want-1) > 0.03 {
			t.Errorf("%s: %.3f calls/s, want %.3f", tt.point, got, want)
		}
	}
}

// Virtual time advances even if calls fail at once.
func TestCallsThatFailAtOnce(t *testing.T) {
	seen := trialOf(t, "factors: {duration: 100ms, concurrency: 3, replicas: 1, max_in_flight: 1, rounds: 1, service_time: 20ms}")
	failed := 0
	for _, c := range seen.Calls {
		if c.Result != record.ResultOK {
			failed++
		}
	}
	if most := 2*int(100*time.Millisecond/turnaround) + 2; failed < most/2 || failed > most {
		t.Errorf("%d calls found no room, want nearly %d", failed, most)
	}
}

// The same seed gives the same trial.
func TestSameSeed(t *testing.T) {
	d := labtest.Design(t, "seed: 9\nrepeats: 1\nfactors: {calls: 200, concurrency: 10, p_crash: 0.3, restart_delay: 100ms, service_time: 'exp:20ms', order: random, when_down: wait}")
	e := &Engine{Model: DefaultModel()}
	var first string
	for range 3 {
		seen, err := e.Trial(t.Context(), d, d.Trials()[0], trials.Watch{})
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprint(seen.Calls)
		if first == "" {
			first = text
		}
		if text != first {
			t.Fatal("a second trial with the same seed has other calls")
		}
	}
}

// No time overflows, however long the times of the design are.
func TestLongestTimes(t *testing.T) {
	for _, text := range []string{
		"factors: {deadline: 8760h, timeout: 0s, service_time: 1s}\nschedule: [{at: 1s, signal: stop, replicas: [a]}, {at: 2s, signal: cont}]",
		"factors: {timeout: 8760h, deadline: 8760h, pause: 8760h, hedge_after: 8760h, service_time: 4000h, calls: 3, concurrency: 1}",
		"factors: {rate: 0.001, calls: 31536}",
	} {
		seen := trialOf(t, text)
		for _, c := range seen.Calls {
			if c.Result != record.ResultOK || c.Intended < 0 || c.Duration < 0 {
				t.Errorf("%s: %+v, want success", text, c)
				break
			}
		}
		if seen.Took < 0 || len(seen.Calls) == 0 {
			t.Errorf("%s: took %v, %d calls", text, seen.Took, len(seen.Calls))
		}
	}
	d := labtest.Design(t, "factors: {service_time: 8760h, timeout: 0s, calls: 5000, concurrency: 1}")
	_, err := (&Engine{Model: DefaultModel()}).Trial(t.Context(), d, d.Trials()[0], trials.Watch{})
	if err == nil || err.Error() != "the trial takes more than 100 simulated years: want fewer calls, or shorter times" {
		t.Errorf("5000 years: got %v, want an error", err)
	}
}

func TestInterruptedTrial(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := labtest.Design(t, "factors: {duration: 8000h, service_time: 1ms}")
	seen, err := (&Engine{Model: DefaultModel()}).Trial(ctx, d, d.Trials()[0], trials.Watch{})
	if err != nil || !seen.Interrupted {
		t.Errorf("%+v, %v", seen.Trial, err)
	}
}

// BenchmarkEvents measures the time of an event in clusters of several sizes, and the memory of a
// replica or a caller. Other processes affect events/s, but not events/cpu-s.
func BenchmarkEvents(b *testing.B) {
	for _, size := range []struct{ replicas, callers int }{{3, 10}, {9, 30}, {26, 100}, {1000, 10_000}, {10_000, 100_000}, {3, 1_000_000}, {10_000, 1_000_000}} {
		b.Run(fmt.Sprintf("replicas=%d/callers=%d", size.replicas, size.callers), func(b *testing.B) {
			d := labtest.Design(b, "repeats: 1\nfactors: {duration: 8000h, restart_delay: 1s, service_time: 'uniform:50ms:500ms', when_down: wait, "+
				"order: least-in-flight, timeout: 0s}")
			s := d.Cells[0].Settings
			s.Replicas, s.Concurrency = size.replicas, size.callers
			s.PCrash = 0.1 * float64(size.replicas) / float64(size.callers) // so that one attempt in ten is lost
			p, err := s.Policy().Virtual(methodName)
			if err != nil {
				b.Fatal(err)
			}
			p.MaxWaiting = size.callers
			before := heap()
			w := newWorld(DefaultModel(), s, d.Trials()[0], p)
			w.timeline.RunUntil(w.timeline.Now() + settle)
			w.began = w.timeline.Now()
			w.load.begin(w)
			for range 2 * (size.replicas + size.callers) {
				w.timeline.Step()
			}
			w.calls, w.events = nil, nil
			bytes := float64(heap()-before) / float64(size.replicas+size.callers)
			b.ReportAllocs()
			began := cpu(b)
			for b.Loop() {
				w.timeline.Step()
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(b.N)/(cpu(b)-began).Seconds(), "events/cpu-s")
			b.ReportMetric(bytes, "B/member")
			w.load.end()
		})
	}
}

// cpu returns the processor time of this process.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A process that crashes takes a while to close its connections. Attempts that are sent meanwhile
// are lost with the others, not before them.
func TestAttemptsAreLostTogether(t *testing.T) {
	m := DefaultModel()
	m.Notice = Measurement{Median: Span(5 * time.Millisecond)}
	d := labtest.Design(t, "repeats: 2\nfactors: {calls: 300, concurrency: 20, p_crash: 0.05, restart_delay: 50ms, service_time: 'uniform:1ms:9ms', when_down: wait, rounds: 99, timeout: 0s, pause: 0s}")
	late := 0
	for _, trial := range recordOf(t, d, m).Trials {
		exits := map[string]time.Duration{}
		name := func(replica string, incarnation int) string { return fmt.Sprint(replica, incarnation) }
		for _, e := range trial.Events {
			if p := e.Process; p != nil && p.Kind == event.KindExited {
				exits[name(p.Replica, p.Incarnation)] = e.At
			}
		}
		for _, c := range trial.Calls {
			for _, a := range c.Attempts {
				exit, crashed := exits[name(a.Replica, a.Incarnation)]
				if a.Outcome != failover.OutcomeLost || !crashed {
					continue
				}
				if after := a.End() - exit; after < time.Duration(m.Notice.Median)-time.Microsecond {
					t.Errorf("trial %d, call %d: lost %v after the crash, want %v", trial.Number, c.Number, after, m.Notice.Median)
				}
				if a.Start > exit {
					late++
				}
			}
		}
	}
	if late == 0 {
		t.Error("no attempt was sent after a crash")
	}
}
