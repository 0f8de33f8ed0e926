package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/lab"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/report"
	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/inputfile"
)

type experimentCmd struct {
	Run     experimentRunCmd     `cmd:"" help:"Run the trials of a design, each on a fresh cluster, and report the results."`
	Factors experimentFactorsCmd `cmd:"" help:"List the factors that a design can vary, with their defaults."`
}

// Help shows examples.
func (experimentCmd) Help() string {
	return `Examples:

    crashlab experiment run deploy/experiments/quick.yaml
    crashlab experiment factors`
}

// designFlags select the trials of a run, and how the run is shown.
type designFlags struct {
	File  string  `arg:"" placeholder:"FILE" help:"Design file, such as deploy/experiments/quick.yaml."`
	Set   []level `group:"Design" placeholder:"FACTOR=VALUE" sep:"none" help:"Set a factor in all cells, such as --set timeout=300ms. Repeatable."`
	Seed  *seed   `group:"Design" placeholder:"N" help:"Seed, instead of the design's."`
	Runs  string  `group:"Output" default:"runs" placeholder:"FOLDER" help:"Where to create the folder of the run. (default: runs)"`
	Quiet bool    `group:"Output" short:"q" help:"Show no progress."`
	JSON  bool    `group:"Output" help:"Write progress and the table as JSON objects."`
}

// run runs the trials of a design. It returns the folder of the run, and the output to use from
// then on.
func (f *designFlags) run(ctx context.Context, out output, d *design.Design, r trials.Run) (string, output, error) {
	r.Runs = f.Runs
	dir, out, err := runTrials(ctx, out, d, r, newTrialPrinter(out, d, f.Quiet, f.JSON))
	if err != nil && dir != "" {
		err = fmt.Errorf("%w; the results so far are in %s", err, dir)
	}
	return dir, out, err
}

// runTrials runs trials and prints their progress. It returns the folder of the run, and the output
// to use from then on.
func runTrials(ctx context.Context, out output, d *design.Design, r trials.Run, progress *trialPrinter) (string, output, error) {
	r.OnProgress = progress.print
	ctx, running := begin(ctx)
	dir, err := r.Do(ctx, d)
	if dir == "" && ctx.Err() != nil {
		err = &exit{exitInterrupted, fmt.Sprintf("interrupted before the first trial: %v", err)}
	}
	progress.clear()
	return dir, running.end(out), err
}

// writePage summarizes a run and writes the page of its report into its folder.
func writePage(run *record.Run) (summary experiment.Summary, path string, err error) {
	if summary, err = summarize(run); err != nil {
		return summary, "", err
	}
	path = filepath.Join(run.Dir, reportFile)
	return summary, path, writeFile(path, func(w io.Writer) error { return report.HTML(w, run, summary) })
}

// load reads the design and prints its warnings, and which cells are left out.
func (f *designFlags) load(out output, repeats, parallel int) (*design.Design, error) {
	o := design.Overrides{Seed: (*uint64)(f.Seed), Repeats: repeats, Parallel: parallel}
	for _, l := range f.Set {
		o.Set = append(o.Set, design.Level(l))
	}
	d, err := design.Load(f.File, o)
	if err != nil {
		return nil, fileError(err, fmt.Sprintf("%q: no such file: want a design, such as deploy/experiments/quick.yaml", f.File))
	}
	for _, what := range d.Warnings {
		_ = printLines(out.stderr, "warning: "+what+"\n", "  ")
	}
	for _, what := range d.LeftOut {
		_ = printLines(out.stderr, "left out "+what+"\n", "  ")
	}
	return d, nil
}

// fileError returns the error of a file that the user has named: a user error, unless the system
// failed. Missing is the message if there is no such file.
func fileError(err error, missing string) error {
	if mistake, ok := errors.AsType[*inputfile.Mistake](err); ok {
		return &exit{exitUsage, strings.TrimSuffix(inputfile.Text(mistake), "\n")}
	}
	if refused, ok := errors.AsType[*inputfile.Refused](err); ok {
		return &exit{exitUsage, refused.Error()}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &exit{exitUsage, missing}
	}
	return err
}

// report prints the results of a run, and returns the verdict as an error.
func (f *designFlags) report(out output, dir string) error {
	run, summary, err := showRun(out, dir, f.JSON)
	if err != nil {
		return err
	}
	if run.Manifest.Interrupted {
		whole := 0
		for _, t := range run.Trials {
			if !t.Interrupted {
				whole++
			}
		}
		return &exit{exitInterrupted, fmt.Sprintf("interrupted after %d of %d trials", whole, len(ownTrials(run)))}
	}
	if run.Manifest.Shard != "" {
		return shardVerdict(summary)
	}
	return claimsVerdict(summary)
}

