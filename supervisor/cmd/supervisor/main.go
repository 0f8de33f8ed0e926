// Supervisor keeps the replicas of one command running on this machine.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"example.com/crashlab/supervisor"
)

type commandLine struct {
	Run   runCmd   `cmd:"" default:"withargs" help:"Launch the replicas of a command and relaunch those that exit: supervisor --config FILE, or supervisor [flags] -- COMMAND... with the placeholders {name} {index} {addr} {port}. Ctrl-C stops all."`
	Guard guardCmd `cmd:"" hidden:"" help:"Kill the process groups named on stdin at its end."`
}

type guardCmd struct{}

func (guardCmd) Run() error { return supervisor.Guard(os.Stdin) }

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	// The library's errors name it, and so us, already.
	fmt.Fprintln(os.Stderr, "supervisor:", strings.TrimPrefix(err.Error(), "supervisor: "))
	var m *mistake
	if errors.As(err, &m) {
		os.Exit(2)
	}
	os.Exit(1)
}

// mistake is bad input: what is wrong comes first, in one line.
type mistake struct {
	where   string // the flag, or FILE:LINE:COLUMN; may be empty
	what    string // the value and what is allowed
	excerpt string // of the file, if it has the value
}

func (m *mistake) Error() string {
	s := m.what
	if m.where != "" {
		s = m.where + ": " + s
	}
	if m.excerpt != "" {
		s += "\n" + m.excerpt
	}
	return s
}

func run(args []string, stdout, stderr io.Writer) error {
	// The command's own flags, and a COMMAND called guard, are none of kong's.
	var command []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, command = args[:i], args[i+1:]
	}
	var cli commandLine
	parser, err := kong.New(&cli, kong.Name("supervisor"),
		kong.Description("Keeps the replicas of one command running on this machine."),
		kong.Writers(stdout, stderr), kong.Help(help), kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
		kong.WithHyphenPrefixedParameters(true)) // "--replicas -1" is a bad number, not a missing value
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return &mistake{what: misuse(err)}
	}
	cli.Run.Command = command
	cli.Run.stdout, cli.Run.stderr = stdout, stderr
	return parsed.Run()
}

// misuse is the parser's error in words that do not tell how it parses.
func misuse(err error) string {
	what := err.Error()
	if flag, _, ok := strings.Cut(what, ": expected "); ok && strings.HasSuffix(what, "(<EOL>)") {
		what = flag + ": want a value"
	} else if flag, rest, ok := strings.Cut(what, `: "`); ok && strings.HasPrefix(flag, "--") {
		what = flag + ` "` + rest // a flag and its value belong together
	}
	if strings.HasPrefix(what, "unexpected argument") {
		what += "; COMMAND goes behind --"
	}
	return what + "; see supervisor --help"
}

// help shows the flags of the default command to those who name none.
func help(options kong.HelpOptions, ctx *kong.Context) error {
	if ctx.Selected() == nil {
		run, err := kong.Trace(ctx.Kong, []string{"run"})
		if err != nil {
			return err
		}
		ctx = run
	}
	return kong.DefaultHelpPrinter(options, ctx)
}
