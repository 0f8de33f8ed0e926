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

// madeDifferences returns differences of every kind, in two cells with different settings.
func madeDifferences() []experiment.Difference {
	changed := []experiment.SettingChange{{Factor: "restart_delay", Baseline: "1s", Value: "none"}, {Factor: "rounds", Baseline: "3", Value: "5"}}
	other := changed[:1]
	few := about(-0.25, 0.5)
	few.Warnings = []string{"few trials (2)"}
	single := stats.Interval{Estimate: 0.04, Low: math.Inf(-1), High: math.Inf(1), N: 1, Warnings: []string{"one trial"}}
	halfOpen := stats.Interval{Estimate: -2, Low: math.Inf(-1), High: -0.5, N: 2}
	differences := []experiment.Difference{
		{Cell: "original", Settings: changed, Metric: design.Success, BaselineValue: about(0.25, 0.1), Value: about(0.9991, 0.0002), Change: about(0.7491, 0.1), Effect: experiment.EffectBetter},
		{Cell: "original", Settings: changed, Metric: design.P99, BaselineValue: about(0.5, 0.1), Value: about(0.25, 0.5), Change: few, Reason: "the interval spans zero"},
		{Cell: "original", Settings: changed, Metric: design.Attempts, BaselineValue: about(4, 1), Value: about(2, 1), Change: halfOpen, Effect: experiment.EffectBetter},
		{Cell: "waiting", Settings: other, Metric: design.Success, BaselineValue: about(1, 0), Value: about(1, 0), Change: about(0, 0), Reason: "the interval spans zero"},
		{Cell: "waiting", Settings: other, Metric: design.P99, BaselineValue: about(0.5, 0.1), Value: about(0.54, 0), Change: single, Reason: "one trial"},
	}
	for i := range differences {
		differences[i].Baseline = experiment.RunA
	}
	return differences
}

const differencesText = `
                               baseline
cell       baseline  metric       value    value  change
original¹  run A     success      25.0%  99.910%  +74.9 points [64.9, 84.9]
                     p99         500 ms   250 ms       -250 ms [-750, 250]
                     attempts      4.00     2.00         -2.00 [−∞, -0.50]
waiting⁴   run A     success       100%     100%      0 points [0, 0]
                     p99         500 ms   540 ms      +40.0 ms

cell       baseline  metric    verdict
original¹  run A     success         better
                     p99       inconclusive²,³
                     attempts        better
waiting⁴   run A     success   inconclusive²
                     p99       inconclusive⁵

¹ restart_delay is 1s in A, none in B; rounds is 3 in A, 5 in B
² the interval spans zero
³ few trials (2)
⁴ restart_delay is 1s in A, none in B
⁵ one trial

In brackets: 95% intervals.
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
		Baseline, Verdict    string
		Settings             []experiment.SettingChange
		Change               struct{ Estimate, Low, High *float64 }
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 5 || got[1].Metric != "p99_s" || got[1].Baseline != "run A" || got[1].Verdict != "inconclusive" || got[1].Reason == "" ||
		len(got[1].Settings) != 2 || got[1].Settings[0] != (experiment.SettingChange{Factor: "restart_delay", Baseline: "1s", Value: "none"}) {
		t.Errorf("got %+v", got)
	}
	if d := got[2].Change; d.Low != nil || *d.High != -0.5 || *d.Estimate != -2 {
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

// Between the cells of one run, each cell and its baseline are named once. Their settings are not
// listed, as their titles name them.
func TestContrasts(t *testing.T) {
	differences := madeDifferences()
	for i := range differences {
		differences[i].Baseline = "first"
	}
	contrasts := differencesTable(differences)
	if len(contrasts.Rows) != len(differences) {
		t.Fatalf("%d rows of %d differences", len(contrasts.Rows), len(differences))
	}
	var heads []string
	for _, h := range contrasts.Heads {
		heads = append(heads, h.String())
	}
	if got := strings.Join(heads, ", "); got != "cell, baseline, metric, baseline value, value, change, verdict" {
		t.Errorf("columns %s", got)
	}
	var text bytes.Buffer
	if err := Contrasts(&text, "table", experiment.Summary{Differences: differences}); err != nil || !strings.Contains(text.String(), "original  first") {
		t.Errorf("%s%v", text.String(), err)
	}
	text.Reset()
	if err := Contrasts(&text, "table", experiment.Summary{}); err != nil || text.String() != "The run has no two cells to compare.\n" {
		t.Errorf("of no cells: %q, %v", text.String(), err)
	}
	for i, row := range contrasts.Rows {
		cell, base := differences[i].Cell, "first"
		if i > 0 && differences[i-1].Cell == cell {
			cell, base = "", ""
		}
		if len(row) != len(contrasts.Heads) || row[0].shown() != cell || row[1].shown() != base || row[2].Text != string(differences[i].Metric) ||
			row[len(row)-1].Text != differences[i].Effect.String() {
			t.Errorf("row %d: %+v", i, row)
		}
	}
}

// Names that would leave no room for another column are folded.
func TestLongNamesFold(t *testing.T) {
	differences := madeDifferences()
	for i := range differences {
		differences[i].Cell = "a row, p_crash 0.05, restart_delay 10s, concurrency 5"
		differences[i].Baseline = "a row, p_crash 0.05, restart_delay none, concurrency 5"
	}
	var b bytes.Buffer
	if err := Differences(&b, "table", differences); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if width(strings.TrimSuffix(line, "\n")) > terminalWidth {
			t.Errorf("wider than a terminal: %s", line)
		}
	}
	const want = `
                                                 baseline
cell                baseline           metric       value    value
a row, p_crash      a row, p_crash     success      25.0%  99.910%
0.05,               0.05,
restart_delay 10s,  restart_delay
concurrency 5       none, concurrency
                    5
`
	if !strings.HasPrefix("\n"+b.String(), want) {
		t.Errorf("%s\nwant it to begin with%s", &b, want)
	}
}
