package report

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/stats"
)

// madeDifferences are two cells, in each of which something else was set, and all that a difference
// can be.
func madeDifferences() []experiment.Difference {
	changed := []experiment.Change{{Factor: "restart_delay", A: "1s", B: "none"}, {Factor: "rounds", A: "3", B: "5"}}
	other := []experiment.Change{{Factor: "restart_delay", A: "1s", B: "none"}}
	few := about(-0.25, 0.5)
	few.Warnings = []string{"few runs (2)"}
	single := stats.Interval{Estimate: 0.04, Low: math.Inf(-1), High: math.Inf(1), N: 1, Warnings: []string{"one run"}}
	halfOpen := stats.Interval{Estimate: -2, Low: math.Inf(-1), High: -0.5, N: 2}
	return []experiment.Difference{
		{Cell: "original", Changed: changed, Metric: design.Success, A: about(0.25, 0.1), B: about(0.9991, 0.0002), Delta: about(0.7491, 0.1), Effect: experiment.EffectBetter},
		{Cell: "original", Changed: changed, Metric: design.P99, A: about(0.5, 0.1), B: about(0.25, 0.5), Delta: few, Reason: "the interval spans zero"},
		{Cell: "original", Changed: changed, Metric: design.Attempts, A: about(4, 1), B: about(2, 1), Delta: halfOpen, Effect: experiment.EffectBetter},
		{Cell: "waiting", Changed: other, Metric: design.Success, A: about(1, 0), B: about(1, 0), Delta: about(0, 0), Reason: "the interval spans zero"},
		{Cell: "waiting", Changed: other, Metric: design.P99, A: about(0.5, 0.1), B: about(0.54, 0), Delta: single, Reason: "one run"},
	}
}

const differencesText = `
cell       metric         A        B  B less A                   B is
original¹  success    25.0%  99.910%  +74.9 points [64.9, 84.9]        better
           p99       500 ms   250 ms       -250 ms [-750, 250]   inconclusive²,³
           attempts    4.00     2.00         -2.00 [−∞, -0.50]         better
waiting⁴   success     100%     100%      0 points [0, 0]        inconclusive²
           p99       500 ms   540 ms      +40.0 ms               inconclusive⁵

¹ restart_delay is 1s in A, none in B; rounds is 3 in A, 5 in B
² the interval spans zero
³ few runs (2)
⁴ restart_delay is 1s in A, none in B
⁵ one run
`

func TestDifferences(t *testing.T) {
	var b bytes.Buffer
	if err := Differences(&b, "table", madeDifferences()); err != nil {
		t.Fatal(err)
	}
	if got := "\n" + b.String(); got != differencesText {
		t.Errorf("%s\nwant:\n%s", got, differencesText)
	}
}

func TestDifferencesJSON(t *testing.T) {
	var b bytes.Buffer
	if err := Differences(&b, "json", madeDifferences()); err != nil {
		t.Fatal(err)
	}
	var got []struct {
		Cell, Metric, Reason string
		Is                   string `json:"b_is"`
		Changed              []experiment.Change
		Delta                struct{ Estimate, Low, High *float64 } `json:"b_less_a"`
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 5 || got[1].Metric != "p99_s" || got[1].Is != "inconclusive" || got[1].Reason == "" || len(got[1].Changed) != 2 {
		t.Errorf("got %+v", got)
	}
	if d := got[2].Delta; d.Low != nil || *d.High != -0.5 || *d.Estimate != -2 {
		t.Errorf("an interval without a lower end became %+v", d)
	}
	b.Reset()
	if err := Differences(&b, "json", nil); err != nil || strings.TrimSpace(b.String()) != "[]" {
		t.Errorf("no differences became %q, %v", b.String(), err)
	}
}

func TestDifferencesOfNothing(t *testing.T) {
	var b bytes.Buffer
	if err := Differences(&b, "table", nil); err != nil || b.String() != "No metric has a value in both runs.\n" {
		t.Errorf("got %q, %v", b.String(), err)
	}
}

func TestDifferencesRefusesFormat(t *testing.T) {
	err := Differences(&bytes.Buffer{}, "csv", nil)
	if want := `format "csv": want table or json`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// Between the cells of one run each is named with the one that it is compared with, once.
func TestContrastsTable(t *testing.T) {
	differences := madeDifferences()
	for i := range differences {
		differences[i].Base = "first"
	}
	contrasts := contrastsTable(experiment.Summary{Differences: differences})
	if len(contrasts.Rows) != len(differences) {
		t.Fatalf("%d rows of %d differences", len(contrasts.Rows), len(differences))
	}
	var text bytes.Buffer
	if err := Contrasts(&text, "table", experiment.Summary{Differences: differences}); err != nil || !strings.Contains(text.String(), "baseline value") {
		t.Errorf("%q, %v", text.String(), err)
	}
	for i, row := range contrasts.Rows {
		cell, base := differences[i].Cell, "first"
		if i > 0 && differences[i-1].Cell == cell {
			cell, base = "", ""
		}
		if len(row) != len(contrasts.Heads) || row[0].Text != cell || row[1].Text != base || row[2].Text != string(differences[i].Metric) ||
			row[len(row)-1].Text != differences[i].Effect.String() {
			t.Errorf("row %d: %+v", i, row)
		}
	}
}
