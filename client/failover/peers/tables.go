package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"example.com/crashlab/client/stats"
)

// figure is what is compared.
type figure struct {
	name   string
	higher bool // is better
	unit   func(estimate float64) unit
	of     func(r result) stats.Run // what a trial adds; Of is zero where it has no value
	kind   stats.Kind
}

var figures = []figure{
	{"success", true, percent, success, stats.KindShare},
	{"p50", false, milliseconds, p50, stats.KindMean},
	{"p99", false, milliseconds, p99, stats.KindMean},
	{"attempts per call", false, number(2), attempts, stats.KindRate},
}

func success(r result) stats.Run {
	return stats.Run{Count: float64(r.Succeeded), Of: float64(r.Calls())}
}

func attempts(r result) stats.Run {
	return stats.Run{Count: float64(r.arrived), Of: float64(r.Calls())}
}

func p50(r result) stats.Run { return ofSuccesses(r, r.P50.Seconds()) }
func p99(r result) stats.Run { return ofSuccesses(r, r.P99.Seconds()) }

func ofSuccesses(r result, seconds float64) stats.Run {
	if r.Succeeded == 0 {
		return stats.Run{}
	}
	return stats.Run{Count: seconds, Of: 1}
}

// unit is how a figure is written.
type unit struct {
	suffix   string
	change   string // the suffix of a difference
	scale    float64
	decimals int
}

func percent(float64) unit { return unit{"%", " points", 100, 1} }

func milliseconds(estimate float64) unit {
	if math.Abs(estimate) >= 0.1 {
		return unit{" ms", " ms", 1e3, 0}
	}
	return unit{" ms", " ms", 1e3, 1}
}

func microseconds(float64) unit { return unit{" µs", " µs", 1e6, 1} }

func number(decimals int) func(float64) unit {
	return func(float64) unit { return unit{"", "", 1, decimals} }
}

// table is a table in Markdown. Its intervals may have notes.
type table struct {
	text  strings.Builder
	notes []string
}

func (t *table) row(cells ...string) {
	fmt.Fprintf(&t.text, "| %s |\n", strings.Join(cells, " | "))
}

// head is the first row: a column of texts, and others of figures.
func (t *table) head(cells ...string) {
	t.row(cells...)
	t.row(append([]string{"---"}, slices.Repeat([]string{"---:"}, len(cells)-1)...)...)
}

// estimate returns an estimate with its interval.
func (t *table) estimate(f figure, s stats.Sample) string {
	i := s.Interval()
	if i.N == 0 {
		return "–"
	}
	if without := len(s.Runs) - i.N; without > 0 {
		i.Warnings = append(i.Warnings, fmt.Sprintf("trials without a success left out: %d", without))
	}
	u := f.unit(i.Estimate)
	return fmt.Sprintf("%.*f%s", u.decimals, u.scale*i.Estimate, u.suffix) + t.interval(i, u)
}

// difference returns by how much the figure of b is above that of a, and what that means for b.
func (t *table) difference(f figure, a, b stats.Sample) (text, verdict string) {
	i := stats.Difference(a, b)
	if i.N == 0 {
		return "–", ""
	}
	u := f.unit(i.Estimate)
	text = fmt.Sprintf("%+.*f%s", u.decimals, u.scale*i.Estimate, u.change) + t.interval(i, u)
	switch sign := i.Sign(); {
	case sign == 0:
		return text, " inconclusive"
	case (sign > 0) == f.higher:
		return text, isBetter
	}
	return text, " worse"
}

const isBetter = " **better**"

func (t *table) interval(i stats.Interval, u unit) string {
	text := ""
	if i.Bounded() {
		text = fmt.Sprintf(" [%.*f, %.*f]", u.decimals, u.scale*i.Low, u.decimals, u.scale*i.High)
	}
	for _, warning := range i.Warnings {
		n := slices.Index(t.notes, warning)
		if n < 0 {
			n = len(t.notes)
			t.notes = append(t.notes, warning)
		}
		text += fmt.Sprintf("<sup>%d</sup>", n+1)
	}
	return text
}

