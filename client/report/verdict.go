package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/stats"
)

// verdictView is the section of the page on the claims, the checks and the origin of the run.
type verdictView struct {
	Word, Sentence string
	Claims         []claimView
	Drawn          bool // a claim has a picture
	Violations     []violationView
	Unlisted       int // how many violations are not in Violations
	Notes          []string
	Facts          []fact
}

type claimView struct {
	Claim, Cell, Word string
	Interval          string // empty if there is none
	Method            string
	Why               []string // reasons why it is inconclusive or may be wrong
	Range             *rangeView
}

// rangeView has the positions of the interval and the threshold in a picture that is 100 wide.
type rangeView struct{ Low, Estimate, High, Threshold, Width float64 }

type violationView struct {
	Trial         int
	Check, Detail string
}

type fact struct {
	Name, Value string
	Code        bool // the value is a command
}

const mostViolations = 10

func verdictOf(run *record.Run, summary experiment.Summary) verdictView {
	v := verdictView{Word: summary.Verdict.String(), Facts: facts(run, summary.Prediction), Notes: notes(run, summary)}
	for _, c := range summary.Claims {
		claim := claimOf(c, summary)
		v.Claims, v.Drawn = append(v.Claims, claim), v.Drawn || claim.Range != nil
	}
	for _, cell := range summary.Cells {
		for _, t := range cell.Trials {
			for _, x := range t.Violations {
				v.Violations = append(v.Violations, violationView{t.Trial.Number, x.Check, x.Detail})
			}
		}
	}
	v.Sentence = sentence(summary, len(v.Violations))
	if v.Unlisted = len(v.Violations) - mostViolations; v.Unlisted > 0 {
		v.Violations = v.Violations[:mostViolations]
	}
	if len(v.Claims) == 0 && summary.Verdict == experiment.VerdictHeld {
		v.Word = "no claims"
	}
	return v
}

// sentence summarizes the claims, the checks and the prediction.
func sentence(summary experiment.Summary, violations int) string {
	count := map[experiment.Verdict]int{}
	for _, c := range summary.Claims {
		count[c.Verdict]++
	}
	var b strings.Builder
	switch n := len(summary.Claims); {
	case n == 0:
		b.WriteString("The design makes no claims.")
	case n == count[experiment.VerdictHeld]:
		fmt.Fprintf(&b, "%s held.", counted(n, "claim"))
	default:
		var parts []string
		for _, v := range []experiment.Verdict{experiment.VerdictHeld, experiment.VerdictInconclusive, experiment.VerdictFailed} {
			if count[v] > 0 {
				parts = append(parts, fmt.Sprintf("%d %v", count[v], v))
			}
		}
		fmt.Fprintf(&b, "Of %s, %s.", counted(n, "claim"), strings.Join(parts, ", "))
	}
	if violations > 0 {
		fmt.Fprintf(&b, " The checks of the records found %s: there is a bug in the service, the client, the supervisor or the recording.",
			counted(violations, "violation"))
	} else {
		b.WriteString(" All checks of the records passed.")
	}
	if summary.Prediction != nil {
		b.WriteString(" " + agreementSentence(summary.Agreements()))
	}
	return b.String()
}

func claimOf(c experiment.ClaimResult, summary experiment.Summary) claimView {
	i := c.Interval
	v := claimView{Claim: c.Claim.Text, Word: c.Verdict.String(), Why: why(c)}
	if c.Cell >= 0 && c.Cell < len(summary.Cells) {
		v.Cell = summary.Cells[c.Cell].Cell.Title()
	}
	if !isMeasured(i) {
		return v
	}
	v.Interval = interval(c.Claim.Metric, i)
	v.Method = fmt.Sprintf("%g%%, %s", 100*i.Level, counted(i.N, "trial"))
	if i.Method != "" {
		v.Method += ", " + i.Method
	}
	if !boundless(i) {
		v.Range = rangeOf(i, c.Claim.Threshold)
	}
	return v
}

