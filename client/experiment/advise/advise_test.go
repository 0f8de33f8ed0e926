package advise

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/stats"
	"example.com/crashlab/services/fault"
)

// question returns a question that is quick to answer.
func question(t testing.TB, change func(*Question)) Question {
	t.Helper()
	s := design.Defaults()
	s.PCrash, s.RestartDelay, s.Concurrency = 0.2, 200*time.Millisecond, 3
	if err := s.ServiceTime.UnmarshalText([]byte("uniform:10ms:50ms")); err != nil {
		t.Fatal(err)
	}
	q := Question{Goal: Goal{Success: 0.9, P99: 2 * time.Second}, Settings: s, Model: simulate.DefaultModel(), Seed: 1}
	if change != nil {
		change(&q)
	}
	return q
}

func find(t testing.TB, q Question) *Answer {
	t.Helper()
	a, err := Find(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// The advice meets the goal by the ends of its intervals, even with another seed. The next best
// meet it too and are not cheaper.
func TestAdvice(t *testing.T) {
	t.Parallel()
	q := question(t, nil)
	a := find(t, q)
	if !a.Possible || len(a.Next) != 2 || len(a.Uses) < 2 {
		t.Fatalf("%+v", a)
	}
	for _, c := range append([]Candidate{a.Best}, a.Next...) {
		if success, p99 := c.Metrics[design.Success], c.Metrics[design.P99]; !c.Held || success.Low < 0.9 || p99.High > 2 {
			t.Errorf("%v: %+v, %+v", Policy(c.Settings), success, p99)
		}
		if !a.Best.Safe || c.Safe && c.attempts() < a.Best.attempts()*(1-alike) {
			t.Errorf("%v: %v attempts per call; the best, safe %v, has %v", Policy(c.Settings), c.attempts(), a.Best.Safe, a.Best.attempts())
		}
	}
	other := &search{Question: q, engine: simulate.Engine{Model: q.Model}}
	other.Seed = 77
	if again, err := other.try(t.Context(), a.Best.Settings, 24); err != nil || !again.Held {
		t.Errorf("with another seed: %+v, %v", again, err)
	}
	if !slices.IsSortedFunc(a.Uses, func(a, b Use) int { return -int(math.Copysign(1, a.Share-b.Share)) }) {
		t.Errorf("uses %v are not in descending order", a.Uses)
	}
}

// A candidate without a margin is not safe and ranks behind one that is, whatever their cost.
func TestSafe(t *testing.T) {
	t.Parallel()
	q := question(t, func(q *Question) { q.Settings.PCrash, q.Settings.ServiceTime = 0, parse("uniform:10ms:50ms") })
	for p99, want := range map[time.Duration]bool{60 * time.Millisecond: true, 52 * time.Millisecond: false} {
		q.Goal.P99 = p99
		s := &search{Question: q, engine: simulate.Engine{Model: q.Model}}
		if c, err := s.try(t.Context(), q.plain(q.Settings), 8); err != nil || !c.Held || c.Safe != want {
			t.Errorf("p99 %v: %+v, %v; want held, and safe %v", p99, c, err, want)
		}
	}
	costs := func(attempts float64) map[design.Metric]stats.Interval {
		return map[design.Metric]stats.Interval{design.Attempts: {Estimate: attempts}}
	}
	of := []Candidate{{Metrics: costs(1)}, {Metrics: costs(2), Held: true}, {Metrics: costs(3), Held: true, Safe: true}}
	if ranked := q.rank(of); ranked[0].attempts() != 3 || ranked[1].attempts() != 2 || ranked[2].attempts() != 1 {
		t.Errorf("ranked %+v, want the safe one first, then the one that held", ranked)
	}
}

// The times of a reason have one unit.
func TestReasonsHaveOneUnit(t *testing.T) {
	for _, tc := range []struct {
		goal                time.Duration
		estimate, low, high float64
		want                string
	}{
		{720 * time.Millisecond, 0.8714, 0.86, 0.9, "p99 871ms at best, 720ms asked"},
		{880 * time.Millisecond, 1.17, 0.96, 1.2, "p99 1.17s at best, 0.88s asked"},
		{720 * time.Millisecond, 0.7, 0.526, 2.08, "p99 0.526 to 2.08s at best, 0.72s asked"},
		{50 * time.Millisecond, 0.04, 0.031, 0.052, "p99 31 to 52ms at best, 50ms asked"},
	} {
		q := Question{Goal: Goal{P99: tc.goal}, Settings: design.Defaults()}
		c := Candidate{Metrics: map[design.Metric]stats.Interval{design.P99: {Estimate: tc.estimate, Low: tc.low, High: tc.high, N: 1}}}
		if got := q.reasons(c, 0); len(got) != 1 || got[0] != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}

// The same seed gives the same answer, although several goroutines search for it.
func TestSameSeedSameAdvice(t *testing.T) {
	t.Parallel()
	q := question(t, nil)
	if a, b := find(t, q), find(t, q); !reflect.DeepEqual(a, b) {
		t.Errorf("two answers with the same seed:\n%+v\n%+v", a, b)
	}
}

// Replicas that do not crash need nothing but a deadline, even if all trials are equal.
func TestNoCrashes(t *testing.T) {
	t.Parallel()
	for _, service := range []string{"uniform:10ms:50ms", "10ms"} {
		a := find(t, question(t, func(q *Question) { q.Settings.PCrash, q.Settings.ServiceTime = 0, parse(service) }))
		if policy := Policy(a.Best.Settings); !a.Possible || len(policy) != 1 || policy[0].Factor != "deadline" {
			t.Errorf("service time %s: possible %v, policy %v; want only a deadline", service, a.Possible, policy)
		}
	}
}

func TestFindRefuses(t *testing.T) {
	for want, change := range map[string]func(*Question){
		"no goal": func(q *Question) { q.Goal = Goal{} },
		"p_crash 1: want less, as every request crashes its replica":                                                   func(q *Question) { q.Settings.PCrash = 1 },
		"success 1: want less than 1":                                                                                  func(q *Question) { q.Goal.Success = 1 },
		"success 0.9999999: want 0.999975 or less, as the search makes no more than 160000 calls of a policy":          func(q *Question) { q.Goal.Success = 0.9999999 },
		"concurrency 2000: want 1000 or less, as a trial of the search has up to 5000 calls":                           func(q *Question) { q.Settings.Concurrency = 2000 },
		"restart_delay 10h0m0s: want 1h or less, or none":                                                              func(q *Question) { q.Settings.RestartDelay = 10 * time.Hour },
		"rate 50000: want 32000 or less with a restart delay of 200ms, as a trial of the search has up to 20000 calls": func(q *Question) { q.Settings.Rate = 50000 },
		"p99 5ms: want 10.3ms or more, as a request takes 10ms or more and its way 300µs":                              func(q *Question) { q.Goal.P99 = 5 * time.Millisecond },
	} {
		if _, err := Find(t.Context(), question(t, change)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// With one call in flight at each of n replicas that crash before the work, the capacity is known:
// n·q / (q·E[S] + d + boot), where q is (1-p)/p and d the restart delay. At this crash probability
// no other limit does better.
func TestCapacityHasClosedForm(t *testing.T) {
	t.Parallel()
	q := question(t, func(q *Question) {
		q.Settings.PCrash, q.Settings.RestartDelay, q.Settings.Rate = 0.3, time.Second, 6
		q.Settings.ServiceTime = parse("uniform:50ms:500ms")
	})
	s := &search{Question: q, engine: simulate.Engine{Model: q.Model}}
	got, err := s.capacity(t.Context(), q.Settings)
	const odds = 0.7 / 0.3
	if want := 3 * odds / (odds*0.275 + 1 + 0.010); err != nil || math.Abs(got/want-1) > 0.05 {
		t.Errorf("%.3f calls/s, want %.3f; %v", got, want, err)
	}
	if reasons := q.reasons(Candidate{}, got); len(reasons) != 1 || reasons[0] != fmt.Sprintf("capacity %.3g calls/s at most, 6 asked", got) {
		t.Errorf("reasons %q, want the capacity alone", reasons)
	}
}

// A scenario depends only on the seed and its number, passes Check, and the scenarios of a seed
// vary in every respect.
func TestScenario(t *testing.T) {
	seen := map[string]int{}
	for n := 1; n <= 200; n++ {
		q := Scenario(7, n, simulate.DefaultModel())
		if !reflect.DeepEqual(q, Scenario(7, n, simulate.DefaultModel())) || q.Settings == Scenario(8, n, q.Model).Settings {
			t.Errorf("scenario %d differs with the same seed, or is the same with another", n)
		}
		if err := q.Check(); err != nil {
			t.Errorf("scenario %d: %v", n, err)
		}
		s := q.Settings
		if s.PCrash < 0.04 || s.PCrash > 0.4 || s.RestartDelay < 300*time.Millisecond || s.Rate > 20 || s.Concurrency > 15 {
			t.Errorf("scenario %d: %+v", n, s)
		}
		seen[fmt.Sprintf("replicas %d", s.Replicas)]++
		seen[fmt.Sprintf("crash at %v", s.CrashPoint)]++
		seen[fmt.Sprintf("open loop %v", s.Rate > 0)]++
		seen[fmt.Sprintf("p99 %v", q.Goal.P99 > 0)]++
		seen[fmt.Sprintf("success %v", q.Goal.Success)]++
	}
	if len(seen) != 4+2+2+2+4 {
		t.Errorf("the scenarios have %d values of their properties, want 14: %v", len(seen), seen)
	}
}

// A remedy makes the goal possible, and a smaller change does not. Of the calls to a single
// replica, 4% meet two crashes and 0.8% three, so the p99 lies between two and three restarts.
func TestRemedy(t *testing.T) {
	t.Parallel()
	q := question(t, func(q *Question) {
		q.Settings.Replicas, q.Settings.Concurrency, q.Settings.RestartDelay = 1, 1, 2*time.Second
		q.Settings.ServiceTime = parse("1ms")
		q.Goal.P99 = time.Second
	})
	s := &search{Question: q, engine: simulate.Engine{Model: q.Model}}
	possible := func(delay time.Duration) bool {
		changed := q.Settings
		changed.RestartDelay = delay
		ok, err := s.possible(t.Context(), changed)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	i := slices.IndexFunc(q.changes(), func(c change) bool { return c.factor == "restart_delay" })
	r, err := s.remedy(t.Context(), q.changes()[i])
	if err != nil {
		t.Fatal(err)
	}
	delay, err := time.ParseDuration(r.Value)
	if err != nil || delay < 280*time.Millisecond || delay > 500*time.Millisecond || r.Limit != "1ms" {
		t.Fatalf("%+v, %v", r, err)
	}
	if !possible(delay) || possible(delay*3/2) {
		t.Errorf("possible with a restart delay of %v: %v, want true; with %v: %v, want false", delay, possible(delay), delay*3/2, possible(delay*3/2))
	}
}

// Each change starts at the present value and goes on from there.
func TestChanges(t *testing.T) {
	q := question(t, func(q *Question) { q.Settings.Rate = 20 })
	var factors []string
	for _, c := range q.changes() {
		factors = append(factors, c.factor)
		first, middle, last := q.Settings, q.Settings, q.Settings
		c.set(&first, 0)
		c.set(&middle, 0.5)
		c.set(&last, 1)
		if first != q.Settings || middle == first || middle == last {
			t.Errorf("%s: want the present value first, then others: %+v, %+v, %+v", c.factor, first, middle, last)
		}
	}
	if !slices.Equal(factors, []string{"replicas", "restart_delay", "p_crash", "rate"}) {
		t.Errorf("factors %v", factors)
	}
}

func TestNoRestart(t *testing.T) {
	q := question(t, func(q *Question) { q.Settings.RestartDelay = design.Never })
	if got, want := q.reasons(Candidate{}, 0), []string{"no restart: all replicas (3) are down after about 12 calls"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Measure finds the settings of a run in its records.
func TestMeasure(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		service string
		point   fault.CrashPoint
		fits    bool
	}{
		{"uniform:10ms:50ms", fault.CrashPointArrival, true}, {"exp:40ms", fault.CrashPointArrival, true}, {"20ms", fault.CrashPointReply, true},
		{"values:5ms:7ms:100ms", fault.CrashPointArrival, false},
	} {
		q := question(t, func(q *Question) {
			q.Settings.PCrash, q.Settings.CrashPoint, q.Settings.ServiceTime, q.Settings.Calls = 0.1, tt.point, parse(tt.service), 300
			q.Settings.Concurrency = 6
		})
		run := simulated(t, q.Settings, 20)
		m, err := Measure(run, q.Model)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(m.PCrash-0.1) > 0.02 || m.RestartDelay != 200*time.Millisecond || m.Boot != time.Duration(q.Model.Boot.Median) {
			t.Errorf("%+v", m)
		}
		want := parse(tt.service)
		for _, u := range []float64{0.1, 0.5, 0.9} {
			if got, want := m.ServiceTime.Quantile(u), want.Quantile(u); math.Abs(float64(got)/float64(want)-1) > 0.1 {
				t.Errorf("%s: measured %v, whose quantile %v is %v, want %v", tt.service, m.ServiceTime, u, got, want)
			}
		}
		if m.Fitted != tt.fits {
			t.Errorf("%s: fitted %v, want %v", tt.service, m.Fitted, tt.fits)
		}
	}
}

func TestMeasureWithoutRecords(t *testing.T) {
	s := question(t, nil).Settings
	run := simulated(t, s, 1)
	for want, change := range map[string]func(*record.TrialRecords){
		"no replica has reported its requests: the crash rate is unknown": func(r *record.TrialRecords) { r.Events = nil },
		"no attempt was answered: the service times are unknown":          func(r *record.TrialRecords) { r.Calls = nil },
	} {
		r := *run
		r.Trials = slices.Clone(run.Trials)
		change(&r.Trials[0])
		if _, err := Measure(&r, simulate.DefaultModel()); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	run.Trials = nil
	if _, err := Measure(run, simulate.DefaultModel()); err == nil {
		t.Error("Measure accepted a run without trials")
	}
}

// simulated returns a simulated run.
func simulated(t *testing.T, s design.Settings, repeats int) *record.Run {
	t.Helper()
	d := &design.Design{Seed: 5, Repeats: repeats, Cells: []design.Cell{{Settings: s}}}
	run, err := (&simulate.Engine{Model: simulate.DefaultModel()}).Run(t.Context(), d, d.Trials())
	if err != nil {
		t.Fatal(err)
	}
	return run
}

func TestNice(t *testing.T) {
	for d, want := range map[time.Duration]time.Duration{0: 0, 7: time.Microsecond, 101 * time.Millisecond: 110 * time.Millisecond, 1234 * time.Millisecond: 1300 * time.Millisecond} {
		if got := nice(d); got != want {
			t.Errorf("%v: %v, want %v", d, got, want)
		}
	}
}
