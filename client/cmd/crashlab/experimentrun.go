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
	Repeats  count       `group:"Design" placeholder:"N" help:"Trials of each cell, instead of the design's."`
	Parallel count       `group:"Trials" placeholder:"N" help:"Trials that run at a time, instead of the design's."`
	DryRun   bool        `group:"Trials" help:"Only print the cells and the number of trials."`
	Shard    *shard      `group:"Trials" placeholder:"I/N" help:"Run only shard I of N of the trials, I from 0; /N takes I from JOB_COMPLETION_INDEX. The claims are judged by crashlab merge, which joins the shards."`
	Counterd string      `group:"Trials" placeholder:"PROGRAM" help:"Program of a replica. (default: counterd beside crashlab, else in PATH)"`
	clusterFlags
	Predict   bool `group:"Prediction" help:"Simulate the same trials too, and compare the prediction with the results, as crashlab validate does."`
	modelFlag `group:"Prediction"`
}

// Help shows examples and the format of a file.
func (experimentRunCmd) Help() string {
	return `Examples:

    crashlab experiment run deploy/experiments/quick.yaml
    crashlab experiment run deploy/experiments/timeout.yaml --repeats 5 \
      --set concurrency=1

In the progress, a dot stands for each replica of the trial:

    ` + dotsLegend + `

` + clusterHelp
}

// Run runs the experiment. After Ctrl-C it reports the trials that have ended.
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

// check returns an error for flags that exclude or require each other.
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

// engine returns the engine that runs the trials.
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

// checkPrediction returns an error before the trials run if they cannot be predicted.
func (e *experimentRunCmd) checkPrediction() error {
	if !e.Predict {
		return nil
	}
	_, err := e.modelFlag.load()
	return err
}

// predict writes the prediction of a run to its folder, unless the run was interrupted. It returns
// the output to use from then on.
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

// command returns the command line that repeats the run, with its seed.
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
