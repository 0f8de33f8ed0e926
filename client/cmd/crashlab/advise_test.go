package main

import (
	goparser "go/parser"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/advise"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/stats"
)

func TestAdviseBadInput(t *testing.T) {
	t.Parallel()
	empty := madeRun(t)
	for args, want := range map[string]string{
		"--rate 3":                                                         "no goal: want a share of successes, a p99, or both",
		"--success 0.9":                                                    "no load: want --rate, --concurrency, or --from",
		"--success 1 --rate 3":                                             "success 1: want less than 1, as no number of trials shows that no call ever fails",
		"--success 1.5 --rate 3":                                           `--success "1.5": want a number from 0 to 1; see crashlab advise --help`,
		"--p99 1s --rate 3 --p-crash x":                                    `--p-crash "x": want a number from 0 to 1; see crashlab advise --help`,
		"--p99 1s --rate 3 --replicas 30":                                  `--replicas "30": want a whole number from 1 to 26`,
		"--p99 1s --concurrency 1000000":                                   `--concurrency "1000000": want a whole number from 1 to 100000`,
		"--p99 1s --restart-delay soon":                                    `--restart-delay "soon": want a duration with its unit, such as 500ms or 2s, 0s or more, or none; see crashlab advise --help`,
		"--p99 1s --service-time norm:1s":                                  `--service-time "norm:1s": want 0, a duration such as 50ms, uniform:MIN:MAX with MIN up to MAX, exp:MEAN, or values:A:B:... with up to 1000 durations in ascending order, no duration negative, or file:PATH with a duration on each line; see crashlab advise --help`,
		"--p99 1s --from nowhere":                                          "\"nowhere\": no run is there: want a folder that `crashlab experiment run` made, such as runs/latest",
		"--p99 1s --from " + empty:                                         empty + ": no trial of the run has ended",
		"--success 0.9 --rate 3 --concurrency 2":                           "--concurrency 2: not with --rate: want one of the two",
		"--success 0.9 --concurrency 3 --arrivals poisson":                 "--arrivals poisson: want --rate with it",
		"--p99 10ms --concurrency 2 --service-time uniform:50ms:500ms":     "p99 10ms: want 50.3ms or more, as a request takes 50ms or more and its way 300µs",
		"--success 0.9 --rate 3 --verify --repeats 9223372036854775807":    "repeats=9223372036854775807: want 1 to 10000",
		"--success 0.9 --rate 3 --verify --parallel 101":                   "parallel=101: want 1 to 100",
		"--success 0.9 --rate 3 --verify --seed 9223372036854775807":       "seed=9223372036854775807: want 0 to 9007199254740991",
		"--success 0.9 --rate 3 --verify --counterd /nonexistent/counterd": `--counterd "/nonexistent/counterd": want a program that can be run: stat /nonexistent/counterd: no such file or directory`,
	} {
		code, stdout, stderr := crashlab(t.Context(), append([]string{"advise"}, strings.Fields(args)...)...)
		if code != exitUsage || stdout != "" || stderr != "crashlab: "+want+"\n" {
			t.Errorf("%s: exit code %d, %q%q, want %q", args, code, stdout, stderr, want)
		}
	}
}

func TestValidateAdviceBadInput(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"--repeats 10001":                 "repeats=10001: want 1 to 10000",
		"--repeats 5001 --scenarios 1":    "--repeats 5001: want 1 to 5000",
		"--repeats 9223372036854775807":   "repeats=9223372036854775807: want 1 to 10000",
		"--parallel 101":                  "parallel=101: want 1 to 100",
		"--scenarios 501":                 "--scenarios 501: want 1 to 500 with --repeats 10",
		"--scenarios 9223372036854775807": "--scenarios 9223372036854775807: want 1 to 500 with --repeats 10",
		"--seed 9007199254740992":         "seed=9007199254740992: want 0 to 9007199254740991",
		"--scenarios 5000 --repeats 2":    "--scenarios 5000: want 1 to 2500 with --repeats 2",
	} {
		code, stdout, stderr := crashlab(t.Context(), append([]string{"validate-advice"}, strings.Fields(args)...)...)
		if code != exitUsage || stdout != "" || stderr != "crashlab: "+want+"\n" {
			t.Errorf("%s: exit code %d, %q%q, want %q", args, code, stdout, stderr, want)
		}
	}
}

