package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/crashlab/client/experiment/advise"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/report"
	"example.com/crashlab/client/stats"
)

// advice is an answer to print.
type advice struct {
	question advise.Question
	source   string // where the values of the question come from, in lines; empty: flags
	answer   *advise.Answer
	// serviceTime is the service time as the user spelled it; empty: spell that of the question.
	serviceTime string
}

func (a advice) print(w io.Writer) error {
	var b strings.Builder
	b.WriteString(fold(a.source, pageWidth, ""))
	fmt.Fprintf(&b, "goal     %s\n", a.goal())
	fmt.Fprintf(&b, "cluster  %s\n", wrap(a.factors(clusterFactors...), ", ", ",\n         "))
	fmt.Fprintf(&b, "load     %s\n\n", wrap(a.factors(loadFactors...), ", ", ",\n         "))
	if a.answer.Possible {
		a.advised(&b)
	} else {
		a.impossible(&b)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var (
	clusterFactors = []string{"replicas", "p_crash", "crash_point", "service_time", "capacity", "restart_delay"}
	loadFactors    = []string{"rate", "arrivals", "concurrency"}
)

func (a advice) goal() string {
	var goals []string
	for _, c := range a.question.Goal.Claims() {
		goals = append(goals, c.Text)
	}
	return strings.Join(goals, ", ")
}

// levels returns those of the factors that a design must name.
func (a advice) levels(factors ...string) []design.Level {
	var levels []design.Level
	defaults := design.Defaults()
	s := a.question.Settings
	for _, f := range factors {
		value, _ := s.Value(f)
		usual, _ := defaults.Value(f)
		if value == usual && f != "replicas" && f != "concurrency" || f == "concurrency" && s.Rate > 0 {
			continue
		}
		if f == "service_time" && a.serviceTime != "" {
			value = a.serviceTime
		}
		levels = append(levels, design.Level{Factor: f, Value: value})
	}
	return levels
}

func (a advice) factors(factors ...string) []string {
	var words []string
	for _, l := range a.levels(factors...) {
		if strings.HasPrefix(l.Value, "values:") {
			l.Value = report.Span(a.question.Settings.ServiceTime.Quantile(0), a.question.Settings.ServiceTime.Quantile(1-1e-9)) + ", as measured"
		}
		words = append(words, l.Factor+" "+l.Value)
	}
	return words
}

// advised writes the advice and its prediction.
func (a advice) advised(b *strings.Builder) {
	best := a.answer.Best
	fmt.Fprintf(b, "ADVICE   %s\n\n", wrap(words(best.Settings), ", ", ",\n         "))
	a.metrics(b, "predicted", best.Metrics)
	fmt.Fprintf(b, "\n%s\nPredicted by simulation of %s, %s in all.\n\n",
		fold(a.binding(), pageWidth, ""), plural(best.Trials, "trial"), plural(best.Calls, "call"))
	if !best.Safe {
		b.WriteString("The margin is small: effects that the simulation leaves out may make it miss\nthe goal.\n\n")
	}
	if why := a.question.NoRestart(); why != "" {
		fmt.Fprintf(b, "%s\n\n", fold("But there is "+why+".", pageWidth, ""))
	}
	fmt.Fprintf(b, "As flags of crashlab load:\n\n  %s\n", wrap(flags(best.Settings), " ", " \\\n  "))
	fmt.Fprintf(b, "\nAs a policy in Go; give each call a deadline of %v:\n\n%s", best.Settings.Deadline, literal(best.Settings))
	fmt.Fprintf(b, "\nAs a design:\n\n%s", indent(a.yaml(best.Settings)))
	if len(a.answer.Next) > 0 {
		b.WriteString("\nNext best:\n\n")
	}
	for _, c := range a.answer.Next {
		fmt.Fprintf(b, "  %s\n    %s\n", wrap(words(c.Settings), ", ", ",\n  "), a.short(c))
	}
}

// short returns the metrics of a candidate in one line.
func (a advice) short(c advise.Candidate) string {
	var parts []string
	metrics := []design.Metric{design.Success, design.P99, design.Attempts}
	figures := report.Figures(c.Metrics, metrics...)
	for _, m := range metrics {
		if f, ok := figures[m]; ok {
			parts = append(parts, fmt.Sprintf("%s %s", m, f.Estimate))
		}
	}
	return strings.Join(parts, ", ") + " per call"
}

// binding returns the constraint that binds, and how much of each constraint is used.
func (a advice) binding() string {
	var uses []string
	for _, u := range a.answer.Uses {
		uses = append(uses, fmt.Sprintf("%s %.0f%%", u.What, 100*u.Share))
	}
	return fmt.Sprintf("Binding constraint: %s. Used: %s.", a.answer.Uses[0].What, strings.Join(uses, ", "))
}

// impossible writes why no policy meets the goal, and which changes would help.
func (a advice) impossible(b *strings.Builder) {
	fmt.Fprintf(b, "IMPOSSIBLE: no policy meets the goal.\n")
	for _, r := range a.answer.Reasons {
		fmt.Fprintf(b, "%s\n", fold("  "+r, pageWidth, "  "))
	}
	best := a.answer.Best
	fmt.Fprintf(b, "\nclosest  %s\n\n", wrap(words(best.Settings), ", ", ",\n         "))
	a.metrics(b, "predicted", best.Metrics)
	if len(a.answer.Remedies) > 0 {
		b.WriteString("\nSingle changes that would make it possible:\n\n")
	}
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, r := range a.answer.Remedies {
		now, _ := a.question.Settings.Value(r.Factor)
		limit := "at most"
		if r.Factor == "replicas" {
			limit = "at least"
		}
		if r.Value == "" {
			fmt.Fprintf(w, "  %s\tno value helps\ttried: %s to %s\n", r.Factor, now, r.Limit)
		} else {
			fmt.Fprintf(w, "  %s\t%s %s\tnow %s\n", r.Factor, limit, r.Value, now)
		}
	}
	w.Flush()
}

// metrics writes the metrics of a policy beside the goal.
func (a advice) metrics(b *strings.Builder, what string, metrics map[design.Metric]stats.Interval) {
	goals := map[design.Metric]string{}
	for _, c := range a.question.Goal.Claims() {
		goals[c.Metric] = "goal: " + strings.TrimPrefix(c.Text, string(c.Metric)+" ")
	}
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "\t%s\t95%% interval\t\n", what)
	shown := []design.Metric{design.Success, design.P50, design.P99, design.Attempts}
	figures := report.Figures(metrics, shown...)
	for _, m := range shown {
		value, interval := "none", ""
		if f, ok := figures[m]; ok {
			value, interval = f.Estimate, cmp.Or(f.Bounds, "unknown")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m, value, interval, goals[m])
	}
	w.Flush()
	for line := range strings.Lines(table.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
}

// words returns the factors of a policy that differ from their defaults.
func words(s design.Settings) []string {
	var words []string
	for _, l := range advise.Policy(s) {
		words = append(words, l.Factor+" "+l.Value)
	}
	return words
}

// flags returns the settings as flags of load.
func flags(s design.Settings) []string {
	flags := []string{fmt.Sprintf("--concurrency %d", s.Concurrency)}
	if s.Rate > 0 {
		rate, _ := s.Value("rate")
		flags = []string{"--rate " + rate}
		if arrivals := s.Arrivals.String(); arrivals != design.Defaults().Arrivals.String() {
			flags = append(flags, "--arrivals "+arrivals)
		}
	}
	for _, l := range advise.Policy(s) {
		flags = append(flags, flagOf(l.Factor)+" "+l.Value)
	}
	return flags
}

// yaml returns the advice as a design file.
func (a advice) yaml(s design.Settings) string {
	var b strings.Builder
	b.WriteString("factors:\n")
	levels := slices.Concat(a.levels(clusterFactors...), advise.Policy(s), a.levels(loadFactors...))
	for _, l := range append(levels, design.Level{Factor: "calls", Value: fmt.Sprint(s.Calls)}) {
		fmt.Fprintf(&b, "  %s: %s\n", l.Factor, l.Value)
	}
	b.WriteString("claims:\n")
	for _, c := range a.question.Goal.Claims() {
		fmt.Fprintf(&b, "  - %s\n", c.Text)
	}
	return b.String()
}

// literal returns the policy as a Go literal.
func literal(s design.Settings) string {
	p := s.Policy()
	fields := [][2]string{{"Timeout", goDuration(p.Timeout)}, {"Rounds", fmt.Sprint(p.Rounds)}, {"Pause", goDuration(p.Pause)}}
	add := func(wanted bool, name, format string, args ...any) {
		if wanted {
			fields = append(fields, [2]string{name, fmt.Sprintf(format, args...)})
		}
	}
	add(p.Order != failover.OrderFirst, "Order", "failover.Order%s", camel(p.Order.String()))
	add(p.WhenDown != failover.WhenDownAttempt, "WhenDown", "failover.WhenDown%s", camel(p.WhenDown.String()))
	add(p.MaxInFlight > 0, "MaxInFlight", "%d", p.MaxInFlight)
	add(p.AdaptiveLimit, "AdaptiveLimit", "true")
	add(p.Budget.Ratio > 0, "Budget", "failover.Budget{Ratio: %v}", p.Budget.Ratio)
	add(p.Ejection.Off, "Ejection", "failover.Ejection{Off: true}")
	add(p.Hedge.After > 0, "Hedge", "failover.Hedge{After: %s, Share: %v}", goDuration(p.Hedge.After), p.Hedge.Share)
	longest := 0
	for _, f := range fields {
		longest = max(longest, len(f[0]))
	}
	var b strings.Builder
	b.WriteString("  failover.Policy{\n")
	for _, f := range fields {
		if f[1] != "0" {
			fmt.Fprintf(&b, "      %-*s %s,\n", longest+1, f[0]+":", f[1])
		}
	}
	b.WriteString("  }\n")
	return b.String()
}

// camel returns a name with hyphens in camel case.
func camel(name string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(name, "-") {
		b.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return b.String()
}

// goDuration returns a duration as a Go expression.
func goDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	for _, u := range []struct {
		unit time.Duration
		name string
	}{{time.Second, "time.Second"}, {time.Millisecond, "time.Millisecond"}, {time.Microsecond, "time.Microsecond"}} {
		switch {
		case d == u.unit:
			return u.name
		case d%u.unit == 0:
			return fmt.Sprintf("%d * %s", d/u.unit, u.name)
		}
	}
	return fmt.Sprintf("%d * time.Nanosecond", d)
}

// wrap joins words into lines that fit on 80 columns with their indentation.
func wrap(words []string, between, newline string) string {
	const most = 68
	var b strings.Builder
	width := 0
	for i, word := range words {
		switch {
		case i == 0:
		case width+len(between)+len(word) > most:
			b.WriteString(newline)
			width = 0
		default:
			b.WriteString(between)
			width += len(between)
		}
		b.WriteString(word)
		width += len(word)
	}
	return b.String()
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}
