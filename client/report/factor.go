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

// factor is a factor, or the row, in which the cells of a run differ.
type factor struct {
	name   string
	levels []string  // in the order of the file, or ascending if the factor is numeric
	values []float64 // of the levels, durations in seconds; nil unless all levels are numbers or all are durations
	// ordered is true if the levels are in ascending order, like numbers, even if one of them is a
	// word such as none.
	ordered bool
	// seconds is true if all levels that are not words are durations.
	seconds bool
}

// factorsOf returns the factors in which the cells differ: first the row, then those with lists, in
// the order of the file.
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

// rowFactors returns the factors that the rows of a design set differently, in the order of
// design.Factors.
func rowFactors(cells []experiment.CellSummary) []factor {
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

// numberedRows returns a note that explains each row if the rows are named by numbers.
func numberedRows(cells []experiment.CellSummary) []string {
	own := rowFactors(cells)
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

// zeroIsWord lists the factors whose zero means never or no limit, and so has no place on a scale.
var zeroIsWord = []string{
	"capacity", "timeout", "deadline", "max_in_flight", "budget", "budget_burst", "eject_after", "hedge_after", "rate", "calls", "duration",
}

func newFactor(name string, levels []string) factor {
	f := factor{name: name, levels: levels}
	if name == rowFactor {
		return f // a row named "1" is not a number
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

// quantity parses a level that is a number or a duration, which it returns in seconds.
func quantity(level string) (value float64, seconds, ok bool) {
	if v, err := strconv.ParseFloat(level, 64); err == nil {
		return v, false, !math.IsNaN(v) && !math.IsInf(v, 0)
	}
	d, err := time.ParseDuration(level)
	return d.Seconds(), true, err == nil
}

// group is a set of cells with the same levels of some factors.
type group struct {
	name  string // the levels; empty if there are no such factors
	cells []experiment.CellSummary
}

// groupBy splits the cells by their levels of the factors, and keeps their order.
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

// levelsName names the cell's levels of the factors, such as "waiting, concurrency 5".
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

// find returns the first cell of the group that has the level.
func (g group) find(f factor, level string) (experiment.CellSummary, bool) {
	for _, c := range g.cells {
		if levelOf(c.Cell, f.name) == level {
			return c, true
		}
	}
	return experiment.CellSummary{}, false
}
