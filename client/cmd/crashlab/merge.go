package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/record"
)

type mergeCmd struct {
	Folders []string `arg:"" name:"run" placeholder:"RUN" help:"The folders of the runs."`
	Output  string   `short:"o" required:"" placeholder:"FOLDER" help:"A new folder for the run that they are together."`
	JSON    bool     `help:"The table as JSON objects."`
}

// Help is what kong shows with the flags.
func (mergeCmd) Help() string {
	return `The runs are of one design and seed, such as those of "experiment run --shard": a trial that several have counts once. Or they are of ` +
		`"load --save" with equal flags, but for the seed: they become one load with the calls of all, so its percentiles are exact. ` +
		`The exit code is that of "experiment run"; it is 3 when trials are missing.`
}

// Run writes the merged run and judges its claims.
func (m *mergeCmd) Run(out output) error {
	if full, ok := errors.AsType[*record.NotEmpty](record.CheckEmpty(m.Output)); ok {
		return &exit{exitUsage, fmt.Sprintf("--output %v", full)}
	}
	run, err := openRuns(m.Folders)
	if err != nil {
		return err
	}
	run.Manifest.Command = os.Args
	if err := record.Save(m.Output, run); err != nil {
		return err
	}
	_, summary, err := showRun(out, m.Output, m.JSON)
	if err != nil {
		return err
	}
	missing := missingTrials(run)
	switch {
	case summary.Verdict == experiment.VerdictFailed:
	case missing != "":
		return &exit{exitInconclusive, "inconclusive: " + missing}
	case summary.Verdict == experiment.VerdictInconclusive && run.Manifest.Engine == record.EngineLoad:
		return &exit{exitInconclusive, "inconclusive: the calls of a load started too late"}
	}
	return claimsVerdict(summary)
}

// openRuns reads runs, and returns what they are together.
func openRuns(folders []string) (*record.Run, error) {
	var runs []*record.Run
	for _, folder := range folders {
		run, err := openRun(folder)
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	merged, err := experiment.Merge(runs)
	if err != nil {
		return nil, &exit{exitUsage, err.Error()}
	}
	return merged, nil
}

// missingTrials says which trials of its design a run has not made; empty: none.
func missingTrials(run *record.Run) string {
	const most = 10
	missing := experiment.Missing(run)
	switch {
	case len(missing) == 0:
		return ""
	case run.Manifest.Engine == record.EngineLoad:
		return "a load was interrupted"
	}
	var numbers []string
	for _, t := range missing[:min(len(missing), most)] {
		numbers = append(numbers, fmt.Sprint(t.Number))
	}
	if len(missing) > most {
		numbers = append(numbers, "...")
	}
	return fmt.Sprintf("%d of %s are missing: %s", len(missing), plural(len(run.Manifest.Design.Trials()), "trial"), strings.Join(numbers, ", "))
}