// A goal that no policy meets has failed, as the exit codes on the help pages say.
func TestImpossibleGoalFails(t *testing.T) {
	t.Parallel()
	args := strings.Fields("advise -q --success 0.99 --p99 12ms --replicas 26 --service-time exp:10ms --concurrency 1")
	code, stdout, stderr := crashlab(t.Context(), args...)
	if code != exitBelow || !strings.Contains(stdout, "\nIMPOSSIBLE: ") || stderr != "crashlab: no policy meets the goal\n" {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	fits(t, stdout)
}

// A run with several kinds of clusters is ambiguous.
func TestAdviseFromCellsThatDiffer(t *testing.T) {
	a, b := design.Defaults(), design.Defaults()
	a.PCrash, b.PCrash = 0.1, 0.3
	w, err := record.Create(t.TempDir(), record.Manifest{Name: "made", Design: &design.Design{Cells: []design.Cell{{Settings: a}, {Settings: b}}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(false); err != nil {
		t.Fatal(err)
	}
	want := "crashlab: " + w.Dir() + ": its cells differ in p_crash (0.1, 0.3): want --p-crash too\n"
	if code, stdout, stderr := crashlab(t.Context(), "advise", "--p99=1s", "--from="+w.Dir()); code != exitUsage || stdout != "" || stderr != want {
		t.Errorf("exit code %d, %q%q, want %q", code, stdout, stderr, want)
	}
}

// The round trip comes from the run, unless a model is given.
func TestAdviseFromMeasuresTheRoundTrip(t *testing.T) {
	slow := simulate.DefaultModel()
	slow.RoundTrip.Median = simulate.Span(2 * time.Millisecond)
	dir, model := playedRun(t, &played{name: "processes", Engine: simulate.Engine{Model: slow}}), filepath.Join(t.TempDir(), "model.json")
	if code, _, stderr := crashlab(t.Context(), "calibrate", "--from", dir, "--model", model); code != 0 {
		t.Fatal(stderr)
	}
	text, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(model, []byte(strings.ReplaceAll(string(text), `"2ms"`, `"5ms"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	for model, want := range map[string]time.Duration{"": 2 * time.Millisecond, model: 5 * time.Millisecond} {
		a := adviseCmd{P99: duration(time.Second), From: dir, modelFlag: modelFlag{Model: model}}
		if q, source, err := a.question(); err != nil || (time.Duration(q.Model.RoundTrip.Median)-want).Abs() > time.Microsecond || !strings.Contains(source, "round trip ") {
			t.Errorf("%q: %v, %q, %v", model, q.Model.RoundTrip.Median, source, err)
		}
	}
}

// answered returns advice with every kind of line.
func answered() advice {
	s := design.Defaults()
	s.PCrash, s.RestartDelay, s.Rate, s.Calls = 0.3, time.Second, 3, 200
	question := s
	s.Timeout, s.Deadline, s.Order, s.WhenDown = 750*time.Millisecond, 10*time.Second, failover.OrderLeastInFlight, failover.WhenDownWait
	s.MaxInFlight, s.Budget, s.HedgeAfter, s.EjectAfter, s.Pause = design.Adaptive, 0.5, 480*time.Millisecond, 0, 0
	metrics := map[design.Metric]stats.Interval{
		design.Success: {Estimate: 0.9997, Low: 0.9992, High: 0.9999}, design.P50: {Estimate: 0.4371, Low: 0.4267, High: 0.4503},
		design.P99: {Estimate: 2.425, Low: 2.3, High: 2.58}, design.Attempts: {Estimate: 1.432, Low: 1.424, High: 1.441},
	}
	best := advise.Candidate{Settings: s, Metrics: metrics, Trials: 24, Calls: 19200, Held: true, Safe: true}
	return advice{
		question: advise.Question{Goal: advise.Goal{Success: 0.999, P99: 5 * time.Second}, Settings: question},
		answer:   &advise.Answer{Best: best, Possible: true, Next: []advise.Candidate{best}, Uses: []advise.Use{{What: "capacity", Share: 0.7}, {What: "p99", Share: 0.516}}},
	}
}

// The golden files contain the printer's output; UPDATE_GOLDEN=yes rewrites them.
func TestAdvicePrinted(t *testing.T) {
	impossible := answered()
	impossible.answer.Possible = false
	impossible.answer.Reasons = []string{"capacity 4.2 calls/s at most, 6 asked"}
	impossible.answer.Remedies = []advise.Remedy{{Factor: "replicas", Value: "5", Limit: "26"}, {Factor: "restart_delay", Value: "420ms", Limit: "1ms"}, {Factor: "rate", Limit: "0.03"}}
	for name, a := range map[string]advice{"advice": answered(), "impossible": impossible} {
		var b strings.Builder
		if err := a.print(&b); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", name+".txt")
		if os.Getenv("UPDATE_GOLDEN") != "" {
			if err := os.WriteFile(path, []byte(b.String()), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil || b.String() != string(want) {
			t.Errorf("%v\n%s\nwant\n%s", err, b.String(), want)
		}
		fits(t, b.String())
	}
}

// fits fails the test for lines that are longer than 80 columns.
func fits(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "        ")) > 81 {
			t.Errorf("longer than 80 columns: %s", line)
		}
	}
}

// Advice can be used unchanged as flags, as Go and as a design.
func TestAdviceIsUsable(t *testing.T) {
	a := answered()
	s := a.answer.Best.Settings
	var cli commandLine
	parser, err := kong.New(&cli)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{"load"}, strings.Fields(strings.Join(flags(s), " "))...)); err != nil {
		t.Fatal(err)
	}
	if got := cli.Load.policy.failover(); got.Timeout != s.Timeout || got.WhenDown != s.WhenDown || !got.AdaptiveLimit || got.Hedge.After != s.HedgeAfter || !got.Ejection.Off {
		t.Errorf("%v: %+v", flags(s), got)
	}
	if _, err := goparser.ParseExpr(literal(s)); err != nil {
		t.Errorf("%v in\n%s", err, literal(s))
	}
	path := filepath.Join(t.TempDir(), "advice.yaml")
	if err := os.WriteFile(path, []byte(a.yaml(s)), 0o600); err != nil {
		t.Fatal(err)
	}
	if d, err := design.Load(path, design.Overrides{}); err != nil || d.Cells[0].Settings != s || len(d.Claims) != 2 {
		t.Errorf("%v: %+v\nwant %+v", err, d, s)
	}
}

func TestAdviceVerdict(t *testing.T) {
	for verdict, want := range map[experiment.Verdict]int{experiment.VerdictHeld: 0, experiment.VerdictFailed: exitBelow, experiment.VerdictInconclusive: exitInconclusive} {
		var b strings.Builder
		err := answered().verdict(&b, experiment.Summary{Cells: make([]experiment.CellSummary, 1), Verdict: verdict}, "report.html")
		code := 0
		if e, ok := err.(*exit); ok {
			code = e.code
		}
		if held := strings.HasSuffix(b.String(), "\nThe advice held.\n"); code != want || held != (want == 0) {
			t.Errorf("%v: exit code %d\n%s", verdict, code, b.String())
		}
	}
}
