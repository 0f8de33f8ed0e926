package report

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
)

// rowFactor stands for the rows of a design among its factors.
const rowFactor = "row"

// factor is something in which the cells of a run differ.
type factor struct {
	name   string
	levels []string  // in the order of the file; of a numeric factor, ascending
	values []float64 // of the levels, durations in seconds; nil unless all levels are numbers or all are durations
	// ordered is true when the levels come one after another, as numbers do, even if one of them is
	// a word such as none.
	ordered bool
	// seconds is true when every level that is not a word is a duration.
	seconds bool
}

// factorsOf returns what differs between the cells: the row first, then the factors in the order of
// the file.
func factorsOf(cells []experiment.CellSummary) []factor {
	names := []string{rowFactor}
	for _, c := range cells {
		for _, l := range c.Cell.Levels {
			if !slices.Contains(names, l.Factor) {
				names = append(names, l.Factor)
			}
		}
	}
	var varied []factor
	for _, name := range names {
		var levels []string
		for _, c := range cells {
			if l := levelOf(c.Cell, name); !slices.Contains(levels, l) {
				levels = append(levels, l)
			}
		}
		if len(levels) > 1 {
			varied = append(varied, newFactor(name, levels))
		}
	}
	return varied
}

// rowsOwn returns the factors in which the rows of a design differ by themselves, in the order of
// the documentation.
func rowsOwn(cells []experiment.CellSummary) []factor {
	var own []factor
	for _, known := range design.Factors() {
		var levels []string
		for _, c := range cells {
			if slices.ContainsFunc(c.Cell.Levels, func(l design.Level) bool { return l.Factor == known.Name }) {
				levels = nil
				break
			}
			if l := levelOf(c.Cell, known.Name); !slices.Contains(levels, l) {
				levels = append(levels, l)
			}
		}
		if len(levels) > 1 {
			own = append(own, newFactor(known.Name, levels))
		}
	}
	return own
}

// numberedRows returns a note for each row when rows have numbers for names, which say nothing.
func numberedRows(cells []experiment.CellSummary) []string {
	own := rowsOwn(cells)
	var notes []string
	for _, c := range cells {
		if _, _, number := quantity(c.Cell.Row); !number || len(own) == 0 {
			return nil
		}
		if note := "Row " + c.Cell.Row + ": " + levelsName(c.Cell, own) + "."; !slices.Contains(notes, note) {
			notes = append(notes, note)
		}
	}
	return notes
}

// levelOf returns the cell's level of a factor.
func levelOf(c design.Cell, name string) string {
	if name == rowFactor {
		return c.Row
	}
	for _, l := range c.Levels {
		if l.Factor == name {
			return l.Value
		}
	}
	value, _ := c.Settings.Value(name)
	return value
}

// zeroIsWord are the factors whose zero means never or without bound, so no place on a scale.
var zeroIsWord = []string{
	"capacity", "timeout", "deadline", "max_in_flight", "budget", "eject_after", "hedge_after", "rate", "calls", "duration",
}

func newFactor(name string, levels []string) factor {
	f := factor{name: name, levels: levels}
	if name == rowFactor {
		return f // a row that is called "1" is no number
	}
	numbers, durations := 0, 0
	for _, l := range levels {
		switch v, seconds, ok := quantity(l); {
		case !ok || v == 0 && slices.Contains(zeroIsWord, name):
		case seconds:
			durations++
		default:
			numbers++
		}
	}
	f.seconds = durations > 0 && numbers == 0
	f.ordered = numbers >= 2 || durations >= 2
	if max(numbers, durations) < len(levels) {
		return f
	}
	f.levels = slices.SortedStableFunc(slices.Values(levels), func(a, b string) int {
		x, _, _ := quantity(a)
		y, _, _ := quantity(b)
		return cmp.Compare(x, y)
	})
	for _, l := range f.levels {
		v, _, _ := quantity(l)
		f.values = append(f.values, v)
	}
	return f
}

// quantity reads a level that is a number or a duration, the latter in seconds.
func quantity(level string) (value float64, seconds, ok bool) {
	if v, err := strconv.ParseFloat(level, 64); err == nil {
		return v, false, !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	d, err := time.ParseDuration(level)
	return d.Seconds(), true, err == nil
}

// group is the cells that have the same levels of some factors.
type group struct {
	name  string // the levels; empty when there are no factors to tell groups apart
	cells []experiment.CellSummary
}

// groupBy splits the cells by their levels of the factors, in the order in which they come.
func groupBy(cells []experiment.CellSummary, by []factor) []group {
	var groups []group
	for _, c := range cells {
		name := levelsName(c.Cell, by)
		i := slices.IndexFunc(groups, func(g group) bool { return g.name == name })
		if i < 0 {
			i = len(groups)
			groups = append(groups, group{name: name})
		}
		groups[i].cells = append(groups[i].cells, c)
	}
	return groups
}

// levelsName is the cell's levels of the factors, such as "waiting, concurrency 5".
func levelsName(c design.Cell, of []factor) string {
	names := make([]string, len(of))
	for i, f := range of {
		names[i] = levelOf(c, f.name)
		if f.name != rowFactor {
			names[i] = f.name + " " + names[i]
		}
	}
	return strings.Join(names, ", ")
}

// find returns the group's cell that has the level.
func (g group) find(f factor, level string) (experiment.CellSummary, bool) {
	for _, c := range g.cells {
		if levelOf(c.Cell, f.name) == level {
			return c, true
		}
	}
	return experiment.CellSummary{}, false
}
