package report

import (
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/record"
)

func html(t *testing.T, run *record.Run) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, run, summaryOf(run)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// Text from people and replicas stays text, in the page and in its data.
func TestHTMLEscapes(t *testing.T) {
	const evil = `</script><img src=x onerror=alert(1)><!--`
	run := madeRun(plan{rows: 1, levels: 2, repeats: 1, calls: 3, workers: 1})
	run.Manifest.Name, run.Manifest.Command = evil, []string{evil}
	d := run.Manifest.Design
	d.Question, d.Answer, d.Source, d.Cells[0].Row = evil, evil, evil, evil
	t0 := &run.Trials[0]
	t0.Addrs[evil] = ""
	t0.Calls[0].Reason, t0.Calls[1].Attempts[0].Replica = evil, evil
	if text := html(t, run); strings.Contains(text, "<img") || strings.Contains(text, "<!--") {
		t.Error("text has become markup")
	}
}

func TestHTMLNeedsNoNetwork(t *testing.T) {
	text := html(t, madeRun(everyday))
	if !strings.Contains(text, `content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"`) {
		t.Error("the page may ask for anything")
	}
	if !strings.Contains(text, "Copyright (c) 2022 Leon Sorokin") {
		t.Error("uPlot is there without its license")
	}
}

// Even a run without a design, which none of our programs writes, has a page.
func TestHTMLWithoutDesign(t *testing.T) {
	run := madeRun(everyday)
	summary := summaryOf(run)
	run.Manifest.Design = nil
	if err := HTML(io.Discard, run, summary); err != nil {
		t.Error(err)
	}
	summary.Cells, summary.Claims = nil, nil
	if err := HTML(io.Discard, run, summary); err != nil {
		t.Error(err)
	}
}

