package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"example.com/crashlab/client/stats"
)

// print writes the results.
func (o options) print(w io.Writer, began time.Time, results []result, cost overhead) {
	fmt.Fprintf(w, `Measured by %s on %s in %v, on %s/%s with %d cores: %s.

Each client makes the same calls: %d trials of %d calls of counter.v1.Counter/Get, %d at a time, each with a deadline of %v.
A trial has a cluster of its own: %s and %d replicas of %s, which take %s for a request.
Trials of one seed meet the same crashes; their clients come in random order, %d trials at a time. Values are of all trials, and in
brackets is the 95%% interval between them. p50 and p99 are the means of the trials' own, and of the calls that succeeded: a client that
gives up early has few of these, and fast ones. Attempts are the requests that arrived, by the replicas' own count; one that was lost on
the way to a replica that crashed is not among them. A difference whose interval spans zero is inconclusive.

`, o.command(), began.UTC().Format("2 January 2006"), time.Since(began).Round(time.Second), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		versions(), o.trials, o.calls, o.callers, callDeadline, "`supervisor`", replicas, "`counterd`", serviceTime, o.parallel)
	for _, kind := range clusterKinds {
		fmt.Fprintf(w, "## A %s cluster\n\n", kind.name)
		if kind.pCrash > 0 {
			fmt.Fprintf(w, "Each request crashes its replica with probability %v; the replica is relaunched after %v.\n\n", kind.pCrash, restartDelay)
		}
		printTrials(w, kind, compared, results)
	}
	fmt.Fprintf(w, `## Overhead

The time of a call of grpc.health.v1.Health/Check, one at a time, at %d replicas that do no work, as BenchmarkCall measures it: clients take
turns, and the multiple is the median over the turns. Bare is a connection to one replica. Values are the means of %d runs.

`, replicas, o.runs)
	printOverhead(w, cost)
	fmt.Fprint(w, `## Settings

Each client is set as its documentation describes for this job. Where the figures are left to the user, all have those of gRPC's guide to
retries: 4 attempts, with a pause of 100 ms before the second that doubles up to 1 s, and, where the library knows one, a timeout of 1 s for
an attempt. All calls are idempotent.

`)
	var t table
	t.row("client", "settings")
	t.row("---", "---")
	for _, c := range compared {
		t.row(c.name, c.about)
	}
	fmt.Fprint(w, t.text.String())
}

// command returns what repeats the measurement.
func (o options) command() string {
	defaults, _ := parseOptions(nil)
	if defaults.output = o.output; o == defaults {
		return "`make peers`"
	}
	return fmt.Sprintf("`go run . -trials %d -calls %d -callers %d -parallel %d -runs %d -seed %d` in client/failover/peers",
		o.trials, o.calls, o.callers, o.parallel, o.runs, o.seed)
}

// versions names those of Go and of the libraries.
func versions() string {
	names := []string{runtime.Version()}
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return names[0]
	}
	for _, dep := range info.Deps {
		switch dep.Path {
		case "google.golang.org/grpc", "github.com/grpc-ecosystem/go-grpc-middleware/v2", "github.com/failsafe-go/failsafe-go":
			names = append(names, dep.Path+" "+dep.Version)
		}
	}
	return strings.Join(names, ", ")
}

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
	{"attempts per call", false, plain(2), attempts, stats.KindRate},
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

func plain(decimals int) func(float64) unit {
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
	u := f.unit(i.Estimate)
	return fmt.Sprintf("%.*f%s", u.decimals, u.scale*i.Estimate, u.suffix) + t.interval(i, u)
}

// difference returns by how much the figure of b is above that of a, and what that means.
func (t *table) difference(f figure, a, b stats.Sample) string {
	i := stats.Difference(a, b)
	if i.N == 0 {
		return "–"
	}
	u := f.unit(i.Estimate)
	return fmt.Sprintf("%+.*f%s", u.decimals, u.scale*i.Estimate, u.change) + t.interval(i, u) + " " + verdict(f, i)
}

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

// verdict says what a difference from the first client means.
func verdict(f figure, difference stats.Interval) string {
	switch sign := difference.Sign(); {
	case difference.N < 2 || sign == 0:
		return "inconclusive"
	case (sign > 0) == f.higher:
		return "**better**"
	}
	return "worse"
}

// printTrials writes what the clients have shown on one kind of cluster.
func printTrials(w io.Writer, kind clusterKind, clients []client, results []result) {
	sample := func(c client, f figure) stats.Sample {
		s := stats.Sample{Kind: f.kind}
		for _, r := range results {
			if r.kind == kind && r.client.name == c.name {
				s.Runs = append(s.Runs, f.of(r))
			}
		}
		return s
	}
	heads := []string{"client"}
	for _, f := range figures {
		heads = append(heads, f.name)
	}
	var values, differences table
	values.head(heads...)
	differences.head(heads...)
	first := clients[0]
	for i, c := range clients {
		value, difference := []string{c.name}, []string{c.name}
		for _, f := range figures {
			value = append(value, values.estimate(f, sample(c, f)))
			difference = append(difference, differences.difference(f, sample(first, f), sample(c, f)))
		}
		values.row(value...)
		if i > 0 {
			differences.row(difference...)
		}
	}
	values.print(w)
	fmt.Fprintf(w, "Beside %s:\n\n", first.name)
	differences.print(w)
}

// overhead is what the runs of a rotation have found, for each of its clients. The first is bare.
type overhead struct {
	clients []client
	runs    [][]cost
}

var (
	callTime  = figure{name: "time of a call", unit: microseconds}
	timesBare = figure{name: "times a bare call", unit: plain(3)}
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
	t.head("client", callTime.name, timesBare.name, "beside "+o.clients[1].name)
	for i, c := range o.clients {
		difference := "–"
		if i > 1 {
			difference = t.difference(timesBare, sample(1, times), sample(i, times))
		}
		t.row(c.name, t.estimate(callTime, sample(i, seconds)), t.estimate(timesBare, sample(i, times)), difference)
	}
	t.print(w)
}
