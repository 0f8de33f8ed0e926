package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// experiment runs a design, with a directory for its runs.
func experiment(t *testing.T, text string, flags ...string) (p *process, runs string) {
	t.Helper()
	runs = filepath.Join(t.TempDir(), "runs")
	return start(t, "crashlab", slices.Concat([]string{"experiment", "run", write(t, text), "--runs=" + runs}, flags)...), runs
}

// table is the JSON output of a run.
type table struct {
	Verdict string
	Cells   []struct {
		Trials, Calls int
		Successes     int `json:"successes_total"`
	}
	Violations []any
}

// reportOf returns the output of `crashlab report` for a run.
func reportOf(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := run(t, "crashlab", append([]string{"report"}, args...)...)
	if code != 0 || stderr != "" {
		t.Fatalf("report %q: exit code %d, %s", args, code, stderr)
	}
	return stdout
}

func tableOf(t *testing.T, text string) table {
	t.Helper()
	var got table
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return got
}

const certain = `
seed: 5
repeats: 3
parallel: 3
factors: {p_crash: [0, 1], calls: 20, pause: 0s, restart_delay: none, timeout: 1m}
claims:
  - {claim: success >= 0.8, where: {p_crash: 0}}
  - {claim: successes <= 0, where: {p_crash: 1}}
`