// The page shows which cells agree with the prediction and which command made it. The page of a run
// that was only predicted says so.
func TestHTMLWithPrediction(t *testing.T) {
	run := madeRun(everyday)
	summary := withPrediction(experiment.Summarize(run))
	summary.Prediction.Command = []string{"crashlab", "validate", "runs/x"}
	var b bytes.Buffer
	if err := HTML(&b, run, summary); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`<a href="#agreement">`, "<code>crashlab validate runs/x</code>", "The prediction agrees in 6 of 8 cells, which is not enough to rely on it (95% needed).",
		`data-word="no"`, "predicted against measured", "measured", `class="series c1 predicted"`,
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, unwanted := range []string{`<main class="predicted">`, "Nothing was measured"} {
		if strings.Contains(b.String(), unwanted) {
			t.Errorf("the page of what was measured says %s", unwanted)
		}
	}
	run.Manifest.Engine = record.EngineSimulation
	b.Reset()
	if err := HTML(&b, run, experiment.Summarize(run)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<main class="predicted">`, "Nothing was measured", "<h1>policies (predicted)</h1>", `<th scope="col">Predicted</th>`} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page of what was predicted has no %s", want)
		}
	}
	if strings.Contains(b.String(), `href="#agreement"`) {
		t.Error("the page of what was predicted has a section on agreement")
	}
}

// columns is the data that the page's scripts read.
type columns struct {
	Replicas []struct {
		Name string
		Rows int
	}
	Reasons, Codes  []string
	Calls, Attempts map[string]json.RawMessage
}

// column returns a column of n numbers.
func column(t *testing.T, all map[string]json.RawMessage, name string, n int) []int64 {
	t.Helper()
	values := make([]int64, n)
	var digits string
	switch {
	case string(all[name]) == "0":
		return values
	case json.Unmarshal(all[name], &digits) == nil && len(digits) == n:
		for i := range values {
			values[i] = int64(digits[i] - '0')
		}
		return values
	}
	if err := json.Unmarshal(all[name], &values); err != nil || len(values) != n {
		t.Fatalf("%s: %d values, want %d: %v", name, len(values), n, err)
	}
	return values
}

// Every call and every attempt can be restored from the columns.
func TestTrialJSON(t *testing.T) {
	run := madeRun(everyday)
	for _, trial := range run.Trials[:4] {
		late := &trial.Calls[20]
		late.Intended -= 5 * time.Millisecond
		late.Attempts[0].Hedge, late.Attempts[0].Incarnation = true, 11
		var got columns
		if err := json.Unmarshal(trialJSON(trial, run.Manifest.Design.Cells[trial.Cell].Settings, trialSummaryOf(trial)), &got); err != nil {
			t.Fatal(err)
		}
		want := trialTableOf(trial)
		checkCalls(t, got, want)
		checkAttempts(t, got, want)
	}
}

func checkCalls(t *testing.T, got columns, want *trialTable) {
	t.Helper()
	n := len(want.calls)
	number, intended := column(t, got.Calls, "number", n), column(t, got.Calls, "intended", n)
	late, duration := column(t, got.Calls, "late", n), column(t, got.Calls, "duration", n)
	result, reason, warmup := column(t, got.Calls, "result", n), column(t, got.Calls, "reason", n), column(t, got.Calls, "warmup", n)
	at := int64(0)
	for i, c := range want.calls {
		at += intended[i]
		if int(number[i]) != c.Number || at != c.Intended.Microseconds() || late[i] != (c.Start-c.Intended).Microseconds() ||
			duration[i] != c.Duration.Microseconds() || record.Result(result[i]) != c.Result ||
			got.Reasons[reason[i]] != c.Reason || (warmup[i] == 1) != c.Warmup {
			t.Fatalf("call %+v came back as %d %d %d %d %d %d %d", c, number[i], at, late[i], duration[i], result[i], reason[i], warmup[i])
		}
	}
}

func checkAttempts(t *testing.T, got columns, want *trialTable) {
	t.Helper()
	n := len(want.attempts)
	call, number, round := column(t, got.Attempts, "call", n), column(t, got.Attempts, "number", n), column(t, got.Attempts, "round", n)
	replica, incarnation := column(t, got.Attempts, "replica", n), column(t, got.Attempts, "incarnation", n)
	start, duration := column(t, got.Attempts, "start", n), column(t, got.Attempts, "duration", n)
	outcome, sent, code := column(t, got.Attempts, "outcome", n), column(t, got.Attempts, "sent", n), column(t, got.Attempts, "code", n)
	hedge := column(t, got.Attempts, "hedge", n)
	at := int64(0)
	for i, a := range want.attempts {
		at += start[i]
		if want.calls[call[i]].Number != want.calls[a.call].Number || int(number[i]) != a.Number || int(round[i]) != a.Round ||
			got.Replicas[replica[i]].Name != a.Replica || int(incarnation[i]) != a.Incarnation || at != a.Start.Microseconds() ||
			duration[i] != a.Duration.Microseconds() || outcome[i] != int64(a.Outcome) || (sent[i] == 1) != a.Sent ||
			(hedge[i] == 1) != a.Hedge || got.Codes[code[i]] != codeName(a.Code) {
			t.Fatalf("attempt %+v did not come back", *a.Attempt)
		}
	}
}

// No bar covers another, and no row is empty.
func TestAttemptsAreStacked(t *testing.T) {
	c := trialTableOf(madeRun(everyday).Trials[4])
	type place struct {
		replica string
		row     int
	}
	until := map[place]time.Duration{}
	for _, a := range c.attempts {
		p := place{a.Replica, a.row}
		if a.Start < until[p] {
			t.Fatalf("%s, row %d: an attempt begins at %v, before the end of the one before at %v", a.Replica, a.row, a.Start, until[p])
		}
		until[p] = a.End()
		if a.row >= c.rows[c.replicas[a.Replica]] {
			t.Fatalf("row %d of %d", a.row, c.rows[c.replicas[a.Replica]])
		}
	}
	total := 0
	for _, rows := range c.rows {
		total += rows
	}
	if len(until) != total {
		t.Errorf("%d rows have attempts, %d are drawn", len(until), total)
	}
}

// BenchmarkHTML measures the way from the files of a run to its page.
func BenchmarkHTML(b *testing.B) {
	made := madeRun(fiftyThousand)
	w, err := record.Create(filepath.Join(b.TempDir(), "runs"), made.Manifest)
	if err != nil {
		b.Fatal(err)
	}
	for _, t := range made.Trials {
		if err := w.Write(t); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(false); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		run, err := record.Open(w.Dir())
		if err != nil {
			b.Fatal(err)
		}
		if err := HTML(io.Discard, run, experiment.Summarize(run)); err != nil {
			b.Fatal(err)
		}
	}
}
