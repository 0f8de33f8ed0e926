package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/report"
	"example.com/crashlab/supervisor/inputfile"
)

// reportFile is the report's name in the folder of its run.
const reportFile = "report.html"

type reportCmd struct {
	Folder string `arg:"" optional:"" default:"runs/latest" placeholder:"RUN" help:"The folder of the run. (default: runs/latest)"`
	Format string `enum:"html,table,csv,json,md" default:"html" placeholder:"FORMAT" help:"html, or of the table alone: table, csv, json or md. (default: html)"`
	Chart  chart  `placeholder:"CHART" help:"In place of the report one picture of it, as SVG: sweep or policies."`
	Output string `short:"o" placeholder:"FILE" help:"Where to write it; - is stdout. (default: report.html in the run's folder; all else to stdout)"`
}

// Run makes the report of a run from its files.
func (r *reportCmd) Run(out output) error {
	run, err := openRun(r.Folder)
	if err != nil {
		return err
	}
	summary := experiment.Summarize(run)
	write := func(w io.Writer) error { return report.Table(w, r.Format, run, summary) }
	path := r.Output
	switch {
	case r.Chart != "":
		write = func(w io.Writer) error { return report.Chart(w, string(r.Chart), summary) }
	case r.Format == "html":
		write = func(w io.Writer) error { return report.HTML(w, run, summary) }
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
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &exit{exitUsage, fmt.Sprintf("%q: no run is there: want a folder that `crashlab experiment run` made, such as runs/latest", dir)}
	}
	if refused, ok := errors.AsType[*inputfile.Refused](err); ok {
		return nil, &exit{exitUsage, refused.Error()}
	}
	return run, err
}
