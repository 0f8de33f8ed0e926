// Supervisor keeps replicas of commands running on this machine.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/cmd/supervisor/ctl"
	"example.com/crashlab/supervisor/cmd/supervisor/report"
	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/internal/output"
	"example.com/crashlab/supervisor/version"
)

type commandLine struct {
	Version kong.VersionFlag `help:"Print the version and exit."`

	Run   runCmd      `cmd:"" default:"withargs" help:"Launch the replicas of a command and relaunch those that exit: supervisor --config FILE, or supervisor [flags] -- COMMAND... with the placeholders {name} {index} {addr} {port}. Ctrl-C stops all. supervisor ctl shows and commands them; see supervisor ctl --help."`
	Ctl   ctl.Command `cmd:"" help:"Show and command the replicas of a supervisor that runs."`
	Check checkCmd    `cmd:"" help:"Validate a cluster file and print what would run, with defaults and placeholders replaced. Nothing is launched."`
	Guard guardCmd    `cmd:"" hidden:"" help:"Kill the process groups named on stdin at its end."`
}

type guardCmd struct{}

func (guardCmd) Run() error { return supervisor.Guard(os.Stdin) }

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	// The library's errors begin with its name, which is ours too.
	last := output.Sink{To: os.Stderr} // a stderr that is stuck must not hold up the exit
	last.Put("", []byte("supervisor: "+strings.TrimPrefix(inputfile.Text(err), "supervisor: ")+"\n"))
	last.Close(report.ClosePatience)
	if _, bad := errors.AsType[*inputfile.Mistake](err); bad {
		os.Exit(2)
	}
	os.Exit(1)
}

func run(args []string, stdout, stderr io.Writer) error {
	// Kong must not see the flags of COMMAND, nor a COMMAND called guard.
	var command []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, command = args[:i], args[i+1:]
	}
	var cli commandLine
	parser, err := kong.New(&cli, kong.Name("supervisor"),
		kong.Description("Keeps replicas of commands running on this machine."),
		kong.Writers(stdout, stderr), kong.Help(help), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.Vars{"default_addr": control.DefaultAddr, "version": version.Of("supervisor")},
		kong.WithHyphenPrefixedParameters(true)) // "--replicas -1" is a bad number, not a missing value
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if err == nil {
		err = noEmptyFlag(parsed)
	}
	if err != nil {
		return inputfile.Place{}.Errorf("%s", misuse(err, parsed))
	}
	cli.Run.Flags.Command = command
	cli.Run.stdout, cli.Run.stderr = stdout, stderr
	cli.Check.stdout = stdout
	return parsed.Run()
}

// noEmptyFlag refuses a flag with an empty value, as from an unset variable in a
// script. The parser takes it for a flag that is not given.
func noEmptyFlag(parsed *kong.Context) error {
	for _, p := range parsed.Path {
		if p.Flag == nil {
			continue
		}
		if v := reflect.Indirect(p.Flag.Target); v.Kind() == reflect.String && v.Len() == 0 {
			return fmt.Errorf("--%s: want a value", p.Flag.Name)
		}
	}
	return nil
}

// misuse returns the text of an error of the command line, without the parser's
// jargon. Parsed is nil for errors of the parser.
func misuse(err error, parsed *kong.Context) string {
	what := strings.TrimSuffix(err.Error(), `, did you mean "-h"?`) // its hint at a negative number
	if name, rest, ok := strings.Cut(what, `: "`); ok && (strings.HasPrefix(name, "--") || strings.HasPrefix(name, "<")) {
		what = name + ` "` + rest // no colon between a flag and its value
	}
	var parse *kong.ParseError
	if errors.As(err, &parse) {
		parsed = parse.Context
	}
	asked := command(parsed)
	switch {
	case strings.HasPrefix(what, "expected one of "):
		what = "want a command"
	case strings.HasPrefix(what, "expected "):
		what = "want " + strings.ReplaceAll(strings.TrimPrefix(what, "expected "), `"`, "")
	case strings.HasPrefix(what, "unexpected argument") && asked == "supervisor":
		what += "; COMMAND goes behind --"
	}
	return what + "; see " + asked + " --help"
}

// command returns the command that was given, with those that it is part of.
func command(parsed *kong.Context) string {
	words := "supervisor"
	for _, p := range parsed.Path {
		if p.Command != nil && p.Command.Name != "run" { // the default
			words += " " + p.Command.Name
		}
	}
	return words
}

// help prints the help, with the flags of the default command if none is named.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	if ctx.Selected() == nil {
		run, err := kong.Trace(ctx.Kong, []string{"run"})
		if err != nil {
			return err
		}
		ctx = run
		ctx.Selected().Name = "[run]"
	}
	return kong.DefaultHelpPrinter(options, ctx)
}
