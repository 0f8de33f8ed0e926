package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/crashlab/client/experiment/labtest"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/experiment/trials"
)

// played is a simulation with the default model that can claim to be another engine.
type played struct {
	simulate.Engine
	name  string
	wrong bool // each replica crashes with twice the probability
}

func (p *played) Name() string { return p.name }

func (p *played) Trial(ctx context.Context, d *design.Design, t design.Trial, w trials.Watch) (record.TrialRecords, error) {
	if p.wrong {
		other := *d
		other.Cells = []design.Cell{d.Cells[t.Cell]}
		other.Cells[0].Settings.PCrash *= 2
		d = &other
	}
	return p.Engine.Trial(ctx, d, t, w)
}

// playedRun returns the folder of a run of the engine.
func playedRun(t *testing.T, p *played) string {
	t.Helper()
	d := labtest.Design(t, "repeats: 6\nfactors: {calls: 60, concurrency: 2, p_crash: 0.2, restart_delay: 100ms, service_time: 'uniform:5ms:20ms', when_down: wait}")
	if p.Engine.Model.RoundTrip.Median == 0 {
		p.Engine.Model = simulate.DefaultModel()
	}
	dir, err := (&trials.Run{Engine: p, Runs: t.TempDir()}).Do(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// The prediction with a model that was calibrated from a run agrees with that run, and disagrees
// with a run of something else.
func TestCalibrateAndValidate(t *testing.T) {
	model := filepath.Join(t.TempDir(), "model.json")
	dir := playedRun(t, &played{name: "processes"})
	code, stdout, stderr := crashlab(t.Context(), "calibrate", "--from", dir, "--model", model)
	if code != 0 || stderr != "" || !strings.Contains(stdout, "launch until the replica listens") || !strings.Contains(stdout, "no, default") || !strings.HasSuffix(stdout, model+"\n") {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	if code, stdout, stderr = crashlab(t.Context(), "validate", dir, "--model", model); code != 0 || !strings.Contains(stdout, "1 of 1 cells agree, of 6 trials") {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
	// The prediction is in the folder of the run, and the report shows it.
	for format, want := range map[string]string{"md": "1 of 1 cells agree, of 6 trials", "json": `"agrees": true`, "csv": "success_predicted"} {
		if code, stdout, stderr = crashlab(t.Context(), "report", dir, "--format", format); code != 0 || !strings.Contains(stdout, want) {
			t.Errorf("report as %s: exit code %d, no %q in\n%s%s", format, code, want, stdout, stderr)
		}
	}
	if code, stdout, stderr = crashlab(t.Context(), "report", dir, "--chart", "agreement"); code != 0 || !strings.Contains(stdout, "<title>predicted against measured</title>") {
		t.Errorf("chart: exit code %d, %.200s%s", code, stdout, stderr)
	}
	said := filepath.Join(dir, record.PredictionFolder)
	if code, stdout, stderr = crashlab(t.Context(), "compare", dir, said); code != 0 || !strings.HasPrefix(stdout, "B is predicted: ") {
		t.Errorf("compare: exit code %d, %s%s", code, stdout, stderr)
	}
	wrong := playedRun(t, &played{name: "processes", wrong: true})
	if code, stdout, stderr = crashlab(t.Context(), "validate", wrong, "--model", model); code != exitBelow || stderr != "crashlab: 0 of 1 cells agree: want 95%\n" {
		t.Errorf("exit code %d\n%s%s", code, stdout, stderr)
	}
}

func TestValidateRefuses(t *testing.T) {
	simulated := playedRun(t, &played{name: "simulation"})
	run := playedRun(t, &played{name: "processes"})
	otherwise := playedRun(t, &played{name: "processes"})
	if err := record.WritePrediction(otherwise, &record.Run{Manifest: record.Manifest{Engine: record.EngineSimulation, Design: new(design.Design)}}); err != nil {
		t.Fatal(err)
	}
	half := playedRun(t, &played{name: "processes"})
	if err := os.Mkdir(filepath.Join(half, record.PredictionFolder), 0o700); err != nil {
		t.Fatal(err)
	}
	without := playedRun(t, &played{name: "processes"})
	for _, file := range []string{"records.jsonl", "events.jsonl"} {
		if err := os.Truncate(filepath.Join(without, file), 0); err != nil {
			t.Fatal(err)
		}
	}
	spoilt := playedRun(t, &played{name: "processes"})
	if err := os.WriteFile(filepath.Join(spoilt, "manifest.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(t.TempDir(), "model.json")
	if err := os.WriteFile(broken, []byte("{boot: {median: fast}}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"validate", simulated}, `"` + simulated + `" was simulated: want a run on processes`},
		{[]string{"validate", "nowhere"}, `"nowhere": no run is there`},
		{[]string{"validate", broken}, `"` + broken + `": no run is there`},
		{[]string{"validate", spoilt}, "manifest.json: version 0: want 1"},
		{[]string{"validate", without}, `"` + without + `": no trial has a call to compare: want a run with some`},
		{[]string{"report", otherwise}, "1 cells were measured and 0 predicted: want runs of the same design"},
		{[]string{"report", half}, `predicted": no run is there`},
		{[]string{"report", run, "--chart", "agreement"}, `"` + run + `": chart agreement: want a run with a prediction`},
		{[]string{"report", simulated, "--chart", "agreement"}, `"` + simulated + `": chart agreement: want a run with a prediction`},
		{[]string{"validate", run, "--model", "nowhere"}, `--model "nowhere": no such file: want one that ` + "`crashlab calibrate` saved"},
		{[]string{"validate", run, "--model", broken}, broken + `:1:17: boot.median: "fast": want a duration with its unit`},
		{[]string{"calibrate", "--from", simulated, "--model", broken}, simulated + ` was simulated: want a run on processes`},
		{[]string{"calibrate", "--from", "nowhere", "--model", broken}, `"nowhere": no run is there`},
		{[]string{"calibrate", "--model", t.TempDir()}, `want a regular file`},
		{[]string{"calibrate", "--model", broken, "--counterd", "nowhere"}, `--counterd "nowhere": want a program that can be run`},
	} {
		code, stdout, stderr := crashlab(t.Context(), tt.args...)
		if code != exitUsage || stdout != "" || !strings.HasPrefix(stderr, "crashlab: ") || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%q: exit code %d, %q%q, want %q", tt.args, code, stdout, stderr, tt.want)
		}
	}
}
