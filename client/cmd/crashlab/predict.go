package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/supervisor/inputfile"
)

// modelFlag says what a simulation takes the machine for.
type modelFlag struct {
	Model string `placeholder:"FILE" help:"The model of the machine, as calibrate saved it. (default: crashlab/model.json in the user's configuration, else built-in times)"`
}

// load returns the model.
func (f modelFlag) load() (simulate.Model, error) {
	m, err := simulate.LoadModel(f.Model)
	if mistake, ok := errors.AsType[*inputfile.Mistake](err); ok {
		return m, &exit{exitUsage, mistake.Error()}
	}
	if err != nil {
		return m, fileError(err, fmt.Sprintf("--model %q: no such file: want one that `crashlab calibrate` saved", f.Model))
	}
	return m, nil
}

type predictCmd struct {
	modelFlag
	Design  designFlags `embed:""`
	Repeats count       `default:"200" placeholder:"N" help:"How many trials each cell has (default: ${default})."`
}

// Help is what kong shows below the flags.
func (predictCmd) Help() string {
	return `The trials run in virtual time: client, supervisor and faults decide and draw as in "experiment run" with the same seed, and no process is started. ` +
		`Delays of the machine itself, such as a dial, are those that calibrate has measured, or else those of an idle machine. Processors, kernel and network have no limits: ` +
		`a cluster whose calls keep the processors busy is slower. On two cores that begins between 12,000 ` +
		`and 16,000 calls a second; here, at the first row that disagrees in "crashlab experiment run --predict deploy/experiments/contention.yaml".`
}

// Run simulates the trials and reports them as predicted. After Ctrl-C it reports the trials that
// have ended.
func (p *predictCmd) Run(ctx context.Context, out output) error {
	d, err := p.Design.load(out, int(p.Repeats), runtime.NumCPU())
	if err != nil {
		return err
	}
	model, err := p.modelFlag.load()
	if err != nil {
		return err
	}
	command := p.Design.command(d, "predict")
	if p.Model != "" {
		command = append(command, "--model="+p.Model)
	}
	dir, out, err := p.Design.run(ctx, out, d, trials.Run{Engine: &simulate.Engine{Model: model}, Command: command})
	if err != nil {
		return err
	}
	return p.Design.report(out, dir)
}
