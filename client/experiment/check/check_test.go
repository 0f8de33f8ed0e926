package check

import (
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/supervisor/event"
)

// Soak makes the random tests run longer.
var Soak = flag.Bool("soak", false, "make ten times as many worlds, and 200 clean trials instead of 10")

// seeds returns how many worlds to make: n, or ten times n with -soak.
func seeds(n uint64) uint64 {
	if *Soak {
		return 10 * n
	}
	return n
}

// workers returns how many concurrent callers the world of a seed has.
func workers(seed uint64) int { return 1 + int(seed%10) }

func TestHealthyWorldsHaveNoViolation(t *testing.T) {
	t.Parallel()
	outcomes, results := map[failover.Outcome]int{}, map[record.Result]int{}
	bothOK, crashes, kills := 0, 0, 0
	for seed := range seeds(500) {
		seen := newWorld(seed).run(workers(seed))
		if found := Trial(seen); len(found) > 0 {
			t.Fatalf("seed %d: %d calls, %d events: %v", seed, len(seen.Calls), len(seen.Events), found)
		}
		for _, c := range seen.Calls {
			results[c.Result]++
			ok := 0
			for _, a := range c.Attempts {
				outcomes[a.Outcome]++
				if a.Outcome == failover.OutcomeOK {
					ok++
				}
			}
			bothOK += max(ok-1, 0)
		}
		for _, e := range seen.Events {
			if e.Process != nil && e.Process.Kind == event.KindExited {
				crashes += max(e.Process.Exit.Code, 0)
				kills += max(-e.Process.Exit.Code, 0)
			}
		}
	}
	t.Logf("%v, %v, %d hedges answered beside the first, %d crashes, %d kills", results, outcomes, bothOK, crashes, kills)
	for _, o := range failover.Outcomes() {
		if o != failover.OutcomeRejected && outcomes[o] < 100 {
			t.Errorf("the worlds have %d attempts with outcome %v, want at least 100", outcomes[o], o)
		}
	}
	if len(results) != 3 || min(bothOK, crashes, kills) < 100 {
		t.Errorf("results %v, %d hedges, %d crashes, %d kills: want three results and at least 100 of the others", results, bothOK, crashes, kills)
	}
}

// If no attempt is ambiguous, every bug that struck is detected. Ambiguous attempts may hide a bug.
func TestBrokenCountersAreDetected(t *testing.T) {
	for b, least := range map[bug]float64{lostUpdate: 0.85, duplicatedReply: 0.85, unnoticedReset: 0.95, doubleCount: 0.6} {
		t.Run(b.String(), func(t *testing.T) {
			t.Parallel()
			var struck, detected, clear, clearDetected int
			by := map[string]int{}
			for seed := range seeds(300) {
				w := newWorld(seed)
				w.bug = b
				seen := w.run(workers(seed))
				if w.struck == 0 {
					continue
				}
				struck++
				found := Trial(seen)
				for _, v := range found {
					by[v.Check]++
				}
				if len(found) > 0 {
					detected++
				}
				if ambiguous(seen) {
					continue
				}
				clear++
				if len(found) > 0 {
					clearDetected++
				} else {
					t.Errorf("seed %d: the bug struck %d times, but was not detected", seed, w.struck)
				}
			}
			t.Logf("detected in %d of %d worlds, and in %d of %d without an ambiguous attempt: %v", detected, struck, clearDetected, clear, by)
			if clear < 30 || float64(detected) < least*float64(struck) {
				t.Errorf("detected in %d of %d worlds, want %.0f%%; %d worlds without an ambiguous attempt, want 30", detected, struck, 100*least, clear)
			}
		})
	}
}

func ambiguous(t record.TrialRecords) bool {
	return slices.ContainsFunc(t.Calls, func(c record.Call) bool {
		return slices.ContainsFunc(c.Attempts, func(a record.Attempt) bool { return a.Sent && a.Outcome != failover.OutcomeOK })
	})
}

// Truncated to microseconds, two attempts that overlapped may seem to be in succession.
func TestTruncatedTimesAreNoViolation(t *testing.T) {
	for gap, want := range map[time.Duration]int{0: 0, 2 * us: 0, 3 * us: 1, 10 * us: 1} {
		l := &life{number: 1, begin: always, end: never, replies: []reply{
			{call: 1, value: 2, start: 0, end: 10 * us}, {call: 2, value: 1, start: 10*us + gap, end: 20 * us},
		}}
		var f findings
		(&replica{name: "a", lives: []*life{l}}).checkValues(&f, l)
		if f.count[realTime] != want {
			t.Errorf("%v after the end of another: %v, want %d violations", gap, f.violations, want)
		}
	}
}

// An incarnation that served from 1 s to 2 s can have answered only attempts that were under way at
// some time between.
func TestOnlyLivingIncarnationsAnswer(t *testing.T) {
	for _, test := range []struct {
		start, end time.Duration
		can        bool
	}{
		{500 * ms, 999 * ms, false}, {500 * ms, time.Second - us, true}, {500 * ms, 3 * time.Second, true},
		{1500 * ms, 1600 * ms, true}, {2*time.Second + us, 3 * time.Second, true}, {2001 * ms, 3 * time.Second, false},
	} {
		l := &life{number: 2, begin: time.Second, end: 2 * time.Second}
		r := &replica{name: "a", lives: []*life{l}}
		a := record.Attempt{Number: 1, Start: test.start, Duration: test.end - test.start, Sent: true}
		var f findings
		r.answer(&f, &record.Call{Number: 1, Incarnation: 2, Value: 1}, a)
		if found := f.all(); (len(found) == 0) != test.can {
			t.Errorf("an answer from %v to %v: %v, want possible %v", test.start, test.end, found, test.can)
		}

		r.ambiguous = []span{{test.start, test.end}}
		r.sort()
		if got := r.ambiguousIn(l, never); got == 1 != test.can {
			t.Errorf("an ambiguous attempt from %v to %v: %d may have reached the incarnation", test.start, test.end, got)
		}
		if got := r.ambiguousIn(l, test.start-ms); got != 0 {
			t.Errorf("before an ambiguous attempt from %v to %v: %d may have reached the incarnation", test.start, test.end, got)
		}
	}
}

// Of many violations of a check, Trial returns some and the number of the rest.
func TestManyViolationsAreCounted(t *testing.T) {
	w := newWorld(1)
	seen := w.run(5)
	seen.Calls = slices.Concat(seen.Calls, seen.Calls)
	found := Trial(seen)
	last := Violation{oneEnd, fmt.Sprintf("and %d more", len(seen.Calls)/2-maxDetails)}
	if !slices.Contains(found, last) || len(found) > 13*(maxDetails+1) {
		t.Errorf("%d violations, want at most %d and %v among them", len(found), 13*(maxDetails+1), last)
	}
}

func BenchmarkTrial(b *testing.B) {
	w := newWorld(1)
	w.pCrash, w.pError, w.pKill, w.timeout, w.deadline, w.hedge = 0.02, 0, 0, 100*ms, 0, 0
	w.service, w.restart, w.rounds, w.calls = 20*ms, 50*ms, 3, 50_000
	for i := len(w.nodes); i < 3; i++ {
		w.nodes = append(w.nodes, &node{world: w, name: string(rune('a' + i))})
	}
	w.noAbort = true
	seen := w.run(10)
	b.ReportAllocs()
	for b.Loop() {
		if found := Trial(seen); len(found) > 0 || len(seen.Calls) != w.calls {
			b.Fatal(len(seen.Calls), found)
		}
	}
}
