package lab

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/labtest"

	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/supervisor/event"
)

var soak = flag.Bool("soak", false, "repeat trials of the same seed 50 times")

// counterd is the path of the replicas' program.
var counterd string

func TestMain(m *testing.M) {
	labtest.Main(m, func(path string) {
		counterd = path
		os.Setenv("COUNTERD", counterd) // for testdata/only-a
		stopTimeout = 2 * time.Minute   // only a hanging replica can reach it
	})
}

// run runs a design and returns its records. It fails the test if a process is left or a check of
// the records fails.
func run(t testing.TB, ctx context.Context, text string) *record.Run {
	t.Helper()
	l := trials.Run{Engine: &Lab{Counterd: counterd}, Runs: t.TempDir(), Command: []string{"the", "test"}}
	dir, err := l.Do(ctx, labtest.Design(t, text))
	if err != nil {
		t.Fatal(err)
	}
	seen, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, trial := range seen.Trials {
		verify(t, trial)
	}
	return seen
}

// verify fails the test unless all processes of the trial have ended and its records pass the
// checks.
func verify(t testing.TB, trial record.TrialRecords) {
	t.Helper()
	for _, e := range trial.Events {
		if p := e.Process; p != nil && p.Kind == event.KindLaunched && isLeft(p.PID, trial.Addrs[p.Replica]) {
			t.Errorf("trial %d: process %d of replica %s is still running", trial.Number, p.PID, p.Replica)
		}
	}
	for _, v := range check.Trial(trial) {
		t.Errorf("trial %d: %s: %s", trial.Number, v.Check, v.Detail)
	}
}

// isLeft reports whether the process of a replica still exists. On Linux a process with the same
// PID but another command line is not mistaken for it.
func isLeft(pid int, addr string) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		return runtime.GOOS != "linux"
	}
	zombie := len(command) == 0
	return zombie || strings.Contains(string(command), "--addr="+addr+"\x00")
}
