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
	"example.com/crashlab/client/report"
	"example.com/crashlab/client/stats"
)

type validateAdviceCmd struct {
	Seed      count `group:"Scenarios" default:"1" placeholder:"N" help:"Seed of the scenarios. (default: ${default})"`
	Scenarios count `group:"Scenarios" default:"20" placeholder:"N" help:"Number of scenarios. (default: ${default})"`
	modelFlag `group:"Scenarios"`
	Repeats   count  `group:"Trials" default:"10" placeholder:"N" help:"Trials of each policy. (default: ${default})"`
	Parallel  count  `group:"Trials" default:"10" placeholder:"N" help:"Trials that run at a time. (default: ${default})"`
	Counterd  string `group:"Trials" placeholder:"PROGRAM" help:"Program of a replica. (default: counterd beside crashlab, else in PATH)"`
	Runs      string `group:"Output" default:"runs" placeholder:"FOLDER" help:"Where to create the folder of the run. (default: ${default})"`
	Output    string `group:"Output" short:"o" default:"-" placeholder:"FILE" help:"Where to write the table, as Markdown; - for stdout. (default: -)"`
	Quiet     bool   `group:"Output" short:"q" help:"Show no progress."`
}

// Help shows examples.
func (validateAdviceCmd) Help() string {
	return `Draws random scenarios, each with a cluster, a load and a goal, searches for advice on each, and runs the advised policies on real ` +
		`clusters. The check fails if less than 95% of the answers are right.

Examples:

    crashlab validate-advice --scenarios 3 --repeats 3
    crashlab validate-advice --seed 2 -o advice.md`
}

// Run searches for advice on each scenario, and runs all advised policies as one experiment.
func (v *validateAdviceCmd) Run(ctx context.Context, out output) error {
	if err := v.check(); err != nil {
		return err
	}
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

// check returns an error if the trials could be more than a design may have. A scenario has up to
// two policies.
func (v *validateAdviceCmd) check() error {
	if err := checkTrials(v.Seed, v.Repeats, v.Parallel); err != nil {
		return err
	}
	const policies = 2
	switch most := design.MaxTrials / policies / int(v.Repeats); {
	case most == 0:
		return &exit{exitUsage, fmt.Sprintf("--repeats %d: want 1 to %d", v.Repeats, design.MaxTrials/policies)}
	case int(v.Scenarios) > most:
		return &exit{exitUsage, fmt.Sprintf("--scenarios %d: want 1 to %d with --repeats %d", v.Scenarios, most, v.Repeats)}
	}
	return nil
}

// recommendedSuffix follows the number of the scenario in the name of a row with the recommended
// policy.
const recommendedSuffix = ", recommended"

// design returns a design with a row for the advised policy of each scenario. If there is none, the
// scenario has a row for the policy that came closest, and one for the recommended policy. The seed
// differs from that of the search.
func (v *validateAdviceCmd) design(all []advice) *design.Design {
	d := &design.Design{
		Name: "advice", Question: "Does advice hold, and is what it calls impossible really impossible?",
		Seed: uint64(v.Seed) + 1, Repeats: int(v.Repeats), Parallel: int(v.Parallel),
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
			row(name+recommendedSuffix, a.question.Recommended(), a.question.Goal)
		}
	}
	return d
}

// report writes the table. It returns an error if too few of the answers are right.
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

// proofPage is the format of deploy/experiments/results/advice.md.
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

// proof tells whether the trials of a policy met its goal.
type proof struct {
	experiment.CellSummary
	met   bool // the estimates meet the goal
	held  bool // the whole intervals do
	valid bool // the load was on time, and no check failed
}

// proven returns the proof of each cell.
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

// proofRow returns the row of the j-th policy of a scenario.
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
		met += ", but invalid: the load was late, or a check failed"
	}
	cluster := strings.Join(append(a.factors(clusterFactors...), a.factors(loadFactors...)...), ", ")
	return fmt.Sprintf("| %d | %s | %s | %s | %s | %s | %s |\n", number, cluster, a.goal(), what, predicted, estimates(p.Metrics, true), met)
}

// estimates spells the metrics that goals can name.
func estimates(of map[design.Metric]stats.Interval, intervals bool) string {
	var parts []string
	metrics := []design.Metric{design.Success, design.P99}
	figures := report.Figures(of, metrics...)
	for _, m := range metrics {
		f, ok := figures[m]
		if !ok {
			continue
		}
		part := fmt.Sprintf("%s %s", m, f.Estimate)
		if intervals && f.Bounds != "" {
			part += " " + f.Bounds
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}
