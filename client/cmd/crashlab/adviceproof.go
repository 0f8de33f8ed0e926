package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/advise"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/stats"
)

type validateAdviceCmd struct {
	modelFlag
	Seed      count  `default:"1" placeholder:"N" help:"The seed that makes the scenarios. (default: ${default})"`
	Scenarios count  `default:"20" placeholder:"N" help:"How many there are. (default: ${default})"`
	Repeats   count  `default:"10" placeholder:"N" help:"How many trials each policy has. (default: ${default})"`
	Parallel  count  `default:"10" placeholder:"N" help:"How many trials run at a time. (default: ${default})"`
	Runs      string `default:"runs" placeholder:"FOLDER" help:"Where the run gets a folder of its own. (default: ${default})"`
	Output    string `short:"o" default:"-" placeholder:"FILE" help:"Where to write the table, as Markdown; - is stdout. (default: -)"`
	Counterd  string `placeholder:"PROGRAM" help:"The program of a replica. (default: counterd beside crashlab, else in PATH)"`
	Quiet     bool   `short:"q" help:"No progress."`
}

// Help is what kong shows below the flags.
func (validateAdviceCmd) Help() string {
	return `Makes random scenarios, each a cluster, a load and a goal, asks for advice on each, and runs what is advised on processes. ` +
		`It exits with 99 when less than 95% of the answers are right.`
}

// Run asks for advice on each scenario, and runs all that was advised as one experiment.
func (v *validateAdviceCmd) Run(ctx context.Context, out output) error {
	model, err := v.modelFlag.load()
	if err != nil {
		return err
	}
	engine, err := newLab(v.Counterd)
	if err != nil {
		return err
	}
	var all []advice
	for n := 1; n <= int(v.Scenarios); n++ {
		q := advise.Scenario(uint64(v.Seed), n, model)
		if !v.Quiet {
			fmt.Fprintf(out.stderr, "scenario %d of %d: searching by simulation\n", n, v.Scenarios)
		}
		searching := adviseCmd{Quiet: true}
		answer, err := searching.search(ctx, out, q)
		if err != nil {
			return err
		}
		all = append(all, advice{question: q, answer: answer})
	}
	summary, _, out, err := verifyTrials(ctx, out, v.design(all), trials.Run{Engine: engine, Runs: v.Runs, Command: os.Args}, v.Quiet)
	if err != nil {
		return err
	}
	return v.report(out, all, summary)
}

// recommended is what the row of the recommended policy is named behind the number of its scenario.
const recommended = ", recommended"

// design has a row for each scenario: the policy that is advised. Where none is, the row has the
// one that came the closest, and another one has the recommended policy.
func (v *validateAdviceCmd) design(all []advice) *design.Design {
	d := &design.Design{
		Name: "advice", Question: "Does advice hold, and is impossible what it says to be?",
		Seed: uint64(v.Seed) + 1, Repeats: int(v.Repeats), Parallel: int(v.Parallel), // not the luck that the search has seen
	}
	row := func(name string, s design.Settings, goal advise.Goal) {
		d.Cells = append(d.Cells, design.Cell{Row: name, Settings: s})
		for _, c := range goal.Claims() {
			c.Where = map[string]string{"row": name}
			d.Claims = append(d.Claims, c)
		}
	}
	for i, a := range all {
		name := strconv.Itoa(i + 1)
		row(name, a.answer.Best.Settings, a.question.Goal)
		if !a.answer.Possible {
			row(name+recommended, a.question.Recommended(), a.question.Goal)
		}
	}
	return d
}

