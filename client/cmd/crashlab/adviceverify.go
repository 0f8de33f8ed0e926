package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"strings"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/lab"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
)

// verify runs the advice on real clusters and says whether it held.
func (a *adviseCmd) verify(ctx context.Context, out output, engine *lab.Lab, given advice) error {
	d := a.design(given)
	summary, path, out, err := verifyTrials(ctx, out, d, trials.Run{Engine: engine, Runs: a.Runs, Command: os.Args}, a.Quiet)
	if err != nil {
		return err
	}
	return given.verdict(out.stdout, summary, path)
}

// verifyTrials runs trials to their end, and returns what they have shown, the page of their
// report, and the output for what follows.
func verifyTrials(ctx context.Context, out output, d *design.Design, r trials.Run, quiet bool) (experiment.Summary, string, output, error) {
	dir, out, err := runTrials(ctx, out, d, r, newTrialPrinter(out, d, quiet, false))
	if err != nil {
		return experiment.Summary{}, "", out, err
	}
	run, err := record.Open(dir)
	if err != nil {
		return experiment.Summary{}, "", out, err
	}
	if run.Manifest.Interrupted {
		return experiment.Summary{}, "", out, &exit{exitInterrupted, fmt.Sprintf("interrupted; what was seen is in %s", dir)}
	}
	summary, path, err := writePage(run)
	return summary, path, out, err
}

// design is that of the trials that verify the advice. They have other luck than those of the
// search.
func (a *adviseCmd) design(given advice) *design.Design {
	s, goal := given.answer.Best.Settings, given.question.Goal
	d := &design.Design{
		Name: "advise", Question: "Does the advice hold?", Seed: given.question.Seed + 1, Repeats: int(a.Repeats), Parallel: int(a.Parallel),
		Cells: []design.Cell{{Settings: s}}, Claims: goal.Claims(), Source: given.yaml(s),
	}
	if d.Repeats == 0 {
		// 3.7 calls without a failure are needed for each failure that is allowed, see package
		// stats; a few more allow for one.
		d.Repeats = min(max(8, int(math.Ceil(6/(1-goal.Success)/float64(s.Calls)))), 100)
	}
	if d.Parallel == 0 {
		d.Parallel = min(d.Repeats, 10)
		if s.Rate > 0 {
			d.Parallel = max(1, min(d.Parallel, int(200/s.Rate))) // what keeps a processor busy spoils the measurement
		}
	}
	return d
}

// verdict prints what the trials have shown, and returns how the advice stands.
func (a advice) verdict(w io.Writer, s experiment.Summary, path string) error {
	var b strings.Builder
	cell := s.Cells[0]
	fmt.Fprintf(&b, "\nVerified in %s on clusters of this machine:\n\n", plural(len(cell.Trials), "trial"))
	a.metrics(&b, "measured", cell.Metrics)
	fmt.Fprintf(&b, "\n%s\n%s\n", strings.Join(verdictLines(s), "\n"), path)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	switch s.Verdict {
	case experiment.VerdictFailed:
		return &exit{exitFailed, "the advice did not hold"}
	case experiment.VerdictInconclusive:
		return &exit{exitInconclusive, "inconclusive: the trials do not tell whether the advice holds; more of them may (--repeats)"}
	}
	_, err := fmt.Fprintln(w, "The advice held.")
	return err
}
