package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/report"
)

// reportFile is the report's name in the folder of its run.
const reportFile = "report.html"

type reportCmd struct {
	Folders []string `arg:"" optional:"" name:"run" default:"runs/latest" placeholder:"RUN" help:"Folder of the run, or the folders of several runs to join as crashlab merge does. (default: runs/latest)"`
	Format  string   `group:"Output" enum:"html,table,csv,json,md" default:"html" placeholder:"FORMAT" help:"html for the page; table, csv, json or md for the table alone. (default: html)"`
	Chart   chart    `group:"Output" placeholder:"CHART" help:"Write only one chart, as SVG: sweep, policies or agreement."`
	Output  string   `group:"Output" short:"o" placeholder:"FILE" help:"Where to write it; - for stdout. (default: report.html in the folder of the run, for the page; stdout for everything else)"`
}

// Help shows examples.
func (reportCmd) Help() string {
	return `Examples:

    crashlab report
    crashlab report runs/latest --format md -o -`
}

// Run writes the report of a run from its files.
func (r *reportCmd) Run(out output) error {
	run, err := openRuns(r.Folders)
	if err != nil {
		return err
	}
	if missing := missingTrials(run); missing != "" && run.Dir == "" {
		fmt.Fprintln(out.stderr, missing)
	}
	summary, err := summarize(run)
	if err != nil {
		return err
	}
	write := func(w io.Writer) error { return report.Table(w, r.Format, run, summary) }
	path := r.Output
	switch {
	case r.Chart != "":
		write = func(w io.Writer) error {
			err := report.Chart(w, string(r.Chart), summary)
			if none, ok := errors.AsType[report.NotShown](err); ok {
				return &exit{exitUsage, fmt.Sprintf("%s: %v", strings.Trim(fmt.Sprintf("%q", r.Folders), "[]"), none)}
			}
			return err
		}
	case r.Format == "html":
		write = func(w io.Writer) error { return report.HTML(w, run, summary) }
		if path == "" && run.Dir == "" {
			return &exit{exitUsage, "--output: want a file for the page of several runs, or one of the other formats with --format"}
		}
		if path == "" {
			path = filepath.Join(run.Dir, reportFile)
		}
	}
	if path == "" || path == "-" {
		return write(out.stdout)
	}
	if err := writeFile(path, write); err != nil {
		return err
	}
	fmt.Fprintln(out.stdout, path)
	return nil
}

// openRun reads the files of a run. A folder without a run is a user error.
func openRun(dir string) (*record.Run, error) {
	run, err := record.Open(dir)
	return run, ofRun(dir, err)
}

// ofRun returns an error about the files of a run as a user error, unless the system failed.
func ofRun(dir string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return &exit{exitUsage, fmt.Sprintf("%q: no run is there: want a folder that `crashlab experiment run` made, such as runs/latest", dir)}
	}
	if _, system := errors.AsType[*fs.PathError](err); err == nil || system {
		return err
	}
	return &exit{exitUsage, err.Error()}
}

// summarize returns the results of a run, with its prediction if that is in its folder.
func summarize(run *record.Run) (experiment.Summary, error) {
	summary := experiment.Summarize(run)
	predicted, err := run.Prediction()
	if err != nil || predicted == nil {
		return summary, ofRun(filepath.Join(run.Dir, record.PredictionFolder), err)
	}
	if err := summary.AddPrediction(predicted); err != nil {
		return summary, &exit{exitUsage, fmt.Sprintf("%s: %v", predicted.Dir, err)}
	}
	return summary, nil
}