// showRun writes the report into the folder of a run, and prints the table.
func showRun(out output, dir string, asJSON bool) (*record.Run, experiment.Summary, error) {
	run, err := record.Open(dir)
	if err != nil {
		return nil, experiment.Summary{}, err
	}
	summary, path, err := writePage(run)
	if err != nil {
		return nil, experiment.Summary{}, err
	}
	format := "table"
	if asJSON {
		format = "json"
	}
	err = report.Table(out.stdout, format, run, summary)
	if err == nil && !asJSON {
		err = printLines(out.stdout, fmt.Sprintf("\n%s\n%s\n", strings.Join(verdictLines(summary), "\n"), path), "  ")
	}
	return run, summary, err
}

// claimsVerdict returns nil when all claims hold.
func claimsVerdict(s experiment.Summary) error {
	switch s.Verdict {
	case experiment.VerdictFailed:
		return &exit{exitBelow, "a claim or a check failed"}
	case experiment.VerdictInconclusive:
		return &exit{exitInconclusive, "inconclusive: the trials do not decide; more of them may (--repeats)"}
	}
	if s.Prediction != nil {
		return reliable(s.Agreements())
	}
	return nil
}

// newLab returns the engine of real processes. If counterd is empty, the replicas run the counterd
// that is beside this program, or in PATH.
func newLab(counterd string) (*lab.Lab, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if counterd, err = findCounterd(counterd, self); err != nil {
		return nil, err
	}
	return &lab.Lab{Counterd: counterd, Guardian: []string{self, guardCommand}}, nil
}

func findCounterd(given, self string) (string, error) {
	if given != "" {
		path, err := exec.LookPath(given)
		if err != nil {
			return "", &exit{exitUsage, fmt.Sprintf("--counterd %q: want a program that can be run: %v", given, errors.Unwrap(err))}
		}
		return path, nil
	}
	if path, err := exec.LookPath(filepath.Join(filepath.Dir(self), "counterd")); err == nil {
		return path, nil
	}
	path, err := exec.LookPath("counterd")
	if err != nil {
		return "", &exit{exitUsage, fmt.Sprintf("no counterd beside %s nor in PATH: build it with make, or give --counterd", self)}
	}
	return path, nil
}

// command returns the command line of a subcommand, with the flags that all of them have.
func (f *designFlags) command(d *design.Design, subcommand ...string) []string {
	command := append([]string{os.Args[0]}, subcommand...)
	command = append(command, f.File, fmt.Sprintf("--seed=%d", d.Seed), fmt.Sprintf("--repeats=%d", d.Repeats))
	for _, l := range f.Set {
		command = append(command, "--set", l.Factor+"="+l.Value)
	}
	return command
}

type experimentFactorsCmd struct{}

// Help shows examples.
func (experimentFactorsCmd) Help() string {
	return `Examples:

    crashlab experiment factors
    crashlab experiment factors | grep -A2 hedge`
}

// Run lists the factors.
func (experimentFactorsCmd) Run(out output) error {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	defaults := design.Defaults()
	fmt.Fprintln(w, "FACTOR\tDEFAULT\tMEANING")
	for _, f := range design.Factors() {
		value, _ := defaults.Value(f.Name)
		fmt.Fprintf(w, "%s\t%s\t%s\n", f.Name, value, f.Doc)
	}
	w.Flush()
	indent := strings.Repeat(" ", strings.Index(b.String(), "MEANING"))
	_, err := io.WriteString(out.stdout, fold(b.String(), pageWidth, indent))
	return err
}

// guardCommand is the hidden command that runs the supervisor's guardian.
const guardCommand = "guard"

type guardCmd struct{}

// Run returns when the supervisor has ended, after killing the processes that it left behind.
func (guardCmd) Run() error { return supervisor.Guard(os.Stdin) }

// writeFile writes a file that appears as a whole or not at all. A pipe or a device at the path is
// written to instead of replaced.
func writeFile(path string, write func(io.Writer) error) error {
	if inputfile.CheckPath(path) != nil {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		return errors.Join(write(f), f.Close())
	}
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return errors.Join(err, os.Remove(fresh))
	}
	return os.Rename(fresh, path)
}

// verdictLines returns the verdicts of the claims and the violations of the checks, a line each.
func verdictLines(s experiment.Summary) []string {
	var lines []string
	for _, c := range s.Claims {
		line := fmt.Sprintf("%s (%s): %v", c.Claim.Text, s.Cells[c.Cell].Cell.Title(), c.Verdict)
		if c.Reason != "" {
			line += ", " + c.Reason
		}
		lines = append(lines, line)
	}
	violations := 0
	for _, c := range s.Cells {
		if c.Late > 0 {
			lines = append(lines, fmt.Sprintf("%s: the load was generated too late in %s", c.Cell.Title(), plural(c.Late, "trial")))
		}
		for _, t := range c.Trials {
			for _, v := range t.Violations {
				if violations++; violations <= maxViolations {
					lines = append(lines, fmt.Sprintf("trial %d: %s: %s", t.Trial.Number, v.Check, v.Detail))
				}
			}
		}
	}
	if violations == 0 {
		return append(lines, "checks: no violation")
	}
	return append(lines, fmt.Sprintf("checks: %s", plural(violations, "violation")))
}

// maxViolations is how many violations are listed; the report counts the others.
const maxViolations = 10
