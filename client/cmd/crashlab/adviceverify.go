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

// verify tries the advice on real clusters and prints whether it held.
func (a *adviseCmd) verify(ctx context.Context, out output, engine *lab.Lab, given advice) error {
	d := a.design(given)
	summary, path, out, err := verifyTrials(ctx, out, d, trials.Run{Engine: engine, Runs: a.Runs, Command: os.Args}, a.Quiet)
	if err != nil {
		return err
	}
	return given.verdict(out.stdout, summary, path)
}

// checkTrials returns an error for numbers that no design may have. Zero stands for a default.
func checkTrials(seed, repeats, parallel count) error {
	err := design.Overrides{Seed: new(uint64(seed)), Repeats: int(repeats), Parallel: int(parallel)}.Check()
	return fileError(err, "")
}

// verifyTrials runs trials, and returns their results, the path of the report, and the output to
// use from then on.
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
		return experiment.Summary{}, "", out, &exit{exitInterrupted, fmt.Sprintf("interrupted; the results so far are in %s", dir)}
	}
	summary, path, err := writePage(run)
	return summary, path, out, err
}

// design returns the design of the trials that verify the advice. Their seed differs from that of
// the search.
func (a *adviseCmd) design(given advice) *design.Design {
	s, goal := given.answer.Best.Settings, given.question.Goal
	d := &design.Design{
		Name: "advise", Question: "Does the advice hold?", Seed: given.question.Seed + 1, Repeats: int(a.Repeats), Parallel: int(a.Parallel),
		Cells: []design.Cell{{Settings: s}}, Claims: goal.Claims(), Source: given.yaml(s),
	}
	if d.Repeats == 0 {
		// Each failure that is allowed requires 3.7 calls without a failure (see package stats); a
		// few more leave room for one.
		d.Repeats = min(max(8, int(math.Ceil(6/(1-goal.Success)/float64(s.Calls)))), 100)
	}
	if d.Parallel == 0 {
		d.Parallel = min(d.Repeats, 10)
		if s.Rate > 0 {
			d.Parallel = max(1, min(d.Parallel, int(200/s.Rate))) // busy processors distort the measurement
		}
	}
	return d
}

// verdict prints the results of the trials, and returns an error unless the advice held.
func (a advice) verdict(w io.Writer, s experiment.Summary, path string) error {
	var b strings.Builder
	cell := s.Cells[0]
	fmt.Fprintf(&b, "\nVerified in %s on clusters on this machine:\n\n", plural(len(cell.Trials), "trial"))
	a.metrics(&b, "measured", cell.Metrics)
	fmt.Fprintf(&b, "\n%s\n%s\n", strings.Join(verdictLines(s), "\n"), path)
	if err := printLines(w, b.String(), "  "); err != nil {
		return err
	}
	switch s.Verdict {
	case experiment.VerdictFailed:
		return &exit{exitBelow, "the advice did not hold"}
	case experiment.VerdictInconclusive:
		return &exit{exitInconclusive, "inconclusive: the trials do not decide whether the advice holds; more of them may (--repeats)"}
	}
	_, err := fmt.Fprintln(w, "The advice held.")
	return err
}
