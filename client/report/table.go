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

// Table writes what each cell has shown, a line for each, and how that agrees with what was
// predicted: as table (for a terminal), md (Markdown), csv or json. The latter two have plain
// numbers, times in seconds. A format of another name is an error.
func Table(w io.Writer, format string, run *record.Run, summary experiment.Summary) error {
	if run.Manifest.Predicted() && (format == "table" || format == "md") {
		if _, err := io.WriteString(w, "Predicted: the trials ran in virtual time.\n\n"); err != nil {
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

// table is the cells as texts for people.
type table struct {
	Keys  int // how many of the columns tell the cells apart
	Heads []head
	Rows  [][]entry
	Notes []string // that the entries refer to, the first one as 1
	// Bounds names the intervals in brackets; Hint, unless empty, says what columns are.
	Bounds, Hint string
}

// entry is a text in a table. Bounds are an interval's.
type entry struct {
	Text, Bounds string
	Notes        []int // that explain it, from 1
	Verdict      bool  // the text is one
}

// head is the lines above a column.
type head []string

func (h head) String() string { return strings.Join(h, " ") }

const columnsHint = "p50 and p99: the mean of those of the trials. Design effect: how many times the variance between the " +
	"trials is that of as many independent calls. Trials for ±1%: how many like these it takes until success is known so well."

// newTable has the columns of the original lab's table, and what makes them believable.
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
		row = append(row, t.metric(c, design.Success), entry{Text: t.metric(c, design.P50).Text},
			t.metric(c, design.P99), t.metric(c, design.Attempts), entry{Text: effect(c.DesignEffect)},
			entry{Text: needed(c.RunsNeeded)})
		if len(s.Claims) > 0 {
			row = append(row, t.verdict(s, i))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

const none = "–"

// tableFactors returns the factors that have columns, and those of the rows' own that only notes
// name, as they are too many.
func tableFactors(cells []experiment.CellSummary) (columns, noted []factor) {
	const most = 3
	columns, own := factorsOf(cells), rowsOwn(cells)
	if len(own) > most {
		return columns, own
	}
	return withOwn(columns, own), nil
}

// withOwn puts the rows' own factors behind the row.
func withOwn(varied, own []factor) []factor {
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

// counts are the trials, the calls, the successes and the failures per trial.
func (t *table) counts(c experiment.CellSummary) []entry {
	n := countsOf(c)
	trials := entry{Text: strconv.Itoa(n.trials)}
	if n.interrupted > 0 {
		t.note(&trials, fmt.Sprintf("%s interrupted and not counted", counted(n.interrupted, "more trial")))
	}
	if c.Late > 0 {
		t.note(&trials, fmt.Sprintf("load generated too late to be believed in %s", counted(c.Late, "trial")))
	}
	if n.violations > 0 {
		t.note(&trials, fmt.Sprintf("records that cannot be true: %s", counted(n.violations, "violation")))
	}
	failures := entry{Text: none}
	if n.trials > 0 {
		perTrial := float64(n.failed) / float64(n.trials)
		failures.Text = unit{"", 1, min(decimals(perTrial), 2)}.number(perTrial)
	}
	return []entry{trials, {Text: strconv.Itoa(n.succeeded + n.failed)}, {Text: strconv.Itoa(n.succeeded)}, failures}
}

// counts is what the trials of a cell come to.
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
	e := entry{Text: estimate(m, i), Bounds: bounds(m, i)}
	if m == design.P50 {
		return e // it is shown without its interval, so without what is to be said of that
	}
	for _, warning := range i.Warnings {
		t.note(&e, warning)
	}
	return e
}

// note makes the entry refer to a note, to the same one as others that say the same, and once only.
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

// needed is how many trials it takes to know the share of successes to ±1%.
func needed(trials int) string {
	const most = 99_999 // who wants to know more?
	switch {
	case trials == 0:
		return none
	case trials > most:
		return fmt.Sprintf("> %d", most)
	}
	return strconv.Itoa(trials)
}

// verdict is the worst one of the claims about the cell, with a note for each that is not held.
func (t *table) verdict(s experiment.Summary, cell int) entry {
	worst, about := cellVerdict(s, cell)
	if !about {
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

// measured is the interval for a reader of a claim.
func measured(m design.Metric, i stats.Interval) string {
	if !isMeasured(i) {
		return "not measured"
	}
	return interval(m, i)
}

func isMeasured(i stats.Interval) bool { return i.N > 0 && !notFinite(i.Estimate) }

// cellVerdict is the worst verdict of the claims about the cell; false when none is about it.
func cellVerdict(s experiment.Summary, cell int) (worst experiment.Verdict, about bool) {
	for _, c := range s.Claims {
		if c.Cell == cell {
			worst, about = max(worst, c.Verdict), true
		}
	}
	return worst, about
}
