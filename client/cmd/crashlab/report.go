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
	Folders []string `arg:"" optional:"" name:"run" default:"runs/latest" placeholder:"RUN" help:"The folder of the run, or those of several of one design that are one together, as for crashlab merge. (default: runs/latest)"`
	Format  string   `enum:"html,table,csv,json,md" default:"html" placeholder:"FORMAT" help:"html, or of the table alone: table, csv, json or md. (default: html)"`
	Chart   chart    `placeholder:"CHART" help:"In place of the report one picture of it, as SVG: sweep, policies or agreement."`
	Output  string   `short:"o" placeholder:"FILE" help:"Where to write it; - is stdout. (default: report.html in the run's folder; all else to stdout)"`
}

// Run makes the report of a run from its files.
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

// openRun reads the files of a run. A folder that is none is a mistake of the user's.
func openRun(dir string) (*record.Run, error) {
	run, err := record.Open(dir)
	return run, ofRun(dir, err)
}

// ofRun returns an error of the files of a run as a mistake of the user's, unless the system
// failed.
func ofRun(dir string, err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return &exit{exitUsage, fmt.Sprintf("%q: no run is there: want a folder that `crashlab experiment run` made, such as runs/latest", dir)}
	}
	if _, system := errors.AsType[*fs.PathError](err); err == nil || system {
		return err
	}
	return &exit{exitUsage, err.Error()}
}

// summarize returns what a run has shown, with what was predicted of it where that is in its
// folder.
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