// why returns the reason why a claim is inconclusive, and all other warnings.
func why(c experiment.ClaimResult) []string {
	var all []string
	for _, text := range append([]string{c.Reason}, c.Interval.Warnings...) {
		if text != "" && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return all
}

// rangeOf returns nil if the interval has no finite width.
func rangeOf(i stats.Interval, threshold float64) *rangeView {
	low, high := min(i.Low, threshold), max(i.High, threshold)
	span := high - low
	if !(span > 0) || math.IsInf(span, 0) {
		return nil
	}
	at := func(v float64) float64 { return math.Round(1000*(8+84*(v-low)/span)) / 1000 }
	return &rangeView{at(i.Low), at(i.Estimate), at(i.High), at(threshold), max(at(i.High)-at(i.Low), 1)}
}

// notes are what a reader must know before relying on the figures.
func notes(run *record.Run, summary experiment.Summary) []string {
	var notes []string
	m := run.Manifest
	if summary.Predicted {
		notes = append(notes, "Nothing was measured: a simulation in virtual time predicts these figures.")
	}
	switch {
	case m.Interrupted:
		notes = append(notes, "The run was interrupted before its last trial: only the trials until then are shown.")
	case m.Ended.IsZero():
		notes = append(notes, "The run was killed or is still going on: only the trials that have ended are shown.")
	}
	if len(run.Trials) == 0 {
		notes = append(notes, "No trial has ended, so there is nothing to show.")
	}
	for _, c := range summary.Cells {
		if c.Late > 0 {
			notes = append(notes, fmt.Sprintf("%s: the load was generated too late in %s, so its figures are unreliable.",
				c.Cell.Title(), counted(c.Late, "trial")))
		}
	}
	return notes
}

// facts are where the run comes from and what it takes to repeat it.
func facts(run *record.Run, predicted *record.Manifest) []fact {
	m := run.Manifest
	prediction := ""
	if predicted != nil {
		prediction = quoted(predicted.Command)
	}
	calls, attempts := 0, 0
	for _, t := range run.Trials {
		calls += len(t.Calls)
		for _, c := range t.Calls {
			attempts += len(c.Attempts)
		}
	}
	all := []fact{
		{Name: "Command", Value: quoted(m.Command), Code: true},
		{Name: "Prediction", Value: prediction, Code: true},
		{Name: "Seed", Value: strconv.FormatUint(m.Seed, 10)},
		{Name: "Size", Value: fmt.Sprintf("%s, %s, %s", counted(len(run.Trials), "trial"), counted(calls, "call"), counted(attempts, "attempt"))},
		{Name: "Began", Value: began(m)},
		{Name: "Versions", Value: versions(m.Versions)},
		{Name: "Machine", Value: machine(m.Machine)},
	}
	return slices.DeleteFunc(all, func(f fact) bool { return f.Value == "" })
}

func began(m record.Manifest) string {
	if m.Began.IsZero() {
		return ""
	}
	text := m.Began.UTC().Format("2006-01-02 15:04:05 UTC")
	if took := m.Ended.Sub(m.Began); took > 0 {
		text += ", took " + took.Round(time.Second).String()
	}
	return text
}

func versions(v record.Versions) string {
	commit := v.Commit
	if v.Modified {
		commit += " with changes"
	}
	return listed("crashlab", commit, "go", strings.TrimPrefix(v.Go, "go"), "grpc", strings.TrimPrefix(v.GRPC, "v"))
}

func machine(m record.Machine) string {
	cpus := ""
	if m.CPUs > 0 {
		cpus = counted(m.CPUs, "CPU")
	}
	memory := ""
	if m.Memory > 0 {
		memory = fmt.Sprintf("%.3g GiB", float64(m.Memory)/(1<<30))
	}
	system := strings.Trim(m.OS+"/"+m.Arch, "/")
	return listed("", system, "", m.Kernel, "", m.CPU, "", cpus, "", memory)
}

// listed joins the values that are not empty, each after its name.
func listed(namesAndValues ...string) string {
	var parts []string
	for i := 0; i < len(namesAndValues); i += 2 {
		if v := namesAndValues[i+1]; v != "" {
			parts = append(parts, strings.TrimSpace(namesAndValues[i]+" "+v))
		}
	}
	return strings.Join(parts, ", ")
}

// quoted returns the command as it can be typed into a shell.
func quoted(command []string) string {
	var words []string
	for _, w := range command {
		if w == "" || strings.ContainsFunc(w, special) {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

func special(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./=:,@%+", r))
}
