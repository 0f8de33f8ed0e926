package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/stats"
)

// smallSummary has everything that a table can show.
func smallSummary() experiment.Summary {
	s := madeSweep("restart_delay", "200ms", "none")
	s.Cells = append(s.Cells, madeCell("", levels("restart_delay", "1m"), 0, 0, 8.9))
	first, last := &s.Cells[0], &s.Cells[2]
	for _, m := range []design.Metric{design.Success, design.P50, design.P99} {
		i := first.Metrics[m]
		i.Warnings = []string{"10 trials are few"}
		if m == design.P50 {
			i.Warnings = []string{"about an interval that is not shown"}
		}
		first.Metrics[m] = i
	}
	first.Trials[9].Trial.Interrupted = true
	first.Late, last.DesignEffect = 2, 0
	first.TrialsNeeded, s.Cells[1].TrialsNeeded = 250_000, 437
	last.Trials[3].Violations = []check.Violation{{Check: "unique values", Detail: "value 7 of a, incarnation 2, twice"}}
	claim := design.Claim{Metric: design.Success, AtLeast: true, Threshold: 0.999, Text: "success >= 0.999"}
	for i, v := range []experiment.Verdict{experiment.VerdictHeld, experiment.VerdictInconclusive} {
		s.Claims = append(s.Claims, experiment.ClaimResult{Claim: claim, Cell: i, Verdict: v, Interval: s.Cells[i].Metrics[design.Success]})
	}
	s.Claims = append(s.Claims, experiment.ClaimResult{
		Claim: design.Claim{Metric: design.P99, Text: "p99 <= 2s"}, Cell: 1, Verdict: experiment.VerdictFailed,
	})
	s.Verdict = experiment.VerdictFailed
	return s
}

const smallTable = `
                                          failures
restart_delay  trials  calls  successes  per trial  success
200ms            9¹,²    900        900          0   100% [100, 100]³
none            10      1000        650       35.0  65.0% [51.4, 78.6]
1m              10⁶     1000          0        100     0% [0, 0]

                                             sent
restart_delay      p50  p99                  per call
200ms          25.0 ms  200 ms [167, 233]³   1.00 [0.90, 1.10]
none            150 ms  1.20 s [1.00, 1.40]  3.00 [2.70, 3.30]
1m                   –       –               8.90 [8.01, 9.79]

               design   trials
restart_delay  effect  for ±1%  verdict
200ms             4.2  > 99999    held
none              4.2      437  failed⁴,⁵
1m                  –        –       –

¹ 1 more trial interrupted and not counted
² the load was generated too late in 2 trials
³ 10 trials are few
⁴ success >= 0.999: 65.0% [51.4, 78.6]
⁵ p99 <= 2s: not measured
⁶ the checks of the records found 1 violation

In brackets: 95% intervals. p50, p99: means over the trials. Design effect: how
many times larger the variance of success between trials is than if calls failed
independently. Trials for ±1%: how many like these it takes to know success that
well.
`

const smallMarkdown = `
| restart_delay | trials | calls | successes | failures per trial | success | p50 | p99 | sent per call | design effect | trials for ±1% | verdict |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| 200ms | 9¹,² | 900 | 900 | 0 | 100% [100, 100]³ | 25.0 ms | 200 ms [167, 233]³ | 1.00 [0.90, 1.10] | 4.2 | > 99999 | held |
| none | 10 | 1000 | 650 | 35.0 | 65.0% [51.4, 78.6] | 150 ms | 1.20 s [1.00, 1.40] | 3.00 [2.70, 3.30] | 4.2 | 437 | failed⁴,⁵ |
| 1m | 10⁶ | 1000 | 0 | 100 | 0% [0, 0] | – | – | 8.90 [8.01, 9.79] | – | – | – |

¹ 1 more trial interrupted and not counted

² the load was generated too late in 2 trials

³ 10 trials are few

⁴ success >= 0.999: 65.0% [51.4, 78.6]

⁵ p99 <= 2s: not measured

⁶ the checks of the records found 1 violation

In brackets: 95% intervals. p50, p99: means over the trials. Design effect: how many times larger the variance of success between trials is than if calls failed independently. Trials for ±1%: how many like these it takes to know success that well.
`

