package report

import (
	"fmt"
	"io"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
)

// Agreements writes a line for each cell: every metric as measured and as predicted. The format is table (for a terminal) or md
// (Markdown); one of another name is an error.
func Agreements(w io.Writer, format string, agreements []experiment.Agreement) error {
	switch format {
	case "table":
		return writeText(w, agreementsTable(agreements))
	case "md":
		return writeMarkdown(w, agreementsTable(agreements))
	}
	return fmt.Errorf("format %q: want table or md", format)
}

func agreementsTable(agreements []experiment.Agreement) table {
	columns := map[design.Metric]int{design.Success: 1, design.Attempts: 2, design.P50: 3, design.P99: 4}
	t := table{Keys: 1, Heads: []head{
		{"cell"}, {"success,", "predicted"}, {"sent per call,", "predicted"}, {"p50,", "predicted"}, {"p99,", "predicted"}, {"agree"},
	}}
	var row []entry
	for i, a := range agreements {
		if i == 0 || agreements[i-1].Cell != a.Cell {
			row = []entry{{Text: a.Cell}, {Text: none}, {Text: none}, {Text: none}, {Text: none}, {Text: "yes", Verdict: true}}
			if a.Late > 0 {
				t.note(&row[0], fmt.Sprintf("load generated too late to be believed in %s", counted(a.Late, "trial")))
			}
			t.Rows = append(t.Rows, row)
		}
		row[columns[a.Metric]] = entry{Text: estimate(a.Metric, a.Measured) + ", " + estimate(a.Metric, a.Predicted)}
		if verdict := &row[len(row)-1]; !a.Agrees() {
			verdict.Text = "no"
			t.note(verdict, disagreement(a))
		}
	}
	return t
}

// disagreement says by how much more than is allowed the two differ: in points of a percentage, or as a share of what was measured.
func disagreement(a experiment.Agreement) string {
	differ, of, unit := a.Predicted.Estimate-a.Measured.Estimate, a.Measured.Estimate, "%"
	if a.Metric == design.Success {
		of, unit = 1, " points"
	}
	return fmt.Sprintf("%s %+.1f%s, allowed ±%.1f", a.Metric, 100*differ/of, unit, 100*a.Allowed/of)
}
