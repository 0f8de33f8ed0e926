package report

import (
	"fmt"
	"io"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
)

// Agreements writes a line for each cell, with every metric as measured and as predicted, and the
// number of cells in which they agree. The format is table (for a terminal) or md (Markdown).
func Agreements(w io.Writer, format string, agreements []experiment.Agreement) error {
	var err error
	switch format {
	case "table":
		err = writeText(w, agreementsTable(agreements))
	case "md":
		err = writeMarkdown(w, agreementsTable(agreements))
	default:
		return fmt.Errorf("format %q: want table or md", format)
	}
	if err == nil {
		_, err = fmt.Fprintf(w, "\n%s\n", agreeing(agreements))
	}
	return err
}

// agreeing says in how many cells the prediction agrees, such as "29 of 30 cells agree, of 720
// trials".
func agreeing(agreements []experiment.Agreement) string {
	agree, cells := experiment.AgreeingCells(agreements)
	trials := 0
	for _, a := range agreements {
		if a.Metric == design.Success {
			trials += a.Measured.N
		}
	}
	return fmt.Sprintf("%d of %d cells agree, of %s", agree, cells, counted(trials, "trial"))
}

// agreementSentence says in how many cells the prediction agrees, and whether that is enough.
func agreementSentence(agreements []experiment.Agreement) string {
	agree, cells := experiment.AgreeingCells(agreements)
	if cells == 0 {
		return "There is a prediction, but nothing was measured to compare it with."
	}
	verdict := ", which is enough to rely on it"
	if !experiment.Reliable(agreements) {
		verdict = ", which is not enough to rely on it"
	}
	return fmt.Sprintf("The prediction agrees in %d of %s%s (%g%% needed).", agree, counted(cells, "cell"), verdict, 100*experiment.RequiredAgreement)
}

func agreementsTable(agreements []experiment.Agreement) table {
	const verdict = 1
	columns := map[design.Metric]int{design.Success: 2, design.Attempts: 3, design.P50: 4, design.P99: 5}
	t := table{Keys: 1, Heads: []head{
		{"cell"}, {"agree"}, {"success,", "predicted"}, {"sent per call,", "predicted"}, {"p50,", "predicted"}, {"p99,", "predicted"},
	}}
	t.Hint = "Measured ≈ predicted, or ≠ if they are further apart than allowed."
	var row []entry
	for i, a := range agreements {
		if i == 0 || agreements[i-1].Cell != a.Cell {
			row = []entry{{Text: a.Cell}, {Text: "yes", Verdict: true}, {Text: none}, {Text: none}, {Text: none}, {Text: none}}
			if a.Late > 0 {
				t.note(&row[0], fmt.Sprintf("the load was generated too late in %s", counted(a.Late, "trial")))
			}
			t.Rows = append(t.Rows, row)
		}
		sign, e := "≈ ", &row[columns[a.Metric]]
		if !a.Agrees() {
			sign, row[verdict].Text = "≠ ", "no"
			t.note(e, disagreement(a))
		}
		e.Text, e.Bounds = interval(a.Metric, a.Measured), sign+interval(a.Metric, a.Predicted)
	}
	return t
}

// disagreement says by how much the two differ and how much is allowed: in percentage points for
// success, else as a share of the measured value.
func disagreement(a experiment.Agreement) string {
	differ, of, unit := a.Predicted.Estimate-a.Measured.Estimate, a.Measured.Estimate, "%"
	switch {
	case a.Metric == design.Success:
		of, unit = 1, " points"
	case of == 0:
		return fmt.Sprintf("%s %s, measured 0", a.Metric, lone(a.Metric, a.Predicted))
	}
	return fmt.Sprintf("%s %+.1f%s, allowed ±%.1f", a.Metric, 100*differ/of, unit, 100*a.Allowed/of)
}
