package main

import (
	"testing"

	"github.com/alecthomas/kong"

	"example.com/crashlab/supervisor/commandline/commandlinetest"
	"example.com/crashlab/supervisor/control"
)

func TestHelpPages(t *testing.T) {
	t.Setenv("COLUMNS", "")
	page := func(args ...string) string {
		p := start(t, "", args...)
		if code := p.ends(); code != 0 || p.stderr.text() != "" {
			t.Errorf("%q: exit code %d, %s", args, code, p.stderr.text())
		}
		return p.stdout.text() + "\n"
	}
	commandlinetest.CheckPages(t, program, func() any { return new(commandLine) }, page, kong.Vars{"default_addr": control.DefaultAddr})
}
