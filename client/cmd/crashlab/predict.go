package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/supervisor/inputfile"
)

// modelFlag selects the model of the machine for a simulation.
type modelFlag struct {
	Model string `placeholder:"FILE" help:"Model of the machine, as crashlab calibrate saves it. (default: crashlab/model.json in the user's configuration directory, else built-in delays)"`
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
	Design    designFlags `embed:""`
	Repeats   count       `group:"Design" default:"200" placeholder:"N" help:"Trials of each cell. (default: ${default})"`
	modelFlag `group:"Simulation"`
}

// Help shows examples, and what a simulation leaves out.
func (predictCmd) Help() string {
	return `Examples:

    crashlab predict deploy/experiments/quick.yaml
    crashlab predict deploy/experiments/timeout.yaml --set p_crash=0.1

The trials run in virtual time, without processes. Client, supervisor and faults make the same decisions and random draws as ` +
		`in crashlab experiment run with the same seed. The delays of the machine, such as that of a dial, are those that crashlab calibrate ` +
		`measured, or else those of an idle machine.

Processors, kernel and network are modeled without limits, so a cluster whose calls keep the processors busy is slower than predicted. ` +
		`On two cores that begins between 12,000 and 16,000 calls a second. On this machine it begins at the first row that disagrees in:

    crashlab experiment run --predict deploy/experiments/contention.yaml`
}

// Run simulates the trials and reports their results. After Ctrl-C it reports the trials that have
// ended.
func (p *predictCmd) Run(ctx context.Context, out output) error {
	d, err := p.Design.load(out, int(p.Repeats), min(runtime.NumCPU(), design.MaxParallel))
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
