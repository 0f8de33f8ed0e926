package main

import (
	"fmt"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/report"
)

type compareCmd struct {
	A     string `arg:"" placeholder:"RUN_A" help:"Folder of a run."`
	B     string `arg:"" optional:"" placeholder:"RUN_B" help:"Folder of the run to compare with it."`
	Cells bool   `group:"Output" help:"Compare the cells of one run: each level of a factor, or each row, with the first, all else being equal."`
	JSON  bool   `group:"Output" help:"Write JSON."`
}

// Help shows examples.
func (compareCmd) Help() string {
	return `Examples:

    crashlab compare runs/before runs/after
    crashlab compare --cells runs/latest`
}

// Run prints for each metric whether B is better or worse than A, or that the runs do not decide.
func (c *compareCmd) Run(out output) error {
	switch {
	case c.Cells && c.B != "":
		return &exit{exitUsage, fmt.Sprintf("--cells: want one run, not %q too", c.B)}
	case !c.Cells && c.B == "":
		return &exit{exitUsage, "want a second run to compare with, or --cells"}
	}
	a, err := openRun(c.A)
	if err != nil {
		return err
	}
	if c.Cells {
		format := "table"
		if c.JSON {
			format = "json"
		}
		return report.Contrasts(out.stdout, format, experiment.Summarize(a))
	}
	b, err := openRun(c.B)
	if err != nil {
		return err
	}
	if a.Dir == b.Dir {
		return &exit{exitUsage, fmt.Sprintf("%q and %q are the same run: want two", c.A, c.B)}
	}
	differences, err := experiment.Compare(a, b)
	if err != nil {
		return &exit{exitUsage, err.Error()}
	}
	if c.JSON {
		return report.Differences(out.stdout, "json", differences)
	}
	for i, run := range []*record.Run{a, b} {
		if run.Manifest.Predicted() {
			fmt.Fprintf(out.stdout, "%c is predicted: its trials ran in virtual time.\n\n", 'A'+i)
		}
	}
	return report.Differences(out.stdout, "table", differences)
}
