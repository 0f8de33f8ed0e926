package main

import (
	"context"
	"fmt"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/report"
)

type validateCmd struct {
	modelFlag
	Folder string `arg:"" optional:"" default:"runs/latest" placeholder:"RUN" help:"The folder of a run on processes. (default: runs/latest)"`
	Format string `enum:"table,md" default:"table" placeholder:"FORMAT" help:"table or md. (default: table)"`
}

// Run simulates the trials of the run and compares, cell by cell.
func (v *validateCmd) Run(ctx context.Context, out output) error {
	run, err := openRun(v.Folder)
	if err != nil {
		return err
	}
	if run.Manifest.Predicted() {
		return &exit{exitUsage, fmt.Sprintf("%q was simulated: want a run on processes", v.Folder)}
	}
	model, err := v.modelFlag.load()
	if err != nil {
		return err
	}
	ctx, running := begin(ctx)
	predicted, err := v.predict(ctx, run, &simulate.Engine{Model: model})
	err = orInterrupted(ctx, err)
	out = running.end(out)
	if err != nil {
		return err
	}
	agreements, err := experiment.Agree(run, predicted)
	if err != nil {
		return err
	}
	if err := report.Agreements(out.stdout, v.Format, agreements); err != nil {
		return err
	}
	agreeing, cells := experiment.AgreeingCells(agreements)
	fmt.Fprintf(out.stdout, "\n%d of %d cells agree, of %d trials\n", agreeing, cells, len(run.Trials))
	if float64(agreeing) < experiment.RequiredAgreement*float64(cells) {
		return &exit{exitBelow, fmt.Sprintf("%d of %d cells agree: want %v%%", agreeing, cells, 100*experiment.RequiredAgreement)}
	}
	return nil
}

// predict simulates the trials that the run has: with the same seeds, so the luck of both is the same.
func (v *validateCmd) predict(ctx context.Context, run *record.Run, e *simulate.Engine) (*record.Run, error) {
	d := run.Manifest.Design
	if err := simulate.Check(d); err != nil {
		return nil, &exit{exitUsage, fmt.Sprintf("%q: %v", v.Folder, err)}
	}
	var of []design.Trial
	for _, t := range run.Trials {
		of = append(of, t.Trial.Trial)
	}
	return e.Run(ctx, d, of)
}