func tableText(t *testing.T, format string, s experiment.Summary) string {
	t.Helper()
	var b bytes.Buffer
	if err := Table(&b, format, namedRun(), s); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestTableForPeople(t *testing.T) {
	for format, want := range map[string]string{"table": smallTable, "md": smallMarkdown} {
		if got := "\n" + tableText(t, format, smallSummary()); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", format, got, want)
		}
	}
}

// A table is split into as few blocks as fit a terminal, even if its columns must be closer together.
func TestTableWidth(t *testing.T) {
	for _, tc := range []struct {
		factor string
		blocks int
	}{{"timeout", 2}, {"p_crash_of_arrivals", 3}, {"a_factor" + strings.Repeat("_of_a_long_name", 2), 4}} {
		text := tableText(t, "table", madeSweep(tc.factor, "100ms", "1s", "none"))
		if got := strings.Count(text, "100ms"); got != tc.blocks {
			t.Errorf("%s: %d blocks, want %d:\n%s", tc.factor, got, tc.blocks, text)
		}
		for line := range strings.Lines(text) {
			if w := width(strings.TrimRight(line, "\n")); w > terminalWidth {
				t.Errorf("%s: a line of %d columns, want at most %d: %s", tc.factor, w, terminalWidth, line)
			}
		}
	}
}

func TestTableOfOneCell(t *testing.T) {
	s := experiment.Summary{Cells: []experiment.CellSummary{madeCell("", nil, 0.5, 1, 2)}}
	if text := tableText(t, "table", s); !strings.Contains(text, "\nall trials ") {
		t.Errorf("the only cell is not called all trials:\n%s", text)
	}
}

