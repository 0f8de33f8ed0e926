package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/stats"
)

// Table writes a line for each cell, and a comparison with the prediction if there is one. The
// format is table (for a terminal), md (Markdown), csv or json. The first two begin with the
// design's question and its answer; the last two have plain numbers, times in seconds.
func Table(w io.Writer, format string, run *record.Run, summary experiment.Summary) error {
	if format == "table" || format == "md" {
		if err := writeIntroduction(w, format, run, summary.Answer); err != nil {
			return err
		}
	}
	var err error
	switch format {
	case "table":
		err = writeText(w, newTable(summary))
	case "md":
		err = writeMarkdown(w, newTable(summary))
	case "csv":
		return writeCSV(w, summary)
	case "json":
		return writeJSON(w, run, summary)
	default:
		return fmt.Errorf("format %q: want table, csv, json or md", format)
	}
	if err != nil || summary.Prediction == nil {
		return err
	}
	if _, err := io.WriteString(w, "\nMeasured and predicted:\n\n"); err != nil {
		return err
	}
	return Agreements(w, format, summary.Agreements())
}

// writeIntroduction writes what comes before the table: whether it is predicted, the question and
// the answer.
func writeIntroduction(w io.Writer, format string, run *record.Run, a experiment.Answer) error {
	var lines []string
	if run.Manifest.Predicted() {
		lines = append(lines, "Predicted: the trials ran in virtual time.")
	}
	if a.Question != "" {
		lines = append(lines, "Question: "+a.Question)
	}
	if text := a.Text + a.Unsupported; text != "" {
		lines = append(lines, "Answer: "+text)
	}
	var b strings.Builder
	for _, l := range lines {
		if format == "md" {
			b.WriteString(escapeMarkdown(l) + "\n\n")
			continue
		}
		b.WriteString(fold(l, terminalWidth) + "\n")
	}
	if format == "table" && lines != nil {
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// table is a table of texts for people.
type table struct {
	Keys   int // how many columns, from the left, tell the rows apart
	Heads  []head
	Rows   [][]entry
	Notes  []string // footnotes, numbered from 1
	Bounds string   // what the intervals in brackets are; may be empty
	Hint   string   // what columns mean; may be empty
}

// entry is a text in a table. Bounds are those of an interval.
type entry struct {
	Text, Bounds string
	Notes        []int // numbers of its footnotes
	Verdict      bool  // the text is a verdict
	Repeated     bool  // the text is that of the row above, and need not be shown
}

// Legend explains the columns, below the table.
func (t table) Legend() string {
	if t.Bounds == "" {
		return t.Hint
	}
	return strings.TrimSpace("In brackets: " + t.Bounds + ". " + t.Hint)
}

// head is the lines above a column.
type head []string

func (h head) String() string { return strings.Join(h, " ") }

const columnsHint = "p50, p99: means over the trials. Design effect: how many times larger the variance of success between " +
	"trials is than if calls failed independently. Trials for ±1%: how many like these it takes to know success that well."

// newTable has the columns of the original lab's table, and those that show how reliable they are.
func newTable(s experiment.Summary) table {
	varied, noted := tableFactors(s.Cells)
	t := table{Keys: max(1, len(varied)), Bounds: confidence(s), Hint: columnsHint}
	for _, f := range varied {
		t.Heads = append(t.Heads, head{f.name})
	}
	if len(varied) == 0 {
		t.Heads = []head{{"cell"}}
	}
	t.Heads = append(t.Heads, head{"trials"}, head{"calls"}, head{"successes"}, head{"failures", "per trial"},
		head{"success"}, head{"p50"}, head{"p99"}, head{"sent", "per call"},
		head{"design", "effect"}, head{"trials", "for ±1%"})
	if len(s.Claims) > 0 {
		t.Heads = append(t.Heads, head{"verdict"})
	}
	for i, c := range s.Cells {
		row := t.keys(c.Cell, varied, noted)
		row = append(row, t.counts(c)...)
		row = append(row, t.metric(c, design.Success), t.metric(c, design.P50), t.metric(c, design.P99), t.metric(c, design.Attempts),
			entry{Text: effect(c.DesignEffect)}, entry{Text: needed(c.TrialsNeeded)})
		if len(s.Claims) > 0 {
			row = append(row, t.verdict(s, i))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

const none = "–"

// tableFactors returns the factors that get columns and, if the rows set too many factors for
// columns, those that footnotes list instead.
func tableFactors(cells []experiment.CellSummary) (columns, noted []factor) {
	const most = 3
	columns, own := factorsOf(cells), rowFactors(cells)
	if len(own) > most {
		return columns, own
	}
	return withRowFactors(columns, own), nil
}

// withRowFactors inserts the factors that the rows set after the row.
func withRowFactors(varied, own []factor) []factor {
	if len(varied) == 0 || varied[0].name != rowFactor {
		return varied
	}
	return slices.Insert(varied, 1, own...)
}

func (t *table) keys(c design.Cell, varied, noted []factor) []entry {
	if len(varied) == 0 {
		return []entry{{Text: c.Title()}}
	}
	var keys []entry
	for _, f := range varied {
		e := entry{Text: levelOf(c, f.name)}
		if f.name == rowFactor && len(noted) > 0 {
			t.note(&e, c.Row+": "+levelsName(c, noted))
		}
		keys = append(keys, e)
	}
	return keys
}

// counts returns the trials, the calls, the successes and the failures per trial.
func (t *table) counts(c experiment.CellSummary) []entry {
	n := countsOf(c)
	trials := entry{Text: strconv.Itoa(n.trials)}
	if n.interrupted > 0 {
		t.note(&trials, fmt.Sprintf("%s interrupted and not counted", counted(n.interrupted, "more trial")))
	}
	if c.Late > 0 {
		t.note(&trials, fmt.Sprintf("the load was generated too late in %s", counted(c.Late, "trial")))
	}
	if n.violations > 0 {
		t.note(&trials, fmt.Sprintf("the checks of the records found %s", counted(n.violations, "violation")))
	}
	failures := entry{Text: none}
	if n.trials > 0 {
		perTrial := float64(n.failed) / float64(n.trials)
		failures.Text = unit{"", 1, min(decimals(perTrial), 2)}.number(perTrial)
	}
	return []entry{trials, {Text: strconv.Itoa(n.succeeded + n.failed)}, {Text: strconv.Itoa(n.succeeded)}, failures}
}

// counts has the totals of a cell's trials.
type counts struct{ trials, succeeded, failed, interrupted, violations int }

func countsOf(c experiment.CellSummary) counts {
	counting := c.Counted()
	n := counts{trials: len(counting), interrupted: len(c.Trials) - len(counting)}
	for _, t := range counting {
		n.succeeded += t.Succeeded
		n.failed += t.Failed
	}
	for _, t := range c.Trials {
		n.violations += len(t.Violations)
	}
	return n
}

func (t *table) metric(c experiment.CellSummary, m design.Metric) entry {
	i, ok := metricOf(c, m)
	if !ok {
		return entry{Text: none}
	}
	if m == design.P50 {
		return entry{Text: lone(m, i)} // its interval has no room, so warnings about it have none either
	}
	e := entry{Text: estimate(m, i), Bounds: bounds(m, i)}
	for _, warning := range i.Warnings {
		t.note(&e, warning)
	}
	return e
}

// note gives the entry a footnote. Entries with the same footnote share its number.
func (t *table) note(e *entry, text string) {
	at := slices.Index(t.Notes, text)
	if at < 0 {
		at = len(t.Notes)
		t.Notes = append(t.Notes, text)
	}
	if !slices.Contains(e.Notes, at+1) {
		e.Notes = append(e.Notes, at+1)
		slices.Sort(e.Notes)
	}
}

func effect(designEffect float64) string {
	if designEffect == 0 || notFinite(designEffect) {
		return none
	}
	return unit{"", 1, min(decimals(designEffect), 1)}.number(designEffect)
}

// needed spells how many trials it takes to know the share of successes to ±1%.
func needed(trials int) string {
	const most = 99_999 // nobody runs more
	switch {
	case trials == 0:
		return none
	case trials > most:
		return fmt.Sprintf("> %d", most)
	}
	return strconv.Itoa(trials)
}

// verdict is the worst verdict of the claims about the cell, with a footnote for each claim that
// does not hold.
func (t *table) verdict(s experiment.Summary, cell int) entry {
	worst, claimed := cellVerdict(s, cell)
	if !claimed {
		return entry{Text: none}
	}
	e := entry{Text: worst.String(), Verdict: true}
	for _, c := range s.Claims {
		if c.Cell == cell && c.Verdict != experiment.VerdictHeld {
			t.note(&e, fmt.Sprintf("%s: %s", c.Claim.Text, measured(c.Claim.Metric, c.Interval)))
		}
	}
	return e
}

// measured prints the interval of a claim, if there is one.
func measured(m design.Metric, i stats.Interval) string {
	if !isMeasured(i) {
		return "not measured"
	}
	return interval(m, i)
}

func isMeasured(i stats.Interval) bool { return i.N > 0 && !notFinite(i.Estimate) }

// cellVerdict returns the worst verdict of the claims about the cell; false if there are none.
func cellVerdict(s experiment.Summary, cell int) (worst experiment.Verdict, claimed bool) {
	for _, c := range s.Claims {
		if c.Cell == cell {
			worst, claimed = max(worst, c.Verdict), true
		}
	}
	return worst, claimed
}
