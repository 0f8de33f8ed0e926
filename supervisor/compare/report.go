//go:build linux

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"

	"example.com/crashlab/client/stats"
)

// report is the result of a measurement. Cells are strings, integers or figures.
type report struct {
	title   string
	columns []string
	rows    [][]any
	targets []target
}

// figure is a number, of milliseconds unless something else is stated. NaN means not measured.
type figure float64

var unmeasured = figure(math.NaN())

func (f figure) String() string {
	if math.IsNaN(float64(f)) {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(f))
}

func (f figure) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(f)) {
		return []byte("null"), nil
	}
	return json.Marshal(math.Round(float64(f)*1e3) / 1e3)
}

func milliseconds(d time.Duration) figure { return figure(d.Seconds() * 1e3) }

// target compares a figure with its upper bound.
type target struct {
	What string `json:"what"`
	Got  figure `json:"got"`
	Most figure `json:"most"`
	Met  bool   `json:"met"`
}

func (r *report) target(what string, got, most figure) {
	r.targets = append(r.targets, target{what, got, most, got <= most})
}

func (r *report) row(cells ...any) { r.rows = append(r.rows, cells) }

func (r *report) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return r.printJSON(w)
	}
	fmt.Fprintf(w, "%s\n\n", r.title)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(cells []any) {
		for _, c := range cells {
			fmt.Fprintf(table, "%v\t", c)
		}
		fmt.Fprintln(table)
	}
	header := make([]any, len(r.columns))
	for i, c := range r.columns {
		header[i] = c
	}
	line(header)
	for _, row := range r.rows {
		line(row)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, t := range r.targets {
		verdict := "met   "
		if !t.Met {
			verdict = "MISSED"
		}
		fmt.Fprintf(w, "%s  %s: %v, at most %v\n", verdict, t.What, t.Got, t.Most)
	}
	return nil
}

func (r *report) printJSON(w io.Writer) error {
	rows := make([]map[string]any, len(r.rows))
	for i, row := range r.rows {
		rows[i] = make(map[string]any)
		for j, cell := range row {
			rows[i][r.columns[j]] = cell
		}
	}
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(map[string]any{"title": r.title, "rows": rows, "targets": r.targets})
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

// interval returns the 95% confidence interval of the median, from order statistics.
func (s sample) interval() string {
	if len(s) < 6 {
		return "–"
	}
	n := float64(len(s))
	half := 0.98 * math.Sqrt(n) / n
	return fmt.Sprintf("%v…%v", s.at(max(0, 0.5-half)), s.at(min(1, 0.5+half)))
}
