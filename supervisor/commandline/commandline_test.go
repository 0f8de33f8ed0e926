package commandline

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/alecthomas/kong"
)

type sample struct {
	Version kong.VersionFlag `help:"Print the version and exit."`

	Run  runCmd  `cmd:"" default:"withargs" help:"Run it."`
	List listCmd `cmd:"" help:"List what runs."`
	Ctl  struct {
		Addr string `group:"Connection" placeholder:"ADDR" help:"Where it is."`
		Stop struct {
			Name string `arg:"" help:"What to stop."`
			Wait bool   `group:"Replicas" help:"Wait for them."`
		} `cmd:"" help:"Stop it."`
		Start struct{} `cmd:"" help:"Start it."`
	} `cmd:"" help:"Control it."`
	Guard struct{} `cmd:"" hidden:"" help:"Guard it."`
}

type runCmd struct {
	Replicas int    `group:"Replicas" placeholder:"N" help:"How many of them to run at the same time, which is a long text that does not fit into one line."`
	Name     string `group:"Replicas" placeholder:"NAME" help:"What to call them."`
	Restart  string `enum:"always,never" default:"always" placeholder:"WHEN" help:"When to restart."`
}

func (runCmd) Help() string {
	return `Examples:

    sample --replicas 3`
}

type listCmd struct {
	Wide bool `group:"Output" help:"Show more."`
}

var program = Program{
	Name: "sample", Description: "Runs samples.",
	ExitCodes: []ExitCode{{0, "success"}, {130, "interrupted"}},
	Groups:    []Group{{"Restarts", "delay restart"}},
}

// try returns what a command line prints, and its error.
func try(args string) (string, error) {
	var out strings.Builder
	exited := false
	_, err := program.Parse(new(sample), strings.Fields(args), &out, &out, kong.Exit(func(int) { exited = true }))
	if exited {
		err = nil
	}
	return out.String(), err
}

func TestHelp(t *testing.T) {
	for args, want := range map[string][]string{
		"--help": {
			"Usage: sample [run] [flags]\n", "\nRun it.\n", "\nExamples:\n\n    sample --replicas 3\n", "\nReplicas:\n  --replicas=N ", "\nRestarts:\n  --restart=WHEN ",
			"\nExit codes:\n  0    success\n  130  interrupted\n", "Show this help and exit.",
		},
		"list --help":     {"Usage: sample list [flags]\n", "\nOutput:\n  --wide "},
		"ctl --help":      {"Usage: sample ctl <command>", "ctl stop ", "\nExit codes:\n"},
		"ctl stop --help": {"\nReplicas:\n  --wait    Wait for them.\n\nConnection:\n  --addr=ADDR"},
	} {
		got, err := try(args)
		if err != nil {
			t.Errorf("%s: %v", args, err)
		}
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("%s: no %q in\n%s", args, part, got)
			}
		}
		for line := range strings.Lines(got) {
			if utf8.RuneCountInString(line) > columns+1 {
				t.Errorf("%s: wider than %d columns: %s", args, columns, line)
			}
		}
	}
}

func TestMisuse(t *testing.T) {
	for args, want := range map[string]string{
		"--replcas 3":      "unknown flag --replcas: did you mean --replicas? See sample --help",
		"--repl 3":         "unknown flag --repl: did you mean --replicas? See sample --help",
		"--name=":          "--name: want a value; see sample --help",
		"--colour":         "unknown flag --colour; see sample --help",
		"-x":               "unknown flag -x; see sample --help",
		"list --wde":       "unknown flag --wde: did you mean --wide? See sample list --help",
		"--replicas":       "--replicas: want a value; see sample --help",
		"--restart often":  `--restart "often": want always or never; see sample --help`,
		"lits":             "unknown command lits: did you mean list? See sample --help",
		"guard2":           "unexpected argument guard2; see sample --help",
		"ctl":              "want a command; see sample ctl --help",
		"ctl stop":         "want <name>; see sample ctl stop --help",
		"ctl stop a b":     "unexpected argument b; see sample ctl stop --help",
		"ctl strt":         "unknown command strt: did you mean start? See sample ctl --help",
		"ctl nosuchthing":  "unknown command nosuchthing; see sample ctl --help",
		"ctl stop a --all": "unknown flag --all; see sample ctl stop --help",
	} {
		if _, err := try(args); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v\nwant %s", args, err, want)
		}
	}
}
