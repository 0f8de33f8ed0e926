package experiment

import (
	"fmt"
	"slices"
	"strings"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/stats"
)

// Difference is how a metric of a cell differs between two runs, A and B, or between two cells of
// one run.
type Difference struct {
	Cell    string         `json:"cell"`              // the title of B's cell
	Base    string         `json:"base,omitempty"`    // and of A's, in one run; empty between runs
	Changed []Change       `json:"changed,omitempty"` // what was set otherwise in B
	Metric  design.Metric  `json:"metric"`
	A       stats.Interval `json:"a"`
	B       stats.Interval `json:"b"`
	Delta   stats.Interval `json:"b_less_a"`
	Effect  Effect         `json:"b_is"`
	Reason  string         `json:"reason,omitempty"` // why it is undecided; empty otherwise
}

// Change is a factor that had one value in A and another in B, as a design file spells them.
type Change struct {
	Factor string `json:"factor"`
	A      string `json:"a"`
	B      string `json:"b"`
}

// Effect is what a difference means.
type Effect int

const (
	EffectUndecided Effect = iota // "inconclusive": the interval spans zero, or is not to be believed
	EffectBetter                  // B is
	EffectWorse                   // B is
)

var effectNames = [...]string{EffectUndecided: "inconclusive", EffectBetter: "better", EffectWorse: "worse"}

// String returns "better", "worse" or "inconclusive".
func (e Effect) String() string {
	if e < 0 || int(e) >= len(effectNames) {
		return fmt.Sprintf("Effect(%d)", int(e))
	}
	return effectNames[e]
}

// MarshalText returns what String does.
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// Compare returns by how much the metrics of run b are above those of run a, for each cell that
// both have: those of the same title and, when each of the runs has one cell only, these whatever
// their titles. The order is that of a's cells. It leaves out metrics that one of the two has no
// value of. An error, one line that names the cells, means that no cell is in both. It does not
// check the records, see [Summarize].
func Compare(a, b *record.Run) ([]Difference, error) {
	before, after := cellsOf(a, unchecked), cellsOf(b, unchecked)
	var differences []Difference
	paired := false
	for _, x := range before {
		for _, y := range after {
			if x.Cell.Title() == y.Cell.Title() || len(before) == 1 && len(after) == 1 {
				paired = true
				differences = append(differences, compareCells(x, y, design.Metrics()...)...)
			}
		}
	}
	if !paired {
		return nil, fmt.Errorf("no cell is in both runs: %s has %s; %s has %s", a.Dir, titles(before), b.Dir, titles(after))
	}
	return differences, nil
}

// titles names the cells, the first few where they are many.
func titles(cells []CellSummary) string {
	const most = 4
	var quoted []string
	for i, c := range cells {
		if i == most && len(cells) > most+1 {
			return strings.Join(quoted, ", ") + fmt.Sprintf(" and %d more", len(cells)-most)
		}
		quoted = append(quoted, fmt.Sprintf("%q", c.Cell.Title()))
	}
	return strings.Join(quoted, ", ")
}

// contrasts returns by how much the cells of a run differ from the first: the first row, or,
// without rows, the first level of the factor that has the fewest, where all else is equal.
func contrasts(cells []CellSummary) []Difference {
	treatment := treatmentOf(cells)
	var differences []Difference
	for i, c := range cells {
		base := slices.IndexFunc(cells, func(other CellSummary) bool { return equalBut(other.Cell, c.Cell, treatment) })
		if base == i {
			continue
		}
		for _, d := range compareCells(cells[base], c, design.Success, design.P99, design.Attempts) {
			d.Base = cells[base].Cell.Title()
			differences = append(differences, d)
		}
	}
	return differences
}

// treatmentOf returns the factor whose levels are compared; empty for the row.
func treatmentOf(cells []CellSummary) string {
	if len(cells) == 0 || cells[0].Cell.Row != "" {
		return ""
	}
	levels := map[string]map[string]bool{}
	for _, c := range cells {
		for _, l := range c.Cell.Levels {
			if levels[l.Factor] == nil {
				levels[l.Factor] = map[string]bool{}
			}
			levels[l.Factor][l.Value] = true
		}
	}
	fewest := ""
	for _, l := range cells[0].Cell.Levels {
		if fewest == "" || len(levels[l.Factor]) < len(levels[fewest]) {
			fewest = l.Factor
		}
	}
	return fewest
}

// equalBut reports whether two cells are equal but for the treatment.
func equalBut(a, b design.Cell, treatment string) bool {
	for i, l := range a.Levels {
		if l != b.Levels[i] && l.Factor != treatment {
			return false
		}
	}
	return a.Row == b.Row || treatment == ""
}

func compareCells(a, b CellSummary, metrics ...design.Metric) []Difference {
	changed := changes(a.Cell.Settings, b.Cell.Settings)
	var differences []Difference
	for _, m := range metrics {
		d := Difference{Cell: b.Cell.Title(), Changed: changed, Metric: m, A: a.Metrics[m], B: b.Metrics[m]}
		if d.A.N == 0 || d.B.N == 0 {
			continue
		}
		d.Delta = stats.Difference(sample(a.Counted(), m), sample(b.Counted(), m))
		d.Effect, d.Reason = effect(d, a.Late+b.Late)
		differences = append(differences, d)
	}
	return differences
}

func effect(d Difference, late int) (Effect, string) {
	sign := d.Delta.Sign()
	switch {
	case late > 0:
		return EffectUndecided, fmt.Sprintf("the load of %d trials was generated too late", late)
	case d.A.N == 1 || d.B.N == 1:
		return EffectUndecided, "one trial only: how much trials differ is unknown"
	case sign == 0 && !d.A.Bounded():
		return EffectUndecided, d.A.Warnings[0]
	case sign == 0 && !d.B.Bounded():
		return EffectUndecided, d.B.Warnings[0]
	case sign == 0:
		return EffectUndecided, "the interval spans zero"
	case (sign > 0) == higherIsBetter(d.Metric):
		return EffectBetter, ""
	}
	return EffectWorse, ""
}

func higherIsBetter(m design.Metric) bool {
	return m == design.Success || m == design.Successes || m == design.Throughput
}

// changes returns the factors in which the settings differ.
func changes(a, b design.Settings) []Change {
	var cs []Change
	for _, f := range design.Factors() {
		was, _ := a.Value(f.Name)
		is, _ := b.Value(f.Name)
		if was != is {
			cs = append(cs, Change{f.Name, was, is})
		}
	}
	return cs
}
