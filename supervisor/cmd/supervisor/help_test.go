package main

import (
	"os/exec"
	"testing"

	"github.com/alecthomas/kong"

	"example.com/crashlab/supervisor/commandline/commandlinetest"
	"example.com/crashlab/supervisor/control"
)

func TestHelpPages(t *testing.T) {
	t.Setenv("COLUMNS", "")
	page := func(args ...string) string {
		text, err := exec.CommandContext(t.Context(), binary, args...).Output()
		if err != nil {
			t.Errorf("%q: %v", args, err)
		}
		return string(text)
	}
	commandlinetest.CheckPages(t, program, func() any { return new(commandLine) }, page, kong.Vars{"default_addr": control.DefaultAddr})
}