// report writes the table. The error says whether too few of the answers are right.
func (v *validateAdviceCmd) report(out output, all []advice, s experiment.Summary) error {
	var rows strings.Builder
	cells := proven(s)
	right, advised, held := 0, 0, 0
	for i, a := range all {
		policies := []design.Settings{a.answer.Best.Settings}
		if a.answer.Possible {
			advised++
		} else {
			policies = append(policies, a.question.Recommended())
		}
		agree := true
		for j, p := range policies {
			agree = agree && cells[j].valid && cells[j].met == a.answer.Possible
			rows.WriteString(a.proofRow(i+1, j, p, cells[j]))
		}
		if agree {
			right++
		}
		if a.answer.Possible && cells[0].held {
			held++
		}
		cells = cells[len(policies):]
	}
	write := func(w io.Writer) error {
		_, err := fmt.Fprintf(w, proofPage, v.Scenarios, v.Seed, v.Repeats, rows.String(), right, len(all), advised, len(all)-advised, held, advised)
		return err
	}
	if v.Output != "-" {
		if err := writeFile(v.Output, write); err != nil {
			return err
		}
		fmt.Fprintln(out.stdout, v.Output)
	} else if err := write(out.stdout); err != nil {
		return err
	}
	if float64(right) < experiment.RequiredAgreement*float64(len(all)) {
		return &exit{exitBelow, fmt.Sprintf("%d of %d answers are right: want %v%%", right, len(all), 100*experiment.RequiredAgreement)}
	}
	return nil
}

// proofPage is what is committed as deploy/experiments/results/advice.md.
const proofPage = `%d random scenarios, made from the seed %d. ` + "`crashlab advise`" + ` was asked about each, and what it advised ran on processes, %d trials of each policy,
with other luck than the search had seen. Where it says that no policy meets the goal, the one that came the closest ran, and the
library's recommended one. The goal is met if the estimates over all trials meet it: where an interval spans the goal, other
trials may have missed it. An answer is right if the advised policy meets the goal, or if the goal is impossible and neither policy
meets it.

| | cluster and load | goal | policy | predicted | measured, 95%% interval | goal met |
| ---: | --- | --- | --- | --- | --- | --- |
%s
%d of %d answers are right, of which %d are advice and %d that the goal is impossible. By the ends of the intervals, too, the goal is
met by %d of the %d advised policies.
`

// proof is what the trials of a policy show of its goal.
type proof struct {
	experiment.CellSummary
	met   bool // by the estimates
	held  bool // by the ends of the intervals too
	valid bool // the load came in time, and no check failed
}

// proven returns what each cell shows.
func proven(s experiment.Summary) []proof {
	all := make([]proof, len(s.Cells))
	for i, c := range s.Cells {
		all[i] = proof{c, true, true, c.Late == 0}
		for _, t := range c.Trials {
			all[i].valid = all[i].valid && len(t.Violations) == 0
		}
	}
	for _, c := range s.Claims {
		p, estimate := &all[c.Cell], c.Interval.Estimate
		meets := estimate >= c.Claim.Threshold
		if !c.Claim.AtLeast {
			meets = c.Interval.N > 0 && estimate <= c.Claim.Threshold
		}
		p.met = p.met && meets
		p.held = p.held && c.Verdict == experiment.VerdictHeld
	}
	return all
}

// proofRow is the line of the j-th policy of a scenario.
func (a advice) proofRow(number, j int, policy design.Settings, p proof) string {
	what, predicted := strings.Join(words(policy), ", "), estimates(a.answer.Best.Metrics, false)
	switch {
	case j > 0:
		what, predicted = "recommended: "+what, ""
	case !a.answer.Possible:
		what = "impossible (" + strings.Join(a.answer.Reasons, "; ") + "), closest: " + what
	}
	met := "no"
	if p.met {
		met = "yes"
	}
	if !p.valid {
		met += ", but not to be believed: the load was too late, or a check failed"
	}
	cluster := strings.Join(append(a.factors(clusterFactors...), a.factors(loadFactors...)...), ", ")
	return fmt.Sprintf("| %d | %s | %s | %s | %s | %s | %s |\n", number, cluster, a.goal(), what, predicted, estimates(p.Metrics, true), met)
}

// estimates spells the metrics that goals are of.
func estimates(of map[design.Metric]stats.Interval, intervals bool) string {
	var parts []string
	for _, m := range []design.Metric{design.Success, design.P99} {
		i, ok := of[m]
		if !ok {
			continue
		}
		part := fmt.Sprintf("%s %s", m, spellMetric(m, i.Estimate))
		if intervals && i.Bounded() {
			part += fmt.Sprintf(" (%s to %s)", spellMetric(m, i.Low), spellMetric(m, i.High))
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}
