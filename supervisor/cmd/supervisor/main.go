// Supervisor keeps replicas of commands running on this machine. See supervisor --help for its
// flags and exit codes.
package main

import (
	"errors"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/cmd/supervisor/ctl"
	"example.com/crashlab/supervisor/cmd/supervisor/report"
	"example.com/crashlab/supervisor/commandline"
	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/inputfile"
	"example.com/crashlab/supervisor/internal/output"
)

type commandLine struct {
	Version kong.VersionFlag `help:"Print the version and exit."`

	Run   runCmd      `cmd:"" default:"withargs" help:"Launch replicas of a command and relaunch those that exit, until Ctrl-C stops all."`
	Ctl   ctl.Command `cmd:"" help:"Show and control the replicas of a running supervisor."`
	Check checkCmd    `cmd:"" help:"Validate a cluster file and print what it would run, with defaults and placeholders filled in."`
	Guard guardCmd    `cmd:"" hidden:"" help:"When stdin ends, kill the process groups named on it."`
}

type guardCmd struct{}

func (guardCmd) Run() error { return supervisor.Guard(os.Stdin) }

// Exit codes other than 0.
const (
	exitFailed = 1
	exitUsage  = 2
)

var program = commandline.Program{
	Name:        "supervisor",
	Description: "Keeps replicas of commands running on this machine.",
	ExitCodes: []commandline.ExitCode{
		{Code: 0, Meaning: "success; run: stopped by a signal, or no replica is left and none failed"},
		{Code: exitFailed, Meaning: "failure; run: a replica has failed for good, or all were killed"},
		{Code: exitUsage, Meaning: "invalid flag, argument or file"},
	},
	Groups: []commandline.Group{
		{Title: "Replicas", Flags: "replicas name host base-port max-starting state-dir"},
		{Title: "Restarts and stops", Flags: "restart restart-delay stop-timeout"},
		{Title: "Health checks", Flags: "ready start-timeout alive"},
		{Title: "Log and output", Flags: "log-overflow events log-dir log-size log-files file-mode"},
		{Title: "Control service and metrics", Flags: "control metrics-addr insecure"},
		{Title: "TLS", Flags: "tls-cert tls-key tls-client-ca tls-ca tls-server-name"},
	},
}

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	if err == nil {
		return
	}
	// The library's errors begin with its name, which is this program's too.
	last := output.Sink{To: os.Stderr} // a stuck stderr must not delay the exit
	last.Put("", []byte("supervisor: "+strings.TrimPrefix(inputfile.Text(err), "supervisor: ")+"\n"))
	last.Close(report.ClosePatience)
	if _, bad := errors.AsType[*inputfile.Mistake](err); bad {
		os.Exit(exitUsage)
	}
	os.Exit(exitFailed)
}

func run(args []string, stdout, stderr io.Writer) error {
	// The parser must not see the arguments of COMMAND.
	var command []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, command = args[:i], args[i+1:]
	}
	var cli commandLine
	parsed, err := program.Parse(&cli, args, stdout, stderr, kong.Vars{"default_addr": control.DefaultAddr})
	if misuse, ok := errors.AsType[*commandline.Misuse](err); ok {
		if strings.HasPrefix(misuse.What, "unexpected argument") && misuse.Page == "supervisor --help" {
			misuse.What += "; COMMAND goes behind --"
		}
		return inputfile.Place{}.Errorf("%s", misuse)
	}
	if err != nil {
		return err
	}
	cli.Run.Flags.Command = command
	cli.Run.stdout, cli.Run.stderr = stdout, stderr
	cli.Check.stdout = stdout
	return parsed.Run()
}
