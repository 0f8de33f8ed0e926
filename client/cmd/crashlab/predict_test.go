package main

import (
	"path/filepath"
	"strings"
	"testing"

	"example.com/crashlab/client/experiment/record"
)

func TestPredict(t *testing.T) {
	runs := t.TempDir()
	code, stdout, stderr := crashlab(t.Context(), "predict", "../../../deploy/experiments/quick.yaml", "--runs", runs, "--repeats", "20", "--quiet")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	for _, want := range []string{"Predicted: ", "one in flight", "attempts <= 2 (one in flight): held", "checks: no violation", "report.html"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	run, err := record.Open(filepath.Join(runs, "latest"))
	if err != nil || !run.Manifest.Predicted() || len(run.Trials) != 60 {
		t.Errorf("%d trials, %v", len(run.Trials), err)
	}
	// The report works for predictions too.
	if code, stdout, stderr = crashlab(t.Context(), "report", filepath.Join(runs, "latest"), "--format", "md"); code != 0 || !strings.HasPrefix(stdout, "Predicted: ") {
		t.Errorf("report: %d, %s%s", code, stdout, stderr)
	}
}
