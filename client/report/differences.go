package report

import (
	"fmt"
	"io"
	"strings"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
)

// Contrasts writes how the cells of a run differ from their baselines, in the formats of
// Differences.
func Contrasts(w io.Writer, format string, s experiment.Summary) error {
	return writeDifferences(w, format, s.Differences, "The run has no two cells to compare.")
}

// Differences writes how the cells of run B differ from those of run A, a line for each cell and
// metric. The format is table (for a terminal) or json (plain numbers, times in seconds).
func Differences(w io.Writer, format string, differences []experiment.Difference) error {
	return writeDifferences(w, format, differences, "No metric has a value in both runs.")
}

// writeDifferences writes none in place of an empty table.
func writeDifferences(w io.Writer, format string, differences []experiment.Difference, none string) error {
	switch format {
	case "table":
		if len(differences) == 0 {
			_, err := fmt.Fprintln(w, none)
			return err
		}
		return writeText(w, differencesTable(differences))
	case "json":
		return writeIndented(w, differencesData(differences))
	}
	return fmt.Errorf("format %q: want table or json", format)
}

// differencesTable has a row for each difference. All rows of a cell after the first repeat its
// name.
func differencesTable(differences []experiment.Difference) table {
	t := table{Keys: 3, Heads: []head{
		{"cell"}, {"baseline"}, {"metric"}, {"baseline", "value"}, {"value"}, {"change"}, {"verdict"},
	}}
	for i, d := range differences {
		if d.Change.Level > 0 {
			t.Bounds = levelName(d.Change.Level)
		}
		again := i > 0 && differences[i-1].Cell == d.Cell
		cell, baseline := entry{Text: d.Cell, Repeated: again}, entry{Text: d.Baseline, Repeated: again}
		if !again && d.Baseline == experiment.RunA && len(d.Settings) > 0 {
			t.note(&cell, settings(d.Settings))
		}
		t.Rows = append(t.Rows, append([]entry{cell, baseline}, t.difference(d)...))
	}
	return t
}

// difference returns the rest of a row, from the metric to the verdict.
func (t *table) difference(d experiment.Difference) []entry {
	verdict := entry{Text: d.Effect.String(), Verdict: true}
	if d.Reason != "" {
		t.note(&verdict, d.Reason)
	}
	for _, warning := range d.Change.Warnings {
		t.note(&verdict, warning)
	}
	return []entry{
		{Text: string(d.Metric)}, {Text: lone(d.Metric, d.BaselineValue)}, {Text: lone(d.Metric, d.Value)}, change(d), verdict,
	}
}

// settings names the settings in which the runs differ.
func settings(changes []experiment.SettingChange) string {
	var parts []string
	for _, c := range changes {
		parts = append(parts, fmt.Sprintf("%s is %s in A, %s in B", c.Factor, c.Baseline, c.Value))
	}
	return strings.Join(parts, "; ")
}

// change is the difference with its sign. For shares it is in percentage points, since +5% could
// also mean 5% of the baseline value.
func change(d experiment.Difference) entry {
	i := d.Change
	u := intervalUnit(d.Metric, i)
	if d.Metric == design.Success {
		u = unit{" points", 100, max(1, decimals(100*i.Estimate))}
	}
	text := u.print(i.Estimate)
	if i.Estimate > 0 {
		text = "+" + text
	}
	if notFinite(i.Low) && notFinite(i.High) {
		return entry{Text: text}
	}
	return entry{Text: text, Bounds: u.bounds(i)}
}

// differencesData returns the differences with the metrics named as in data.
func differencesData(differences []experiment.Difference) []experiment.Difference {
	named := make([]experiment.Difference, len(differences)) // an empty list rather than null
	for i, d := range differences {
		d.Metric = design.Metric(dataName(d.Metric))
		named[i] = d
	}
	return named
}
