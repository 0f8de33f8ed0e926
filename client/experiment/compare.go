package experiment

import (
	"fmt"
	"slices"
	"strings"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/stats"
)

// Difference compares a metric of a cell with its baseline: another cell of the same run, or a cell
// of another run.
type Difference struct {
	Cell     string          `json:"cell"`               // its title
	Baseline string          `json:"baseline"`           // the title of the other cell, or RunA
	Settings []SettingChange `json:"settings,omitempty"` // that differ from those of the baseline
	Metric   design.Metric   `json:"metric"`

	BaselineValue stats.Interval `json:"baseline_value"`
	Value         stats.Interval `json:"value"`
	Change        stats.Interval `json:"change"` // Value minus BaselineValue
	Effect        Effect         `json:"verdict"`
	Reason        string         `json:"reason,omitempty"` // why it is inconclusive; empty otherwise
}

// RunA is the baseline of the differences between two runs.
const RunA = "run A"

// SettingChange is a factor whose value differs from that of the baseline, both spelled as in a
// design file.
type SettingChange struct {
	Factor   string `json:"factor"`
	Baseline string `json:"baseline"`
	Value    string `json:"value"`
}

// Effect says whether a cell is better or worse than its baseline.
type Effect int

const (
	EffectInconclusive Effect = iota // the interval of the change spans zero, or is unreliable
	EffectBetter
	EffectWorse
)

var effectNames = [...]string{EffectInconclusive: "inconclusive", EffectBetter: "better", EffectWorse: "worse"}

// String returns "better", "worse" or "inconclusive".
func (e Effect) String() string {
	if e < 0 || int(e) >= len(effectNames) {
		return fmt.Sprintf("Effect(%d)", int(e))
	}
	return effectNames[e]
}

// MarshalText returns the same text as String.
func (e Effect) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// Compare compares the cells of run b with those of run a, in the order of a's cells. It pairs
// cells of the same title or, if each run has only one cell, these two. Metrics that have no value
// in one of the runs are left out. If no cells can be paired, the error names them in one line.
// Compare does not check the records, see [Summarize].
func Compare(a, b *record.Run) ([]Difference, error) {
	before, after := cellsOf(a, unchecked), cellsOf(b, unchecked)
	var differences []Difference
	paired := false
	for _, x := range before {
		for _, y := range after {
			if x.Cell.Title() == y.Cell.Title() || len(before) == 1 && len(after) == 1 {
				paired = true
				differences = append(differences, compareCells(x, y, RunA, design.Metrics()...)...)
			}
		}
	}
	if !paired {
		return nil, fmt.Errorf("no cell is in both runs: %s has %s; %s has %s", a.Dir, titles(before), b.Dir, titles(after))
	}
	return differences, nil
}

// titles names the cells, or the first few of many.
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

// contrasts compares the cells of a run with the one in the first row or, without rows, at the
// first level of the factor that has the fewest levels, where all else is equal.
func contrasts(cells []CellSummary) []Difference {
	treatment := treatmentOf(cells)
	var differences []Difference
	for i, c := range cells {
		base := slices.IndexFunc(cells, func(other CellSummary) bool { return equalBut(other.Cell, c.Cell, treatment) })
		if base == i {
			continue
		}
		differences = append(differences,
			compareCells(cells[base], c, cells[base].Cell.Title(), design.Success, design.P99, design.Attempts)...)
	}
	return differences
}

// treatmentOf returns the factor whose levels are compared, or an empty string if rows are.
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

// equalBut reports whether two cells are equal except for the treatment.
func equalBut(a, b design.Cell, treatment string) bool {
	for i, l := range a.Levels {
		if l != b.Levels[i] && l.Factor != treatment {
			return false
		}
	}
	return a.Row == b.Row || treatment == ""
}

// compareCells compares cell b with cell a, which is called baseline.
func compareCells(a, b CellSummary, baseline string, metrics ...design.Metric) []Difference {
	settings := changes(a.Cell.Settings, b.Cell.Settings)
	var differences []Difference
	for _, m := range metrics {
		d := Difference{
			Cell: b.Cell.Title(), Baseline: baseline, Settings: settings, Metric: m,
			BaselineValue: a.Metrics[m], Value: b.Metrics[m],
		}
		if d.BaselineValue.N == 0 || d.Value.N == 0 {
			continue
		}
		d.Change = stats.Difference(sample(a.Counted(), m), sample(b.Counted(), m))
		d.Effect, d.Reason = effect(d, a.Late+b.Late)
		differences = append(differences, d)
	}
	return differences
}

func effect(d Difference, late int) (Effect, string) {
	sign := d.Change.Sign()
	switch {
	case late > 0:
		return EffectInconclusive, fmt.Sprintf("the load of %d trials was generated too late", late)
	case d.BaselineValue.N == 1 || d.Value.N == 1:
		return EffectInconclusive, "one trial only: how much trials differ is unknown"
	case sign == 0 && !d.BaselineValue.Bounded():
		return EffectInconclusive, d.BaselineValue.Warnings[0]
	case sign == 0 && !d.Value.Bounded():
		return EffectInconclusive, d.Value.Warnings[0]
	case sign == 0:
		return EffectInconclusive, "the interval spans zero"
	case (sign > 0) == higherIsBetter(d.Metric):
		return EffectBetter, ""
	}
	return EffectWorse, ""
}

func higherIsBetter(m design.Metric) bool {
	return m == design.Success || m == design.Successes || m == design.Throughput
}

// changes returns the factors in which the settings differ.
func changes(a, b design.Settings) []SettingChange {
	var cs []SettingChange
	for _, f := range design.Factors() {
		was, _ := a.Value(f.Name)
		is, _ := b.Value(f.Name)
		if was != is {
			cs = append(cs, SettingChange{f.Name, was, is})
		}
	}
	return cs
}
