package report

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/stats"
)

func TestCurve(t *testing.T) {
	run := madeRun(plan{rows: 1, levels: 2, repeats: 2, calls: 500, workers: 5})
	run.Trials[3].Interrupted = true
	run.Trials[0].Calls[300].Result, run.Trials[0].Calls[301].Warmup = record.ResultFailed, true
	run.Trials[0].Calls[302].Intended = run.Trials[0].Calls[302].Start - time.Hour // it waited for an hour to be started
	var pooled []time.Duration
	for _, trial := range run.Trials[:2] {
		for _, c := range trial.Calls {
			if c.Result == record.ResultOK && !c.Warmup {
				pooled = append(pooled, c.Latency())
			}
		}
	}
	slices.Sort(pooled)
	c, none := curveOf(run, summaryOf(run))
	if len(c.Cells) != 2 || none != nil {
		t.Fatalf("%d lines, none for %v: want 2 lines", len(c.Cells), none)
	}
	for i, x := range c.X {
		y := c.Cells[0].Y[i]
		if y == nil {
			t.Fatalf("no value at %v of %d calls", x, len(pooled))
		}
		if want := stats.Quantile(pooled, 1-1/x).Seconds(); *y != want {
			t.Errorf("at %v: %v, want %v", x, *y, want)
		}
	}
	if last := c.Cells[0].Y[len(c.X)-1]; *last < 3600 {
		t.Errorf("the longest is %v s: the intended start does not count", *last)
	}
	if last := c.Cells[1].Y[len(c.X)-1]; last != nil {
		t.Errorf("a cell with half as many calls has a value at %v", c.X[len(c.X)-1])
	}
}

func TestCurveWithoutSuccess(t *testing.T) {
	p := anyRuns()["no success"]
	run := madeRun(p)
	if c, none := curveOf(run, summaryOf(run)); c != nil || len(none) != len(run.Manifest.Design.Cells) {
		t.Errorf("got %v, and nothing for %v", c, none)
	}
}

func TestSentence(t *testing.T) {
	claims := func(verdicts ...experiment.Verdict) (s experiment.Summary) {
		for _, v := range verdicts {
			s.Claims = append(s.Claims, experiment.ClaimResult{Verdict: v})
			s.Verdict = max(s.Verdict, v)
		}
		return s
	}
	violated := claims(experiment.VerdictHeld)
	violated.Verdict = experiment.VerdictFailed
	violated.Cells = []experiment.CellSummary{{Trials: []experiment.TrialSummary{{Violations: make([]check.Violation, 60)}}}}
	for _, tc := range []struct {
		summary        experiment.Summary
		word, sentence string
		unlisted       int
	}{
		{claims(), "no claims", "The design makes no claims. All checks of the records passed.", -10},
		{claims(experiment.VerdictHeld), "held", "1 claim held. All checks of the records passed.", -10},
		{claims(experiment.VerdictHeld, experiment.VerdictInconclusive), "inconclusive", "Of 2 claims, 1 held, 1 inconclusive. All checks of the records passed.", -10},
		{violated, "failed", "1 claim held. The checks of the records found 60 violations: there is a bug in the service, the client, the supervisor or the recording.", 50},
	} {
		v := verdictOf(&record.Run{}, tc.summary)
		if v.Word != tc.word || v.Sentence != tc.sentence || v.Unlisted != tc.unlisted {
			t.Errorf("got %q, %q, %d unlisted; want %q, %q, %d", v.Word, v.Sentence, v.Unlisted, tc.word, tc.sentence, tc.unlisted)
		}
		if len(v.Violations) > mostViolations {
			t.Errorf("%d violations are listed", len(v.Violations))
		}
	}
}

func TestClaimWithoutInterval(t *testing.T) {
	for _, i := range []stats.Interval{{}, {Estimate: math.NaN(), N: 3}} {
		if v := claimOf(experiment.ClaimResult{Claim: design.Claim{Metric: design.P99, Threshold: 2}, Interval: i}, experiment.Summary{}); v.Interval != "" || v.Range != nil {
			t.Errorf("%+v became %q", i, v.Interval)
		}
	}
	open := stats.Interval{Estimate: 1, Low: math.Inf(-1), High: math.Inf(1), N: 1}
	if v := claimOf(experiment.ClaimResult{Interval: open}, experiment.Summary{}); v.Range != nil {
		t.Errorf("an interval without ends is drawn as %+v", *v.Range)
	}
}

func TestRange(t *testing.T) {
	r := rangeOf(stats.Interval{Low: 2, Estimate: 3, High: 4}, 1)
	if !(r.Threshold == 8 && r.Threshold < r.Low && r.Low < r.Estimate && r.Estimate < r.High && r.High == 92) {
		t.Errorf("the threshold of 1 and the interval from 2 to 4 lie at %+v", *r)
	}
}

func TestQuoted(t *testing.T) {
	for want, command := range map[string][]string{
		"crashlab experiment run a.yaml --rate=1.5": {"crashlab", "experiment", "run", "a.yaml", "--rate=1.5"},
		`run 'it'\''s mine' '' '$HOME' 'a;b'`:       {"run", "it's mine", "", "$HOME", "a;b"},
	} {
		if got := quoted(command); got != want {
			t.Errorf("%q became %s, want %s", command, got, want)
		}
	}
}

func TestNotes(t *testing.T) {
	text := func(m record.Manifest, trials int) string {
		return strings.Join(notes(&record.Run{Manifest: m, Trials: make([]record.TrialRecords, trials)}, experiment.Summary{}), " ")
	}
	ended := time.Now()
	for _, tc := range []struct{ got, want string }{
		{text(record.Manifest{Ended: ended}, 1), ""},
		{text(record.Manifest{Ended: ended, Interrupted: true}, 1), "interrupted"},
		{text(record.Manifest{}, 1), "killed"},
		{text(record.Manifest{Ended: ended}, 0), "nothing to show"},
	} {
		if !strings.Contains(tc.got, tc.want) || tc.want == "" && tc.got != "" {
			t.Errorf("got %q, want %q", tc.got, tc.want)
		}
	}
}

// A claim gives the reason why it is inconclusive only once, even if it is also a warning.
func TestWhy(t *testing.T) {
	c := experiment.ClaimResult{Reason: "one run", Interval: stats.Interval{Warnings: []string{"few", "one run"}}}
	if got := strings.Join(why(c), "; "); got != "one run; few" {
		t.Errorf("got %q, want the reason, and the other warning", got)
	}
	if got := why(experiment.ClaimResult{}); got != nil {
		t.Errorf("got %q of a claim that held", got)
	}
}

func TestTrialLabel(t *testing.T) {
	trial := record.TrialRecords{Trial: record.Trial{Trial: design.Trial{Number: 7, Repeat: 2}}, Calls: make([]record.Call, 3)}
	for _, tc := range []struct {
		result      record.Result
		interrupted bool
		want        string
	}{
		{record.ResultOK, false, "trial 7 (repeat 2): 3 calls"},
		{record.ResultFailed, false, "trial 7 (repeat 2): 3 calls, 1 failed"},
		{record.ResultInterrupted, true, "trial 7 (repeat 2): 3 calls, interrupted"},
	} {
		trial.Calls[1].Result, trial.Interrupted = tc.result, tc.interrupted
		if got := trialLabel(trial); got != tc.want {
			t.Errorf("got %q, want %q", got, tc.want)
		}
	}
}
