package main

import (
	"strings"
	"testing"
)

func TestCompareWantsTwoRunsOrCells(t *testing.T) {
	for args, want := range map[string]string{
		"compare a":           "want a second run to compare with, or --cells",
		"compare a b --cells": `--cells: want one run, not "b" too`,
	} {
		var stdout, stderr strings.Builder
		code := run(t.Context(), strings.Fields(args), &stdout, &stderr)
		if code != 2 || stderr.String() != "crashlab: "+want+"\n" {
			t.Errorf("%s: exit code %d, %q, want 2, %q", args, code, stderr.String(), want)
		}
	}
}
