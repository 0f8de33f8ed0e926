package main

import (
	"os/exec"
	"testing"

	"example.com/crashlab/supervisor/commandline/commandlinetest"
)

func TestHelpPages(t *testing.T) {
	t.Setenv("COLUMNS", "")
	page := func(args ...string) string {
		text, err := exec.CommandContext(patiently(t), binary, args...).Output()
		if err != nil {
			t.Errorf("%q: %v", args, err)
		}
		return string(text)
	}
	commandlinetest.CheckPages(t, program, func() any { return new(flags) }, page, options(new(badValue))...)
}
