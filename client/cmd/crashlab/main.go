// Crashlab is the client side of the lab: it makes calls to a cluster of replicas that crash, and
// shows what happened.
//
// It exits with 0 when it did what was asked, 1 when it could not, 2 for input that is not allowed,
// 3 when a run is inconclusive: it does not tell whether a claim holds, or its load was not the one
// asked for, 99 when a claim or a check failed or a run fell short of --require-success, and 130
// when Ctrl-C ended a run early.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"example.com/crashlab/supervisor/version"
	"github.com/alecthomas/kong"
	"google.golang.org/grpc/resolver/dns"
)

type commandLine struct {
	Version kong.VersionFlag `help:"Print the version and exit."`

	Get  getCmd  `cmd:"" help:"Make one call and show what happened on the way."`
	Load loadCmd `cmd:"" help:"Make many calls and show what happened to each, and the statistics."`

	Fault faultCmd `cmd:"" help:"Show or change what goes wrong at live replicas."`

	Experiment experimentCmd `cmd:"" help:"Run experiments, each trial on a fresh cluster."`
	Predict    predictCmd    `cmd:"" help:"Predict what an experiment would show, by simulation in virtual time."`
	Advise     adviseCmd     `cmd:"" help:"Find the cheapest policy that meets a goal, by simulation."`
	Report     reportCmd     `cmd:"" help:"Show what a run has shown: as a page, or as a table."`
	Merge      mergeCmd      `cmd:"" help:"Make one run of several: shards of an experiment, or loads from several machines."`
	Compare    compareCmd    `cmd:"" help:"Tell whether one run is better than another."`
	Calibrate  calibrateCmd  `cmd:"" help:"Measure on this machine what a prediction must know of it."`
	Validate   validateCmd   `cmd:"" help:"Tell whether what is predicted of a run agrees with what it has measured."`
	Live       liveCmd       `cmd:"" help:"Show a cluster under load on a page, on which it is disturbed too."`

	ValidateAdvice validateAdviceCmd `cmd:"" help:"Tell whether advice holds: take that on random scenarios, and run it on processes."`
	Guard          guardCmd          `cmd:"" hidden:"" help:"Kill the process groups named on stdin at its end."`
}

func main() {
	dns.SetMinResolutionInterval(resolveEvery)
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes beside 0.
const (
	exitFailed       = 1
	exitUsage        = 2
	exitInconclusive = 3
	exitBelow        = 99
	exitInterrupted  = 130
)

// exit is an error that chooses the exit code.
type exit struct {
	code    int
	message string
}

// interrupted is the end by Ctrl-C of what has no part that could be shown.
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
	fmt.Fprintln(stderr, "crashlab:", err)
	return code
}

func dispatch(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var cli commandLine
	out := output{stdout: stdout, stderr: stderr}
	parser, err := kong.New(&cli, kong.Name("crashlab"),
		kong.Description("Makes calls to a cluster of replicas that crash, and shows what happened."),
		kong.Writers(stdout, stderr), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.WithHyphenPrefixedParameters(true), // "--rounds -1" is a bad number, not a missing value
		kong.Vars{"version": version.Of("crashlab")}, kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(out))
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return &exit{exitUsage, usage(err)}
	}
	return parsed.Run()
}

// usage is the parser's error in words that do not tell how it parses.
func usage(err error) string {
	what := err.Error()
	if flag, _, ok := strings.Cut(what, ": expected "); ok && strings.HasSuffix(what, "(<EOL>)") {
		what = flag + ": want a value"
	} else if flag, rest, ok := strings.Cut(what, `: "`); ok && strings.HasPrefix(flag, "--") {
		what = flag + ` "` + rest // a flag and its value belong together
	}
	return what + "; see crashlab --help"
}

// output is where a command writes: results to stdout, all else to stderr.
type output struct{ stdout, stderr io.Writer }
