//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"example.com/crashlab/client/stats"
)

// report is the result of a measurement, a section of the results. The cells of its first column are
// names, the others figures, with an interval or without.
type report struct {
	heading string
	about   string // what is measured, and what the columns mean
	columns []string
	rows    [][]string
	bounds  [][]string
}

// figure is a number, of milliseconds unless something else is stated. NaN means not measured.
type figure float64

var unmeasured = figure(math.NaN())

func (f figure) String() string {
	switch n := float64(f); {
	case math.IsNaN(n):
		return "–"
	case n == math.Trunc(n): // a count
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("%.2f", float64(f))
}

func milliseconds(d time.Duration) figure { return figure(d.Seconds() * 1e3) }

// bound compares a figure with its upper bound.
func (r *report) bound(what string, got, most figure) {
	met := "yes"
	if !(got <= most) {
		met = "**no**"
	}
	r.bounds = append(r.bounds, []string{what, got.String(), fmt.Sprint(float64(most)), met})
}

func (r *report) row(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = fmt.Sprint(c)
	}
	r.rows = append(r.rows, row)
}

// print writes the report in Markdown.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "## %s\n\n%s\n\n", r.heading, r.about)
	printTable(w, r.columns, r.rows)
	if len(r.bounds) > 0 {
		fmt.Fprintln(w)
		printTable(w, []string{"bound", "measured", "at most", "met"}, r.bounds)
	}
}

// printTable writes a table whose columns are aligned in a terminal too.
func printTable(w io.Writer, columns []string, rows [][]string) {
	lines := slices.Concat([][]string{columns, make([]string, len(columns))}, rows)
	widths := make([]int, len(columns))
	for i := range columns {
		widths[i] = len("--:")
		for _, line := range lines {
			widths[i] = max(widths[i], utf8.RuneCountInString(line[i]))
		}
		lines[1][i] = strings.Repeat("-", widths[i]-1) + ":"
		if i == 0 {
			lines[1][i] = strings.Repeat("-", widths[i])
			widths[i] *= -1 // to the left
		}
	}
	for _, line := range lines {
		for i, cell := range line {
			fmt.Fprintf(w, "| %*s ", widths[i], cell)
		}
		fmt.Fprintln(w, "|")
	}
}

// sample is sorted durations.
type sample []time.Duration

func sampleOf(all []time.Duration) sample {
	s := slices.Clone(all)
	slices.Sort(s)
	return s
}

func (s sample) at(q float64) figure {
	if len(s) == 0 {
		return unmeasured
	}
	return milliseconds(stats.Quantile(s, q))
}

func (s sample) median() figure { return s.at(0.5) }

// estimate returns the median with its 95% confidence interval, from order statistics. Fewer than 6
// values have no interval.
func (s sample) estimate() string {
	if len(s) < 6 {
		return s.median().String()
	}
	half := 0.98 / math.Sqrt(float64(len(s)))
	return fmt.Sprintf("%v [%v, %v]", s.median(), s.at(0.5-half), s.at(0.5+half))
}
