package main

import (
	"context"
	"runtime"

	"example.com/crashlab/client/experiment/simulate"
)

type predictCmd struct {
	Design  designFlags `embed:""`
	Repeats count       `default:"200" placeholder:"N" help:"How many trials each cell has (default: ${default})."`
}

// Help is what kong shows below the flags.
func (predictCmd) Help() string {
	return `The trials run in virtual time: client, supervisor and faults decide and draw as in "experiment run" with the same seed, and no process is started. ` +
		`What a machine takes its time for beside the service time is that of an idle one. Processors, kernel and network have no limits: ` +
		`a cluster whose calls keep the processors busy is slower. A design with a schedule of signals cannot be predicted.`
}

// Run predicts what the trials would show. Ctrl-C ends it early, and what it saw is still reported.
func (p *predictCmd) Run(ctx context.Context, out output) error {
	d, err := p.Design.load(out, int(p.Repeats), runtime.NumCPU())
	if err != nil {
		return err
	}
	if err := simulate.Check(d); err != nil {
		return &exit{exitUsage, err.Error()}
	}
	engine := &simulate.Engine{Model: simulate.DefaultModel()}
	return p.Design.run(ctx, out, d, engine, p.Design.command(d, "predict"))
}
