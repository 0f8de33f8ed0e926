package process

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/crashlab/supervisor/internal/process/processtest"
	"example.com/crashlab/supervisor/spec"
)

// The first command of a shell prints the limits with which it was started.
func TestLimitsHoldFromTheFirstInstruction(t *testing.T) {
	needsLimits(t)
	ours, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	const say = "echo $(ulimit -Sn) $(ulimit -Hn) $(ulimit -c) $(nice) $(grep TracerPid /proc/$$/status)"
	for i := range 20 {
		got := run(t, say, spec.Limits{Nice: 3, Rlimits: map[string]spec.Rlimit{"nofile": {Soft: uint64(100 + i), Hard: 200}, "core": {}}})
		if want := fmt.Sprintf("%d 200 0 %d TracerPid: 0", 100+i, min(20-ours+3, 19)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestLimitedProgramThatIsMissing(t *testing.T) {
	err := launchError(t, newMachine(t, Config{}), Command{Args: []string{"/no/such"}, Limits: spec.Limits{Nice: 1}})
	if !strings.Contains(err.Error(), "/no/such") {
		t.Errorf("error %v: want the program's name", err)
	}
}

// No system allows so many descriptors, even to root. The error does not advise root to become
// root.
func TestLimitThatTheSystemRefuses(t *testing.T) {
	needsLimits(t)
	m := newMachine(t, Config{})
	err := launchError(t, m, Command{
		Args: []string{"sleep", "300"}, Limits: spec.Limits{Rlimits: map[string]spec.Rlimit{"nofile": {Soft: 1, Hard: ^uint64(0)}}},
	})
	if !strings.Contains(err.Error(), "rlimit nofile: operation not permitted") {
		t.Errorf("error %v: want the limit's name", err)
	}
	want := "takes root"
	if os.Geteuid() == 0 {
		want = "fs.nr_open"
	}
	for _, reason := range []string{"takes root", "fs.nr_open"} {
		if strings.Contains(err.Error(), reason) != (reason == want) {
			t.Errorf("error %v: want %q alone", err, want)
		}
	}
	if left, _ := processtest.WithMark(m.tree.Handle().ID, ""); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

// A signal that arrives while the process is traced is delivered afterwards.
func TestEarlySignalIsNotLost(t *testing.T) {
	needsLimits(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("sleep", "300")
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	if err := (limits{Nice: 1}).release(cmd.Process.Pid); err != nil {
		t.Error(err)
		_ = cmd.Process.Kill()
	}
	err := cmd.Wait()
	if end := exitOf(cmd.ProcessState, err); end.Signal != syscall.SIGTERM {
		t.Errorf("it ended with %+v", end)
	}
}
