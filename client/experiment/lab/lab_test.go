package lab

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gonum.org/v1/gonum/stat"

	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/supervisor"
)

// counterd is the program that the replicas of all tests are.
var counterd string

func TestMain(m *testing.M) {
	code, err := buildAndRun(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func buildAndRun(m *testing.M) (int, error) {
	folder, err := os.MkdirTemp("", "lab")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder)
	counterd = filepath.Join(folder, "counterd")
	if out, err := exec.Command("go", "build", "-o", counterd, "example.com/crashlab/services/cmd/counterd").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// load returns the design of a text of YAML.
func load(t testing.TB, text string) *design.Design {
	t.Helper()
	path := filepath.Join(t.TempDir(), "test.yaml")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	d, err := design.Load(path, design.Overrides{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// run runs a design to its end, and returns what it saw. No process is left, and the records can be true.
func run(t testing.TB, ctx context.Context, text string) *record.Run {
	t.Helper()
	l := Lab{Counterd: counterd, Runs: t.TempDir(), Command: []string{"the", "test"}}
	dir, err := l.Run(ctx, load(t, text))
	if err != nil {
		t.Fatal(err)
	}
	seen, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, trial := range seen.Trials {
		for _, e := range trial.Events {
			if p := e.Process; p != nil && p.Kind == supervisor.Launched && syscall.Kill(p.PID, 0) == nil {
				t.Errorf("trial %d: process %d of replica %s is left", trial.Number, p.PID, p.Replica)
			}
		}
		for _, v := range check.Trial(trial) {
			t.Errorf("trial %d: %s: %s", trial.Number, v.Check, v.Detail)
		}
	}
	return seen
}

func TestEveryTrialIsRun(t *testing.T) {
	seen := run(t, t.Context(), `
name: every
seed: 3
repeats: 2
parallel: 2
factors:
  p_crash: [0, 0.2]
  crash_point: [arrival, reply]
  restart_delay: 50ms
  service_time: 1ms
  calls: 40
`)
	m := seen.Manifest
	if len(seen.Trials) != 8 || m.Interrupted || m.Seed != 3 || m.Versions.Go == "" || m.Machine.CPUs == 0 || !slices.Equal(m.Command, []string{"the", "test"}) {
		t.Fatalf("%d trials, manifest %+v", len(seen.Trials), m)
	}
	for _, trial := range seen.Trials {
		s := m.Design.Cells[trial.Cell].Settings
		if len(trial.Calls) != 40 || trial.Interrupted || len(trial.Addrs) != 3 {
			t.Errorf("trial %d: %d calls, %+v", trial.Number, len(trial.Calls), trial.Trial)
		}
		crashes, stops := 0, 0
		for _, e := range trial.Events {
			if e.Count != nil && e.Count.Crash > 0 {
				crashes++
			} else if e.Count != nil {
				stops++
			}
		}
		if stops > 3 || stops+crashes < 3 || (crashes > 0) != (s.PCrash > 0) {
			t.Errorf("trial %d, p_crash %v: %d crashes, %d stops", trial.Number, s.PCrash, crashes, stops)
		}
	}
}

// A signal of the schedule reaches the replicas it is for, and the calls see it.
func TestSchedule(t *testing.T) {
	seen := run(t, t.Context(), `
factors:
  timeout: 100ms
  order: round-robin
  eject_after: 0
  calls: 0
  duration: 1s
  concurrency: 1
  service_time: 1ms
schedule:
  - {at: 200ms, signal: stop, replicas: [b]}
  - {at: 600ms, signal: cont, replicas: [b]}
repeats: 1
`)
	timeouts := map[string]int{}
	for _, c := range seen.Trials[0].Calls {
		for _, a := range c.Attempts {
			if a.Outcome.String() == "timeout" {
				timeouts[a.Replica]++
			}
		}
	}
	if len(timeouts) != 1 || timeouts["b"] == 0 {
		t.Errorf("timeouts %v, want some at b alone", timeouts)
	}
}

// When the run is ended, the trials in hand are recorded as far as they came, and nothing is left.
func TestInterruptedRun(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var once sync.Once
	l := Lab{Counterd: counterd, Runs: t.TempDir(), OnProgress: func(p Progress) {
		if len(p.Running) == 2 && p.Running[0].Succeeded > 0 && p.Running[1].Succeeded > 0 {
			once.Do(cancel)
		}
	}}
	dir, err := l.Run(ctx, load(t, `
repeats: 9
parallel: 2
factors: {calls: 1000000, service_time: 5ms}
`))
	if err != nil {
		t.Fatal(err)
	}
	seen, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(seen.Trials) != 2 || !seen.Manifest.Interrupted || seen.Manifest.Ended.IsZero() {
		t.Fatalf("%d trials, %+v", len(seen.Trials), seen.Manifest)
	}
	for _, trial := range seen.Trials {
		interrupted := 0
		for _, c := range trial.Calls {
			switch c.Result {
			case record.Interrupted:
				interrupted++
			case record.Failed:
				t.Errorf("trial %d: call %d failed: the end of the run did that", trial.Number, c.Number)
			}
		}
		if !trial.Interrupted || interrupted > 5 || len(trial.Calls) == interrupted {
			t.Errorf("trial %d: %d of %d calls interrupted, %+v", trial.Number, interrupted, len(trial.Calls), trial.Trial)
		}
	}
}

func TestProgress(t *testing.T) {
	var last Progress
	most := 0
	l := Lab{Counterd: counterd, Runs: t.TempDir(), OnProgress: func(p Progress) {
		most = max(most, len(p.Running))
		if p.Ended < last.Ended {
			t.Errorf("%d trials had ended, now %d", last.Ended, p.Ended)
		}
		last = p
	}}
	dir, err := l.Run(t.Context(), load(t, "repeats: 4\nparallel: 2\nfactors: {calls: 5, service_time: 300ms}"))
	if err != nil {
		t.Fatal(err)
	}
	if last.Ended != 4 || last.Trials != 4 || len(last.Running) != 0 || last.Dir != dir || most != 2 || last.Left != 0 {
		t.Errorf("at last %+v, at most %d trials at a time", last, most)
	}
}

// A program that is no counterd is told with what it said.
func TestBrokenProgram(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho no luck >&2\nexit 7\n"), 0o777); err != nil {
		t.Fatal(err)
	}
	l := Lab{Counterd: broken, Runs: t.TempDir()}
	dir, err := l.Run(t.Context(), load(t, "repeats: 3"))
	if err == nil || !strings.Contains(err.Error(), "no luck") || !strings.Contains(err.Error(), "trial 1: replica ") {
		t.Errorf("got %v", err)
	}
	if seen, err := record.Open(dir); err != nil || len(seen.Trials) != 0 || !seen.Manifest.Interrupted {
		t.Errorf("got %+v, %v", seen, err)
	}
}

// A replica that ends when it was ready, and before the others are, is not waited for: without restart it never comes back.
func TestReplicaThatEndsBeforeTheLoad(t *testing.T) {
	program := filepath.Join(t.TempDir(), "ends")
	script := "#!/bin/sh\ncase \"$*\" in\n*--replica=a*) " + counterd + " \"$@\" & sleep 1; kill $!; wait $!; echo bye;;\n*) sleep 60;;\nesac\n"
	if err := os.WriteFile(program, []byte(script), 0o777); err != nil {
		t.Fatal(err)
	}
	_, err := (&Lab{Counterd: program, Runs: t.TempDir()}).Run(t.Context(), load(t, "repeats: 1"))
	if err == nil || !strings.Contains(err.Error(), "replica a: ") || !strings.Contains(err.Error(), "bye") {
		t.Errorf("got %v, want replica a and its last words", err)
	}
}

// That the files of a run cannot be written is told, also when the run was ended before.
func TestRunThatCannotBeWritten(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var once sync.Once
	l := Lab{Counterd: counterd, Runs: t.TempDir(), OnProgress: func(p Progress) {
		if len(p.Running) == 1 && p.Running[0].Succeeded > 0 {
			once.Do(func() {
				if err := os.RemoveAll(p.Dir); err != nil {
					t.Error(err)
				}
				cancel()
			})
		}
	}}
	if _, err := l.Run(ctx, load(t, "repeats: 2\nfactors: {calls: 1000000}")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want that the manifest cannot be written", err)
	}
}

// With one worker and one seed, what becomes of each call is the same every time.
func TestSameSeedSameOutcomes(t *testing.T) {
	for name, text := range map[string]string{
		"no restart":          "{calls: 40, concurrency: 1, p_crash: 0.15, pause: 0s}",
		"restart and waiting": "{calls: 15, concurrency: 1, p_crash: 0.2, replicas: 1, restart_delay: 1ms, when_down: wait, rounds: 99, pause: 0s}",
	} {
		t.Run(name, func(t *testing.T) {
			d := load(t, "seed: 11\nrepeats: 1\nfactors: "+text)
			trial := d.Trials()[0]
			l := Lab{Counterd: counterd}
			var first string
			for i := range 50 {
				p := newProgress("", 1)
				seen, err := l.trial(t.Context(), d, trial, p)
				if err != nil {
					t.Fatal(err)
				}
				got := outcomes(seen.Calls)
				if i == 0 {
					first = got
				}
				if got != first {
					t.Fatalf("run %d:\n%s\nthe first:\n%s", i+1, got, first)
				}
			}
			if !strings.Contains(first, "lost") {
				t.Errorf("no crash in %s", first)
			}
		})
	}
}

// outcomes spells what became of each call.
func outcomes(calls []record.Call) string {
	var b strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&b, "%d %v", c.Number, c.Result)
		for _, a := range c.Attempts {
			fmt.Fprintf(&b, " %s %v", a.Replica, a.Outcome)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestLatestLaunch(t *testing.T) {
	all := []launched{{10 * time.Millisecond, 1}, {20 * time.Millisecond, 2}}
	for at, want := range map[time.Duration]int{0: 0, 10 * time.Millisecond: 1, 15 * time.Millisecond: 1, time.Second: 2} {
		if got := latest(all, at); got != want {
			t.Errorf("at %v: %d, want %d", at, got, want)
		}
	}
}

// Without restart and with one call at a time, each of three replicas answers until its crash: the number of calls that
// succeed has the mean 3(1−p)/p.
func TestSuccessesUntilAllAreDown(t *testing.T) {
	const repeats = 20
	seen := run(t, t.Context(), fmt.Sprintf(`
repeats: %d
parallel: 2
factors: {p_crash: [0.1, 0.2, 0.3, 0.6], concurrency: 1, max_in_flight: 1, rounds: 1, calls: 150}
`, repeats))
	successes := map[float64][]float64{}
	for _, trial := range seen.Trials {
		n := 0.0
		for _, c := range trial.Calls {
			if c.Result == record.OK {
				n++
			}
		}
		p := seen.Manifest.Design.Cells[trial.Cell].Settings.PCrash
		successes[p] = append(successes[p], n)
	}
	for p, n := range successes {
		mean, sd := stat.MeanStdDev(n, nil)
		want, allowed := 3*(1-p)/p, 3*sd/math.Sqrt(repeats)
		t.Logf("p_crash %v: mean %.2f, want %.2f ± %.2f", p, mean, want, allowed)
		if len(n) != repeats || math.Abs(mean-want) > allowed {
			t.Errorf("p_crash %v: %d trials with a mean of %.2f calls, want %.2f ± %.2f", p, len(n), mean, want, allowed)
		}
	}
}
