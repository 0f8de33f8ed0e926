package experiment

import (
	"strings"
	"testing"

	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
)

func TestClaims(t *testing.T) {
	const oneTrial = "one trial only: how much trials differ is unknown"
	some, all, none := []int{9, 10, 11, 10, 10}, []int{50, 50, 50, 50, 50}, []int{0, 0, 0, 0, 0}
	for _, tc := range []struct {
		name      string
		successes []int
		claim     design.Claim
		want      Verdict
		reason    string
	}{
		{"share above", some, claim(design.Success, true, 0.1), VerdictHeld, ""},
		{"share across", some, claim(design.Success, true, 0.2), VerdictInconclusive, "the interval spans the threshold"},
		{"share below", some, claim(design.Success, true, 0.9), VerdictFailed, ""},
		{"share at most, below", some, claim(design.Success, false, 0.9), VerdictHeld, ""},
		{"share at most, above", some, claim(design.Success, false, 0.1), VerdictFailed, ""},
		{"number above", some, claim(design.Successes, true, 5), VerdictHeld, ""},
		{"latency below", some, claim(design.P99, false, 2), VerdictHeld, ""},
		{"latency above", some, claim(design.P99, false, 0.001), VerdictFailed, ""},
		{"all, little is claimed", all, claim(design.Success, true, 0.98), VerdictHeld, ""},
		{"all, much is claimed", all, claim(design.Success, true, 0.999), VerdictInconclusive, "the interval spans the threshold"},
		{"none", none, claim(design.Success, true, 0.5), VerdictFailed, ""},
		{"latency of none", none, claim(design.P99, false, 2), VerdictInconclusive, "no trial has a value of p99"},
		{"attempts that never vary", all, claim(design.Attempts, false, 1.5), VerdictHeld, ""},
		{"one trial", []int{30}, claim(design.Success, true, 0.1), VerdictInconclusive, oneTrial},
		{"one trial, perfect", []int{50}, claim(design.Success, true, 0.1), VerdictInconclusive, oneTrial},
		{"one trial, hopeless", []int{0}, claim(design.Success, true, 0.999), VerdictFailed, ""},
		{"one trial, trivial", []int{30}, claim(design.Success, true, 0), VerdictHeld, ""},
		{"one trial, none as claimed", []int{0}, claim(design.Success, false, 0.5), VerdictInconclusive, oneTrial},
		{"no trial", nil, claim(design.Success, true, 0.1), VerdictInconclusive, "no trial has a value of success"},
	} {
		run := addAll(madeUp(cell("concurrency", "5")), 0, tc.successes...)
		run.Manifest.Design.Claims = []design.Claim{tc.claim}
		s := summarize(run, unchecked)
		if c := s.Claims[0]; c.Verdict != tc.want || c.Reason != tc.reason || s.Verdict != tc.want {
			t.Errorf("%s: %v %q, in all %v; want %v %q; %+v",
				tc.name, c.Verdict, c.Reason, s.Verdict, tc.want, tc.reason, c.Interval)
		}
	}
}

func TestAClaimIsJudgedInEachCellThatItIsAbout(t *testing.T) {
	run := madeUp(design.Cell{Row: "good"}, design.Cell{Row: "bad"}, design.Cell{Row: "new"})
	addAll(run, 0, 49, 50, 50, 49, 50)
	addAll(run, 1, 1, 2, 3, 1, 2)
	run.Manifest.Design.Claims = []design.Claim{claim(design.Success, true, 0.9), claim(design.Success, true, 0.8)}
	run.Manifest.Design.Claims[1].Where = map[string]string{"row": "good"}
	s := summarize(run, unchecked)
	want := []struct {
		cell    int
		verdict Verdict
	}{{0, VerdictHeld}, {1, VerdictFailed}, {2, VerdictInconclusive}, {0, VerdictHeld}}
	if len(s.Claims) != len(want) {
		t.Fatalf("%d results, want %d", len(s.Claims), len(want))
	}
	for i, w := range want {
		if c := s.Claims[i]; c.Cell != w.cell || c.Verdict != w.verdict {
			t.Errorf("result %d: cell %d %v, want cell %d %v", i, c.Cell, c.Verdict, w.cell, w.verdict)
		}
	}
	if s.Verdict != VerdictFailed {
		t.Errorf("in all %v, want failed: the worst", s.Verdict)
	}
}

