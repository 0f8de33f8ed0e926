// Crashlab makes calls to a cluster of replicas that crash, runs experiments on such clusters, and
// reports what happened. See crashlab --help for its commands and exit codes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
	"google.golang.org/grpc/resolver/dns"

	"example.com/crashlab/supervisor/commandline"
)

type commandLine struct {
	Version kong.VersionFlag `help:"Print the version and exit."`

	Get  getCmd  `cmd:"" help:"Make one call and show each attempt."`
	Load loadCmd `cmd:"" help:"Make many calls and show each attempt and the statistics."`

	Fault faultCmd `cmd:"" help:"Show or change the faults of running replicas."`

	Experiment experimentCmd `cmd:"" help:"Run experiments, each trial on a fresh cluster."`
	Predict    predictCmd    `cmd:"" help:"Predict the results of an experiment by simulation."`
	Advise     adviseCmd     `cmd:"" help:"Find the cheapest policy that meets a goal, by simulation."`
	Report     reportCmd     `cmd:"" help:"Write the report of a run, as a page or a table."`
	Merge      mergeCmd      `cmd:"" help:"Join the shards of an experiment, or loads from several machines, into one run."`
	Compare    compareCmd    `cmd:"" help:"Compare two runs, or the cells of one run."`
	Calibrate  calibrateCmd  `cmd:"" help:"Measure the delays of this machine, for predictions."`
	Validate   validateCmd   `cmd:"" help:"Compare the results of a run with its prediction."`
	Live       liveCmd       `cmd:"" help:"Serve a page that shows a cluster under load and injects faults into it."`

	ValidateAdvice validateAdviceCmd `cmd:"" help:"Test advice: give it for random scenarios, and try it on real clusters."`
	Guard          guardCmd          `cmd:"" hidden:"" help:"When stdin ends, kill the process groups named on it."`
}

// Help is shown on the program's page.
func (commandLine) Help() string {
	return `Examples, with a cluster that "make run-cluster" has started:

    crashlab get
    crashlab load -n 50 -c 5

Examples that need no cluster:

    crashlab experiment run deploy/experiments/quick.yaml
    crashlab advise --success 0.99 --p-crash 0.1 --restart-delay 1s --rate 5`
}

func main() {
	dns.SetMinResolutionInterval(resolveEvery)
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes other than 0.
const (
	exitFailed       = 1
	exitUsage        = 2
	exitInconclusive = 3
	exitBelow        = 99
	exitInterrupted  = 130
)

var program = commandline.Program{
	Name:        "crashlab",
	Description: "Makes calls to a cluster of replicas that crash, and shows what happened.",
	ExitCodes: []commandline.ExitCode{
		{Code: 0, Meaning: "success; if claims, checks or goals were judged, all hold"},
		{Code: exitFailed, Meaning: "failure: the command could not do its work"},
		{Code: exitUsage, Meaning: "invalid flag, argument or file"},
		{Code: exitInconclusive, Meaning: "inconclusive: too few trials, or the load was late or incomplete"},
		{Code: exitBelow, Meaning: "a claim, check or goal failed, or --require-success was missed"},
		{Code: exitInterrupted, Meaning: "interrupted by Ctrl-C or SIGTERM"},
	},
}

// exit is an error that chooses the exit code.
type exit struct {
	code    int
	message string
}

// interrupted is the error after Ctrl-C when there is no partial result to show.
var interrupted = &exit{exitInterrupted, "interrupted"}

func (e *exit) Error() string { return e.message }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	err := dispatch(ctx, args, stdout, stderr)
	if err == nil {
		return 0
	}
	code := exitFailed
	if e, ok := errors.AsType[*exit](err); ok {
		code = e.code
	}
	if code == exitInterrupted {
		stderr = unlessStuck{stderr}
	}
	text := fmt.Sprintln("crashlab:", err)
	if strings.Count(text, "\n") > 1 { // an excerpt of a file, with a caret below it
		fmt.Fprint(stderr, text)
	} else {
		_ = printLines(stderr, text, "  ")
	}
	return code
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var cli commandLine
	out := output{stdout: stdout, stderr: stderr}
	parsed, err := program.Parse(&cli, args, stdout, stderr, kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(out), kong.Resolvers(kong.ResolverFunc(recommend)))
	if _, misused := errors.AsType[*commandline.Misuse](err); misused {
		return &exit{exitUsage, err.Error()}
	}
	if err != nil {
		return err
	}
	return parsed.Run()
}

// output is where a command writes: results to stdout, everything else to stderr.
type output struct{ stdout, stderr io.Writer }
