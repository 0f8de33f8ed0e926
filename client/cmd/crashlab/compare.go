package main

import (
	"fmt"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/report"
)

type compareCmd struct {
	A    string `arg:"" placeholder:"RUN_A" help:"The folder of a run."`
	B    string `arg:"" placeholder:"RUN_B" help:"The folder of the run to compare with it."`
	JSON bool   `help:"As JSON."`
}

// Run says of each metric whether B is better or worse than A, or that the runs do not tell.
func (c *compareCmd) Run(out output) error {
	a, err := openRun(c.A)
	if err != nil {
		return err
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
