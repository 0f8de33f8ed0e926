package main

import (
	"context"
	"fmt"
	"os"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/report"
)

type validateCmd struct {
	Folder    string `arg:"" optional:"" default:"runs/latest" placeholder:"RUN" help:"Folder of a run of real processes. (default: runs/latest)"`
	modelFlag `group:"Simulation"`
	Format    string `group:"Output" enum:"table,md" default:"table" placeholder:"FORMAT" help:"table or md. (default: table)"`
}

// Help shows examples.
func (validateCmd) Help() string {
	return `Examples:

    crashlab validate
    crashlab validate runs/latest --format md

The prediction is saved in the folder of the run, where it replaces an earlier one, and crashlab report shows it beside the ` +
		`results. The check fails if less than 95% of the cells agree.`
}

// Run simulates the trials of the run and compares the results, cell by cell.
func (v *validateCmd) Run(ctx context.Context, out output) error {
	run, err := openRun(v.Folder)
	if err != nil {
		return err
	}
	if err := v.check(run); err != nil {
		return err
	}
	predicted, out, err := v.predict(ctx, out, run)
	if err != nil {
		return err
	}
	agreements, err := experiment.Agree(run, predicted)
	if err != nil {
		return err
	}
	if len(agreements) == 0 {
		return &exit{exitUsage, fmt.Sprintf("%q: no trial has a call to compare: want a run with some", v.Folder)}
	}
	if err := record.WritePrediction(run.Dir, predicted); err != nil {
		return err
	}
	if err := report.Agreements(out.stdout, v.Format, agreements); err != nil {
		return err
	}
	return reliable(agreements)
}

// check returns why a run cannot be compared with its prediction.
func (v *validateCmd) check(run *record.Run) error {
	if run.Manifest.Predicted() {
		return &exit{exitUsage, fmt.Sprintf("%q was simulated: want a run on processes", v.Folder)}
	}
	if run.Manifest.Engine == record.EngineLoad {
		return &exit{exitUsage, fmt.Sprintf("%q is a load, whose cluster is unknown: want a run of an experiment", v.Folder)}
	}
	return nil
}

// reliable returns an error if too few cells agree for the prediction to be relied on.
func reliable(agreements []experiment.Agreement) error {
	if experiment.Reliable(agreements) {
		return nil
	}
	agreeing, cells := experiment.AgreeingCells(agreements)
	return &exit{exitBelow, fmt.Sprintf("%d of %d cells agree: want %v%%", agreeing, cells, 100*experiment.RequiredAgreement)}
}

// predict simulates the trials of a run with the same seeds, so that the same requests crash. It
// also returns the output to use from then on.
func (f modelFlag) predict(ctx context.Context, out output, run *record.Run) (*record.Run, output, error) {
	model, err := f.load()
	if err != nil {
		return nil, out, err
	}
	var of []design.Trial
	for _, t := range run.Trials {
		of = append(of, t.Trial.Trial)
	}
	command := []string{os.Args[0], "validate", run.Dir}
	if f.Model != "" {
		command = append(command, "--model="+f.Model)
	}
	engine := &simulate.Engine{Model: model}
	manifest := trials.NewManifest(engine.Name(), run.Manifest.Design, command)
	ctx, running := begin(ctx)
	predicted, err := engine.Run(ctx, run.Manifest.Design, of)
	err = orInterrupted(ctx, err)
	out = running.end(out)
	if err != nil {
		return nil, out, err
	}
	predicted.Manifest = manifest
	return predicted, out, nil
}