// An experiment writes the files of its run, a report, and a table. The report can be made again
// from the files.
func TestExperiment(t *testing.T) {
	t.Parallel()
	p, runs := experiment(t, certain)
	// Three trials without a success do not prove that there is never one.
	if code := p.exitCode(); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
	latest := filepath.Join(runs, "latest")
	for _, name := range []string{"manifest.json", "records.jsonl", "events.jsonl", "report.html"} {
		if info, err := os.Stat(filepath.Join(latest, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	containsAll(t, p.stdout.String(), "success >= 0.8 (p_crash 0): held", "successes <= 0 (p_crash 1): inconclusive", "report.html")
	containsAll(t, p.stderr.String(), "6 of 6 trials", "inconclusive")

	got := tableOf(t, reportOf(t, latest, "--format=json"))
	if len(got.Cells) != 2 || got.Verdict != "inconclusive" || len(got.Violations) != 0 {
		t.Fatalf("got %+v", got)
	}
	for i, want := range []int{60, 0} {
		if c := got.Cells[i]; c.Trials != 3 || c.Calls != 60 || c.Successes != want {
			t.Errorf("cell %d: %+v, want 3 trials, 60 calls, %d successes", i, c, want)
		}
	}
	for _, format := range []string{"table", "md", "csv"} {
		containsAll(t, reportOf(t, latest, "--format="+format), "p_crash", "60")
	}
	containsAll(t, reportOf(t, latest, "--chart=sweep"), "<svg", "p_crash", "</svg>")
	other := filepath.Join(t.TempDir(), "again.html")
	if out := reportOf(t, latest, "-o", other); strings.TrimSpace(out) != other {
		t.Errorf("the report is at %q", out)
	}
	first, err := os.ReadFile(filepath.Join(latest, "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := os.ReadFile(other); err != nil || string(again) != string(first) {
		t.Errorf("the report made again differs: %d and %d bytes, %v", len(first), len(again), err)
	}
}

// The exit code says whether the claims hold.
func TestExperimentVerdict(t *testing.T) {
	t.Parallel()
	const design = "repeats: 3\nparallel: 3\nfactors: {calls: 50, timeout: 1m}\nclaims: ["
	for claim, want := range map[string]int{
		"success >= 0.9":   0,
		"success <= 0.5":   99,
		"success >= 0.999": 3, // 150 calls without a failure do not prove it
	} {
		t.Run(claim, func(t *testing.T) {
			t.Parallel()
			p, _ := experiment(t, design+claim+"]\n")
			if code := p.exitCode(); code != want {
				t.Errorf("exit code %d, want %d", code, want)
			}
		})
	}
}

// Ctrl-C ends the running trials. Their results are reported, and no replica is left.
func TestExperimentInterrupted(t *testing.T) {
	t.Parallel()
	p, runs := experiment(t, "repeats: 50\nfactors: {calls: 0, duration: 1h, service_time: 1ms, concurrency: 2}\n", "--json")
	var now struct {
		Running []struct{ Succeeded int }
	}
	p.await(&p.stderr, "calls that succeed", func(line string) bool {
		return json.Unmarshal([]byte(line), &now) == nil && len(now.Running) == 1 && now.Running[0].Succeeded > 10
	})
	p.signal(os.Interrupt)
	if code := p.exitCode(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	containsAll(t, p.stderr.String(), "interrupted after")
	if got := tableOf(t, p.stdout.String()); len(got.Violations) != 0 {
		t.Errorf("got %+v", got)
	}
	if _, err := os.Stat(filepath.Join(runs, "latest", "report.html")); err != nil {
		t.Error(err)
	}
	events, err := os.ReadFile(filepath.Join(runs, "latest", "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var launched []event
	ended := false
	for line := range strings.Lines(string(events)) {
		var e struct {
			Process event
			Ended   struct{ Addrs map[string]string }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		if e.Process.PID != 0 {
			launched = append(launched, e.Process)
		}
		for _, p := range launched {
			if addr := e.Ended.Addrs[p.Replica]; addr != "" && alive(p.PID, addr) {
				t.Errorf("process %d of replica %s is left", p.PID, p.Replica)
			}
		}
		ended = ended || e.Ended.Addrs != nil
	}
	if len(launched) == 0 || !ended {
		t.Errorf("no process, or no end of a trial, in %s", events)
	}
}

// Two runs are compared metric by metric. With one caller and without relaunches, the number of
// successful calls depends only on the seed.
func TestCompareRuns(t *testing.T) {
	t.Parallel()
	const design = "repeats: 4\nparallel: 4\nfactors: {calls: 40, concurrency: 1, pause: 0s, timeout: 1m, p_crash: "
	var dirs []string
	for _, p := range []string{"0", "0.5"} {
		e, runs := experiment(t, design+p+"}\n")
		if code := e.exitCode(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		dirs = append(dirs, filepath.Join(runs, "latest"))
	}
	code, stdout, _ := run(t, "crashlab", "compare", dirs[0], dirs[1])
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	containsAll(t, stdout, "success", "worse", "p_crash is 0 in A, 0.5 in B")
	var differences []struct {
		Metric string
		Effect string `json:"verdict"`
	}
	code, stdout, _ = run(t, "crashlab", "compare", "--json", dirs[1], dirs[0])
	if err := json.Unmarshal([]byte(stdout), &differences); code != 0 || err != nil {
		t.Fatal(code, err)
	}
	for _, d := range differences {
		if d.Metric == "success" && d.Effect != "better" {
			t.Errorf("%+v, want better", d)
		}
	}
}

// A mistake in a design is reported on one line, and the exit code says what kind of mistake it is.
func TestExperimentRefused(t *testing.T) {
	t.Parallel()
	good := write(t, "factors: {calls: 1}\n")
	none := filepath.Join(t.TempDir(), "none")
	for name, tc := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"no file":         {[]string{"experiment", "run", none}, 2, []string{none, "no such file"}},
		"bad value":       {[]string{"experiment", "run", write(t, "factors: {p_crash: 2}\n")}, 2, []string{":1:20: ", "p_crash", `"2"`, "0 to 1"}},
		"unknown factor":  {[]string{"experiment", "run", good, "--set", "speed=9"}, 2, []string{"--set", `"speed"`, "timeout"}},
		"no value":        {[]string{"experiment", "run", good, "--set", "timeout"}, 2, []string{"--set", `"timeout"`, "FACTOR=VALUE"}},
		"no counterd":     {[]string{"experiment", "run", good, "--counterd", none}, 2, []string{"--counterd", none}},
		"broken counterd": {[]string{"experiment", "run", good, "--counterd", "false", "--runs", t.TempDir(), "-q"}, 1, []string{"trial 1: replica ", "exit code 1"}},
		"no run":          {[]string{"report", none}, 2, []string{none, "want a folder"}},
		"no format":       {[]string{"report", none, "--format", "pdf"}, 2, []string{"--format", "html", "pdf"}},
		"no runs":         {[]string{"compare", none, none}, 2, []string{none, "want a folder"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := run(t, "crashlab", tc.args...)
			line, _, _ := strings.Cut(stderr, "\n")
			if code != tc.code || stdout != "" {
				t.Errorf("exit code %d, stdout %q; want %d and nothing", code, stdout, tc.code)
			}
			for _, want := range tc.want {
				containsAll(t, line, want)
			}
		})
	}
}

// Predictions are shown beside the measurements. Whether they agree would need more trials.
func TestExperimentWithItsPrediction(t *testing.T) {
	t.Parallel()
	p, runs := experiment(t, "seed: 5\nrepeats: 3\nfactors: {p_crash: [0, 1], calls: 20, pause: 0s, restart_delay: none, timeout: 1m}\n", "--predict", "--quiet")
	code := p.exitCode()
	out := p.stdout.String()
	containsAll(t, out, "success,", "predicted", "≈ 0% [", "of 2 cells agree, of 6 trials")
	if code != 0 && code != 99 {
		t.Errorf("exit code %d, %s", code, p.stderr.String())
	}
	if afterwards := reportOf(t, filepath.Join(runs, "latest"), "--format=table"); !strings.HasPrefix(out, afterwards) {
		t.Errorf("the report says afterwards\n%s\nand the run has said\n%s", afterwards, out)
	}
	page, err := os.ReadFile(filepath.Join(runs, "latest", "report.html"))
	if err != nil {
		t.Fatal(err)
	}
	containsAll(t, string(page), "predicted against measured", "crashlab validate ")
}
