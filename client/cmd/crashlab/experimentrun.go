package main

import (
	"context"
	"errors"
	"fmt"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/supervisor/transport"
)

type experimentRunCmd struct {
	Design   designFlags `embed:""`
	Repeats  count       `placeholder:"N" help:"How many trials each cell has, in place of the design's."`
	Parallel count       `placeholder:"N" help:"How many trials run at a time, in place of the design's."`
	DryRun   bool        `help:"Only show the cells and how many trials there are."`
	Counterd string      `placeholder:"PROGRAM" help:"The program of a replica. (default: counterd beside crashlab, else in PATH)"`
	Shard    *shard      `placeholder:"I/N" help:"Run only the I-th of N shares of the trials, I from 0; /N takes I from JOB_COMPLETION_INDEX. It exits with 0 once they are made and checked; crashlab merge joins them and judges the claims."`
	clusterFlags
	Predict bool `help:"Simulate the same trials, and compare what is predicted with what was measured, as crashlab validate does."`
	modelFlag
}

// Help is what kong shows below the flags.
func (experimentRunCmd) Help() string { return clusterHelp }

// Run runs the experiment. Ctrl-C ends it early; the trials until then are reported.
func (e *experimentRunCmd) Run(ctx context.Context, out output) error {
	if err := e.check(); err != nil {
		return err
	}
	parallel := int(e.Parallel)
	if e.Cluster != "" {
		parallel = 1
	}
	d, err := e.Design.load(out, int(e.Repeats), parallel)
	if err != nil {
		return err
	}
	if e.DryRun {
		return printDesign(out.stdout, d)
	}
	if err := e.checkPrediction(); err != nil {
		return err
	}
	engine, err := e.engine(out)
	if err != nil {
		return err
	}
	dir, out, err := e.Design.run(ctx, out, d, trials.Run{Engine: engine, Command: e.command(d), Shard: e.shard()})
	if err != nil {
		return e.refusal(err)
	}
	var unpredicted error
	if e.Predict {
		out, unpredicted = e.predict(ctx, out, dir)
	}
	err = e.Design.report(out, dir)
	if _, verdict := errors.AsType[*exit](err); unpredicted != nil && (err == nil || verdict) {
		return unpredicted
	}
	return err
}

// check finds flags that do not go together.
func (e *experimentRunCmd) check() error {
	switch {
	case e.Cluster == "" && e.clusterFlags.Client != transport.Client{}:
		return &exit{exitUsage, "--tls-ca, --tls-cert, --tls-key, --tls-server-name: want --cluster with them"}
	case e.Cluster != "" && e.Counterd != "":
		return &exit{exitUsage, fmt.Sprintf("--counterd %q: not with --cluster, whose replicas have their program", e.Counterd)}
	case e.Cluster != "" && e.Parallel > 1:
		return &exit{exitUsage, fmt.Sprintf("--parallel %d: not with --cluster, which has one trial at a time", e.Parallel)}
	}
	return nil
}

// engine returns where the trials run.
func (e *experimentRunCmd) engine(out output) (trials.Engine, error) {
	if e.Cluster != "" {
		return e.clusterFlags.engine(out)
	}
	return newLab(e.Counterd)
}

func (e *experimentRunCmd) shard() trials.Shard {
	if e.Shard == nil {
		return trials.Shard{}
	}
	return trials.Shard(*e.Shard)
}

// checkPrediction finds out before the trials run whether they can be predicted.
func (e *experimentRunCmd) checkPrediction() error {
	if !e.Predict {
		return nil
	}
	_, err := e.modelFlag.load()
	return err
}

// predict keeps what is predicted of a run in its folder, unless the run was interrupted. It
// returns the output for what follows.
func (e *experimentRunCmd) predict(ctx context.Context, out output, dir string) (output, error) {
	run, err := record.Open(dir)
	if err != nil || run.Manifest.Interrupted {
		return out, err
	}
	predicted, out, err := e.modelFlag.predict(ctx, out, run)
	if err != nil {
		return out, err
	}
	return out, record.WritePrediction(run.Dir, predicted)
}

// command is what repeats the run, with the seed, whoever chose it.
func (e *experimentRunCmd) command(d *design.Design) []string {
	command := append(e.Design.command(d, "experiment", "run"), fmt.Sprintf("--parallel=%d", d.Parallel))
	if e.Counterd != "" {
		command = append(command, "--counterd="+e.Counterd)
	}
	if e.Predict {
		command = append(command, "--predict")
	}
	if e.Model != "" {
		command = append(command, "--model="+e.Model)
	}
	if e.Shard != nil {
		command = append(command, "--shard="+e.shard().String())
	}
	return append(command, e.clusterFlags.command()...)
}
