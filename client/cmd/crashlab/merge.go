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
	Folders []string `arg:"" name:"run" placeholder:"RUN" help:"Folders of the runs."`
	Output  string   `group:"Output" short:"o" required:"" placeholder:"FOLDER" help:"New folder for the merged run."`
	JSON    bool     `group:"Output" help:"Write the table as JSON objects."`
}

// Help shows examples, and which runs can be merged.
func (mergeCmd) Help() string {
	return `Examples:

    # two shards of an experiment, made on two machines
    crashlab merge -o runs/all runs/shard-0 runs/shard-1
    # loads that several machines made at the same time with --save
    crashlab merge -o runs/load runs/load-a runs/load-b

The runs must have the same design and seed, like the shards of crashlab experiment run; a trial that is in several runs counts once. ` +
		`Or they are loads saved with the same flags except the seed: they become one load with all calls, so its percentiles are exact. ` +
		`If trials are missing, the merged run is inconclusive.`
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

// openRuns reads runs and merges them.
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

// missingTrials returns a message that lists the trials of the design that the run does not have,
// or an empty text.
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
