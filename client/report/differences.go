package report

import (
	"fmt"
	"io"
	"strings"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
)

// Contrasts writes how the cells of a run differ from its first, in the formats of Differences.
func Contrasts(w io.Writer, format string, s experiment.Summary) error {
	switch {
	case format != "table":
		return Differences(w, format, s.Differences)
	case len(s.Differences) == 0:
		_, err := io.WriteString(w, "The run has no two cells to compare.\n")
		return err
	}
	return writeText(w, contrastsTable(s))
}

// Differences writes how run B differs from run A, a line for each cell and metric: as table (for a
// terminal) or json, which has plain numbers, times in seconds. A format of another name is an
// error.
func Differences(w io.Writer, format string, differences []experiment.Difference) error {
	switch format {
	case "table":
		if len(differences) == 0 {
			_, err := io.WriteString(w, "No metric has a value in both runs.\n")
			return err
		}
		return writeText(w, differencesTable(differences))
	case "json":
		return writeIndented(w, differencesData(differences))
	}
	return fmt.Errorf("format %q: want table or json", format)
}

// differencesTable names each cell in the first of its lines only.
func differencesTable(differences []experiment.Difference) table {
	t := table{Keys: 2, Heads: []head{{"cell"}, {"metric"}, {"A"}, {"B"}, {"B less A"}, {"B is"}}}
	for i, d := range differences {
		var cell entry
		if i == 0 || differences[i-1].Cell != d.Cell {
			cell.Text = d.Cell
			if len(d.Changed) > 0 {
				t.note(&cell, changes(d.Changed))
			}
		}
		t.Rows = append(t.Rows, append([]entry{cell}, t.difference(d)...))
	}
	return t
}

// contrastsTable is of the differences between the cells of one run.
func contrastsTable(s experiment.Summary) table {
	t := table{Keys: 3, Bounds: confidence(s), Heads: []head{
		{"cell"}, {"baseline"}, {"metric"}, {"baseline value"}, {"value"}, {"change"}, {"verdict"},
	}}
	for i, d := range s.Differences {
		cell, base := entry{Text: d.Cell}, entry{Text: d.Base}
		if i > 0 && s.Differences[i-1].Cell == d.Cell {
			cell, base = entry{}, entry{}
		}
		t.Rows = append(t.Rows, append([]entry{cell, base}, t.difference(d)...))
	}
	return t
}

// difference is the part of a row that says what differs, and what of it is to be believed.
func (t *table) difference(d experiment.Difference) []entry {
	effect := entry{Text: d.Effect.String(), Verdict: true}
	if d.Reason != "" {
		t.note(&effect, d.Reason)
	}
	for _, warning := range d.Delta.Warnings {
		t.note(&effect, warning)
	}
	return []entry{{Text: string(d.Metric)}, {Text: estimate(d.Metric, d.A)}, {Text: estimate(d.Metric, d.B)}, delta(d), effect}
}

// changes names what was set otherwise in run B.
func changes(changed []experiment.Change) string {
	var parts []string
	for _, c := range changed {
		parts = append(parts, fmt.Sprintf("%s is %s in A, %s in B", c.Factor, c.A, c.B))
	}
	return strings.Join(parts, "; ")
}

// delta is the difference with its sign. That of shares is in points of a percentage: +5% could be
// 5% of what A has.
func delta(d experiment.Difference) entry {
	i := d.Delta
	u := unitOf(d.Metric, i.Estimate)
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

// differencesData calls the metrics as data do.
func differencesData(differences []experiment.Difference) []experiment.Difference {
	named := make([]experiment.Difference, len(differences)) // an empty list, not null
	for i, d := range differences {
		d.Metric = design.Metric(dataName(d.Metric))
		named[i] = d
	}
	return named
}