func TestAViolationFailsTheRun(t *testing.T) {
	run := addAll(madeUp(cell("concurrency", "5")), 0, 50, 50, 50)
	s := summarize(run, func(t record.TrialRecords) []check.Violation {
		if t.Number == 2 {
			return []check.Violation{{Check: "unique values"}}
		}
		return nil
	})
	if s.Verdict != VerdictFailed || len(s.Cells[0].Trials[0].Violations) != 0 || len(s.Cells[0].Trials[1].Violations) != 1 {
		t.Errorf("%v, %+v", s.Verdict, s.Cells[0].Trials)
	}
}

// Replies from replicas that were never launched violate a check.
func TestSummarizeChecksTheRecords(t *testing.T) {
	run := addAll(madeUp(cell("concurrency", "5")), 0, 50, 50)
	if s := Summarize(run); s.Verdict != VerdictFailed || len(s.Cells[0].Trials[1].Violations) == 0 {
		t.Errorf("%v, violations %v", s.Verdict, s.Cells[0].Trials[1].Violations)
	}
	if s := Summarize(addAll(madeUp(cell("concurrency", "5")), 0)); s.Verdict != VerdictHeld {
		t.Errorf("of no trial %v, want held", s.Verdict)
	}
}

func TestALateLoadIsNotBelieved(t *testing.T) {
	run := addAll(madeUp(cell("concurrency", "5"), cell("concurrency", "10")), 0, 9, 10, 11, 10, 10)
	addAll(run, 1, 9, 10, 11, 10, 10)
	run.Manifest.Design.Claims = []design.Claim{claim(design.Success, true, 0.1)}
	run.Trials[0].Late = 1 // of 50: more than one in a hundred
	s := summarize(run, unchecked)
	late, other := s.Claims[0], s.Claims[1]
	if late.Verdict != VerdictInconclusive || !strings.Contains(late.Reason, "1 of 5 trials") || other.Verdict != VerdictHeld {
		t.Errorf("%+v\n%+v", late, other)
	}
	if s.Cells[0].Late != 1 {
		t.Errorf("%d late trials, want 1", s.Cells[0].Late)
	}
	run.Manifest.Design.Claims = nil
	if v := summarize(run, unchecked).Verdict; v != VerdictInconclusive {
		t.Errorf("without claims %v, want inconclusive", v)
	}
	run.Trials[0].Interrupted = true // then it is left out altogether
	if v := summarize(run, unchecked).Verdict; v != VerdictHeld {
		t.Errorf("of a trial that is left out: %v, want held", v)
	}
	onTime := madeUp(cell("concurrency", "5"))
	add(onTime, 0, 90, 100, ms).Late = 1
	if v := summarize(onTime, unchecked).Verdict; v != VerdictHeld {
		t.Errorf("one call in a hundred late: %v, want held", v)
	}
}

func TestVerdictNames(t *testing.T) {
	for v, want := range map[Verdict]string{VerdictHeld: "held", VerdictInconclusive: "inconclusive", VerdictFailed: "failed", 7: "Verdict(7)"} {
		if text, err := v.MarshalText(); err != nil || string(text) != want {
			t.Errorf("%d: %s, %v, want %s", int(v), text, err, want)
		}
	}
	for e, want := range map[Effect]string{EffectBetter: "better", EffectWorse: "worse", EffectInconclusive: "inconclusive", -1: "Effect(-1)"} {
		if text, err := e.MarshalText(); err != nil || string(text) != want {
			t.Errorf("%d: %s, %v, want %s", int(e), text, err, want)
		}
	}
}
