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

// counterd is the program that the replicas of all tests are.
var counterd string

func TestMain(m *testing.M) {
	labtest.Main(m, func(path string) {
		counterd = path
		os.Setenv("COUNTERD", counterd) // for testdata/only-a
		stopTimeout = 2 * time.Minute   // a replica that hangs is a fault here
	})
}

// run runs a design to its end, and returns what it saw. No process is left, and the records can be
// true.
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

// verify fails the test unless all processes of the trial have ended and its records can be true.
func verify(t testing.TB, trial record.TrialRecords) {
	t.Helper()
	for _, e := range trial.Events {
		if p := e.Process; p != nil && p.Kind == event.KindLaunched && isLeft(p.PID, trial.Addrs[p.Replica]) {
			t.Errorf("trial %d: process %d of replica %s is left", trial.Number, p.PID, p.Replica)
		}
	}
	for _, v := range check.Trial(trial) {
		t.Errorf("trial %d: %s: %s", trial.Number, v.Check, v.Detail)
	}
}

// isLeft reports whether the process of a replica is still there. Where the system tells, one of
// that number which has another command is another process.
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