// print writes the table, its notes below it.
func (t *table) print(w io.Writer) {
	fmt.Fprintln(w, t.text.String())
	for i, note := range t.notes {
		fmt.Fprintf(w, "<sup>%d</sup> %s\n\n", i+1, note)
	}
}

// printTrials writes what the clients have shown in a scenario.
func printTrials(w io.Writer, in scenario, clients []client, results []result) {
	results = slices.DeleteFunc(slices.Clone(results), func(r result) bool { return r.scenario != in })
	values(clients, results).print(w)
	if n := late(results); n > 0 {
		fmt.Fprintf(w, "In %d of %d trials the load was generated too late to be believed.\n\n", n, len(results))
	}
	differences, better := differences(clients, results)
	fmt.Fprintf(w, "The difference from %s:\n\n", clients[0].name)
	differences.print(w)
	if len(better) == 0 {
		better = []string{"- none"}
	}
	fmt.Fprintf(w, "Better than %s:\n\n%s\n\n", clients[0].name, strings.Join(better, "\n"))
}

// values is the table of the figures of each client.
func values(clients []client, results []result) *table {
	t := newTable()
	for _, c := range clients {
		row := []string{c.name}
		for _, f := range figures {
			row = append(row, t.estimate(f, sample(c, f, results)))
		}
		t.row(row...)
	}
	return t
}

// differences is the table of how the figures differ from those of the first client, and a line for
// each client that is better in some.
func differences(clients []client, results []result) (t *table, better []string) {
	t = newTable()
	for _, c := range clients[1:] {
		row := []string{c.name}
		var names []string
		for _, f := range figures {
			text, verdict := t.difference(f, sample(clients[0], f, results), sample(c, f, results))
			row = append(row, text+verdict)
			if verdict == isBetter {
				names = append(names, f.name)
			}
		}
		t.row(row...)
		if len(names) > 0 {
			success := sample(c, figures[0], results).Interval()
			better = append(better, fmt.Sprintf("- %s in %s, with success %.1f%%", c.name, strings.Join(names, ", "), 100*success.Estimate))
		}
	}
	return t, better
}

// newTable returns a table with a column for each figure.
func newTable() *table {
	t, heads := new(table), []string{"client"}
	for _, f := range figures {
		heads = append(heads, f.name)
	}
	t.head(heads...)
	return t
}

// sample is a client's trials.
func sample(c client, f figure, results []result) stats.Sample {
	s := stats.Sample{Kind: f.kind}
	for _, r := range results {
		if r.client.name == c.name {
			s.Runs = append(s.Runs, f.of(r))
		}
	}
	return s
}

// late returns how many trials did not have the load that was planned.
func late(results []result) (n int) {
	for _, r := range results {
		if !r.Kept() {
			n++
		}
	}
	return n
}

// overhead is what the runs of a rotation have found, for each of its clients. The first is bare.
type overhead struct {
	clients []client
	runs    [][]cost
}

var (
	callTime  = figure{name: "time of a call", unit: microseconds}
	timesBare = figure{name: "times a bare call", unit: number(3)}
)

// printOverhead writes what a call costs with each client, and how that compares with the second.
func printOverhead(w io.Writer, o overhead) {
	sample := func(client int, value func(cost) float64) stats.Sample {
		var values []float64
		for _, run := range o.runs {
			values = append(values, value(run[client]))
		}
		return stats.Values(values)
	}
	seconds := func(c cost) float64 { return c.perCall.Seconds() }
	times := func(c cost) float64 { return c.timesBare }
	var t table
	t.head("client", callTime.name, timesBare.name, "difference from "+o.clients[1].name)
	for i, c := range o.clients {
		multiple, difference := "1", "–"
		if i > 0 {
			multiple = t.estimate(timesBare, sample(i, times))
		}
		if i > 1 {
			text, verdict := t.difference(timesBare, sample(1, times), sample(i, times))
			difference = text + verdict
		}
		t.row(c.name, t.estimate(callTime, sample(i, seconds)), multiple, difference)
	}
	t.print(w)
}