func TestCSV(t *testing.T) {
	lines, err := csv.NewReader(strings.NewReader(tableText(t, "csv", smallSummary()))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 4 {
		t.Fatalf("%d lines, want a head and 3 cells", len(lines))
	}
	for _, tc := range []struct {
		line       int
		head, want string
	}{
		{1, "restart_delay_s", "0.2"}, {2, "restart_delay_s", "none"}, {3, "restart_delay_s", "60"},
		{1, "trials", "9"}, {1, "calls", "900"}, {1, "interrupted_trials", "1"}, {1, "late_trials", "2"},
		{2, "successes_total", "650"}, {2, "failures_total", "350"}, {2, "failures_per_trial", "35"},
		{2, "success", "0.65"}, {2, "p99_s", "1.2"}, {2, "p50_s", "0.15"}, {2, "attempts_sent_per_call", "3"},
		{3, "p99_s", ""}, {3, "p99_s_high", ""}, {1, "design_effect", "4.25"}, {3, "design_effect", ""}, {2, "trials_needed", "437"}, {3, "trials_needed", ""}, {3, "violations", "1"},
		{1, "verdict", "held"}, {2, "verdict", "failed"}, {3, "verdict", ""},
	} {
		column := -1
		for i, h := range lines[0] {
			if h == tc.head {
				column = i
			}
		}
		if column < 0 {
			t.Errorf("no column %s", tc.head)
		} else if got := lines[tc.line][column]; got != tc.want {
			t.Errorf("line %d, %s: %q, want %q", tc.line, tc.head, got, tc.want)
		}
	}
}

func TestJSON(t *testing.T) {
	s := smallSummary()
	s.Cells[1].Metrics[design.P99] = stats.Interval{Estimate: 1.2, Low: math.Inf(-1), High: math.Inf(1), N: 1}
	s.Cells[2].Metrics[design.Makespan] = stats.Interval{Estimate: math.NaN(), N: 2}
	type interval struct {
		Estimate  float64
		Low, High *float64
		N         int
	}
	var got struct {
		Name, Verdict string
		Seed          uint64
		Cells         []struct {
			Name    string
			Levels  map[string]any
			Metrics map[string]interval
			Verdict string
		}
		Claims []struct {
			Claim, Verdict string
			Cell           int
			Interval       *interval
		}
		Violations []violationJSON
	}
	if err := json.Unmarshal([]byte(tableText(t, "json", s)), &got); err != nil {
		t.Fatal(err)
	}
	if got.Name != "made" || got.Seed != 7 || got.Verdict != "failed" || len(got.Cells) != 3 || len(got.Claims) != 3 {
		t.Errorf("%q, seed %d, %s, %d cells, %d claims", got.Name, got.Seed, got.Verdict, len(got.Cells), len(got.Claims))
	}
	first, second := got.Cells[0], got.Cells[1]
	if first.Name != "restart_delay 200ms" || first.Levels["restart_delay_s"] != 0.2 || second.Levels["restart_delay_s"] != "none" {
		t.Errorf("cell %q has levels %v, the second one %v", first.Name, first.Levels, second.Levels)
	}
	p99 := second.Metrics["p99_s"]
	if p99.Estimate != 1.2 || p99.Low != nil || p99.High != nil || p99.N != 1 {
		t.Errorf("p99 %+v, want 1.2 without bounds", p99)
	}
	if c := got.Claims[1]; c.Claim != "success >= 0.999" || c.Cell != 1 || c.Verdict != "inconclusive" || c.Interval == nil {
		t.Errorf("second claim %+v", c)
	}
	if c := got.Claims[2]; c.Interval != nil {
		t.Errorf("a claim about what was not measured has the interval %+v", *c.Interval)
	}
	want := violationJSON{4, "unique values", "value 7 of a, incarnation 2, twice"}
	if len(got.Violations) != 1 || got.Violations[0] != want {
		t.Errorf("violations %+v, want %+v", got.Violations, want)
	}
}

// Every format has the predictions.
func TestTablesWithPrediction(t *testing.T) {
	s := withPrediction(madeSweep("restart_delay", "200ms", "none", "1m"))
	for _, format := range []string{"table", "md"} {
		text := tableText(t, format, s)
		if !strings.Contains(text, "\nMeasured and predicted:\n") || !strings.HasSuffix(text, "2 of 3 cells agree, of 30 trials\n") {
			t.Errorf("%s:\n%s", format, text)
		}
	}
	lines, err := csv.NewReader(strings.NewReader(tableText(t, "csv", s))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if at := slices.Index(lines[0], "attempts_sent_per_call_predicted"); at < 0 || lines[3][at] != plain(s.Cells[2].Predicted[design.Attempts].Estimate) {
		t.Errorf("csv: %q", lines)
	}
	var got struct {
		Cells []struct {
			Predicted map[string]struct{ Estimate float64 }
		}
		Agreements []struct {
			Cell, Metric string
			Agrees       bool
			Predicted    struct{ Estimate float64 }
			Allowed      float64
		}
	}
	if err := json.Unmarshal([]byte(tableText(t, "json", s)), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Agreements) != 12 || got.Cells[2].Predicted["p99_s"].Estimate != s.Cells[2].Predicted[design.P99].Estimate {
		t.Fatalf("json: %+v", got)
	}
	last := got.Agreements[11]
	if last.Cell != "restart_delay 1m" || last.Metric != "p99_s" || last.Agrees || last.Allowed != 0.2*s.Cells[2].Metrics[design.P99].Estimate {
		t.Errorf("json: %+v", last)
	}
}

func TestTableRefusesFormat(t *testing.T) {
	err := Table(&bytes.Buffer{}, "xml", namedRun(), smallSummary())
	if want := `format "xml": want table, csv, json or md`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestTableHTML(t *testing.T) {
	s := smallSummary()
	s.Cells[0].Cell.Levels[0].Value = "<i>&"
	text := rendered(t, "table", newTable(s))
	var root element
	if err := xml.Unmarshal([]byte("<div>"+text+"</div>"), &root); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	for _, want := range []string{
		"<td>&lt;i&gt;&amp;</td>", `data-word="failed"`, "<li>10 trials are few</li>", `[51.4, 78.6]`, "95% intervals",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the table has no %s:\n%s", want, text)
		}
	}
}

// Special characters of Markdown in a name do not break a row.
func TestMarkdownEscapes(t *testing.T) {
	s := madeGrid([]string{"row", "a|b", "<c>*"}, []string{"order", "first", "last"})
	for line := range strings.Lines(tableText(t, "md", s)) {
		if got := strings.Count(line, "|") - strings.Count(line, `\|`); strings.HasPrefix(line, "|") && got != 13 {
			t.Errorf("%d bars, want those of 12 columns: %s", got, line)
		}
	}
}

// numberedSummary has rows that are named by numbers, as in the original lab.
func numberedSummary() experiment.Summary {
	s := madeGrid([]string{"row", "1", "2"}, []string{"restart_delay", "none", "1s"})
	for i := range s.Cells {
		settings := design.Defaults()
		settings.PCrash, settings.Timeout = 0.3, time.Second
		if s.Cells[i].Cell.Row == "2" {
			settings.PCrash, settings.Timeout = 0.1, 2*time.Second
		}
		settings.RestartDelay = time.Duration(i) // it is in the levels, so not the row's own
		s.Cells[i].Cell.Settings = settings
	}
	return s
}

func TestTableExplainsRows(t *testing.T) {
	s := numberedSummary()
	text := tableText(t, "table", s)
	for _, want := range []string{"row  p_crash  timeout  restart_delay ", "1    0.3      1s       none ", "2    0.1      2s       1s "} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q:\n%s", want, text)
		}
	}
	if head := strings.SplitN(tableText(t, "csv", s), ",trials,", 2)[0]; head != "row,p_crash,timeout_s,restart_delay_s" {
		t.Errorf("the CSV's columns begin with %s", head)
	}
	for _, notes := range [][]string{sweepChart(s).Notes, policiesChart(s).Notes} {
		if !slices.Contains(notes, "Row 2: p_crash 0.1, timeout 2s.") {
			t.Errorf("a chart's notes do not say what the rows are: %q", notes)
		}
	}
}

