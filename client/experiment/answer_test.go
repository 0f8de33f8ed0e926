package experiment

import (
	"encoding/json"
	"strings"
	"testing"

	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
)

// The design's answer stands if all its claims hold, and is replaced by the reasons if they do not.
func TestAnswer(t *testing.T) {
	high, low := claim(design.Success, true, 0.5), claim(design.Success, false, 0.7)
	high.Text, low.Text = "success >= 0.5", "success <= 0.7"
	many := []design.Claim{}
	for range 6 {
		many = append(many, low)
	}
	violation := func(record.TrialRecords) []check.Violation { return make([]check.Violation, 1) }
	for _, tc := range []struct {
		name       string
		claims     []design.Claim
		successes  []int
		shard      string
		violations func(record.TrialRecords) []check.Violation
		want       string // in Unsupported; empty: the answer stands
	}{
		{"held", []design.Claim{high}, []int{40, 41, 42, 41, 40}, "", unchecked, ""},
		{"failed", []design.Claim{high, low}, []int{40, 41, 42, 41, 40}, "", unchecked, "expects: success <= 0.7 failed (all trials)."},
		{"inconclusive", []design.Claim{low}, []int{20, 30, 40, 45, 50}, "", unchecked, "expects: success <= 0.7 is inconclusive (all trials)."},
		{"many", many, []int{40, 41, 42, 41, 40}, "", unchecked, "success <= 0.7 failed (all trials); 3 more claims do not hold."},
		{"violated", []design.Claim{high}, []int{40, 41, 42, 41, 40}, "", violation, "expects: a check of the records failed."},
		{"no claim", nil, []int{40}, "", unchecked, "No claim supports"},
		{"shard", []design.Claim{high}, []int{40, 41, 42, 41, 40}, "0/4", unchecked, "merge the shares"},
	} {
		run := addAll(madeUp(cell()), 0, tc.successes...)
		run.Manifest.Shard = tc.shard
		d := run.Manifest.Design
		d.Question, d.Answer, d.Claims, d.Repeats = "Why?", "Because.", tc.claims, 9
		a := summarize(run, tc.violations).Answer
		if a.Question != "Why?" || (a.Text == "Because.") != (tc.want == "") || (a.Unsupported == "") != (tc.want == "") || !strings.Contains(a.Unsupported, tc.want) {
			t.Errorf("%s: %+v, want %q", tc.name, a, tc.want)
		}
	}
}

// A load that was late in one cell does not refute an answer that rests on another.
func TestAnswerIgnoresLateLoadsElsewhere(t *testing.T) {
	run := addAll(addAll(madeUp(withRow("slow", cell()), withRow("fast", cell())), 0, 40, 41, 42), 1, 40, 41, 42)
	run.Trials[4].Late = 50
	d := run.Manifest.Design
	d.Answer, d.Claims = "Because.", []design.Claim{claim(design.Success, true, 0.5)}
	d.Claims[0].Where = map[string]string{"row": "slow"}
	if s := summarize(run, unchecked); s.Answer.Text == "" || s.Verdict != VerdictInconclusive {
		t.Errorf("%+v, in all %v; want the answer in an inconclusive run", s.Answer, s.Verdict)
	}
}

// Manifests that were written before designs had answers can still be read.
func TestAnswerOfOldManifest(t *testing.T) {
	run := addAll(madeUp(cell()), 0, 40, 41)
	if err := json.Unmarshal([]byte(`{"name":"x","question":"Why?","cells":[{"settings":{}}]}`), run.Manifest.Design); err != nil {
		t.Fatal(err)
	}
	if a := summarize(run, unchecked).Answer; a != (Answer{Question: "Why?"}) {
		t.Errorf("%+v", a)
	}
}