// Rows that differ in many factors are explained by footnotes.
func TestTableNotesRows(t *testing.T) {
	s := numberedSummary()
	for i := range s.Cells {
		if c := &s.Cells[i].Cell; c.Row == "2" {
			c.Settings.Rounds, c.Settings.Pause = 7, 0
		}
	}
	text := tableText(t, "table", s)
	for _, want := range []string{"2²   1s ", "\n² 2: p_crash 0.1, timeout 2s, rounds 7, pause 0s\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %q:\n%s", want, text)
		}
	}
}

// Question and answer come before the table, in a paragraph each.
func TestTableWithAnswer(t *testing.T) {
	s := smallSummary()
	s.Answer = experiment.Answer{Question: "Why?", Text: "Because " + strings.Repeat("it goes on, ", 12) + "a|b."}
	for format, want := range map[string]string{
		"table": "Question: Why?\nAnswer: Because it goes on,",
		"md":    "Question: Why?\n\nAnswer: Because it goes on,",
	} {
		text := tableText(t, format, s)
		if !strings.HasPrefix(text, want) {
			t.Errorf("%s begins with %.80q, want %q", format, text, want)
		}
		for line := range strings.Lines(text) {
			if w := width(strings.TrimRight(line, "\n")); format == "table" && w > terminalWidth {
				t.Errorf("a line of %d columns, want at most %d: %s", w, terminalWidth, line)
			}
		}
	}
	if text := tableText(t, "md", s); !strings.Contains(text, `a\|b.`+"\n\n| restart_delay |") {
		t.Errorf("the answer in Markdown:\n%s", text)
	}
	var data struct{ Answer experiment.Answer }
	if err := json.Unmarshal([]byte(tableText(t, "json", s)), &data); err != nil || data.Answer != s.Answer {
		t.Errorf("as JSON %+v, %v", data.Answer, err)
	}
	s.Answer = experiment.Answer{Question: "Why?", Unsupported: "The trials do not support it."}
	if text := tableText(t, "table", s); !strings.HasPrefix(text, "Question: Why?\nAnswer: The trials do not support it.\n\n") {
		t.Errorf("an answer that the trials do not support:\n%s", text)
	}
}
