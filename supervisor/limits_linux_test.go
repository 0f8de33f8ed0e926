package supervisor

import (
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A shell's first words tell what it was started with.
func TestLimitsHoldFromTheFirstInstruction(t *testing.T) {
	needsLimits(t)
	ours, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	const say = "echo $(ulimit -Sn) $(ulimit -Hn) $(ulimit -c) $(nice) $(grep TracerPid /proc/$$/status)"
	s := many(20, Policy{Restart: RestartNever}, func(int) []string { return []string{"/bin/sh", "-c", say} })
	replica := s.Groups[0].Replica
	s.Groups[0].Replica = func(i int) Replica {
		r := replica(i)
		r.Limits.Nice = 3
		r.Limits.Rlimits = map[string]Rlimit{"nofile": {Soft: uint64(100 + i), Hard: 200}, "core": {}}
		return r
	}
	r := start(t, s)
	r.ends()
	if len(r.lines) != 20 {
		t.Errorf("got %d lines", len(r.lines))
	}
	for _, l := range r.lines {
		i := int(l[0] - 'a')
		want(t, l[2:], fmt.Sprintf("%d 200 0 %d TracerPid: 0", 100+i, min(20-ours+3, 19)))
	}
}

func TestLimitedProgramThatIsMissing(t *testing.T) {
	r := start(t, one(Replica{Args: []string{"/no/such"}, Limits: Limits{Nice: 1}}, Policy{}))
	if e := r.event(EventLaunchFailed, 1); !strings.Contains(fmt.Sprint(e.Exit.Err), "/no/such") {
		t.Errorf("error %v: want the program's name", e.Exit.Err)
	}
}

// No system grants that many descriptors.
func TestLimitThatTheSystemRefuses(t *testing.T) {
	needsLimits(t)
	r := start(t, one(Replica{
		Args: []string{"sleep", "300"}, Limits: Limits{Rlimits: map[string]Rlimit{"nofile": {1, Unlimited}}},
	}, later))
	err := r.event(EventLaunchFailed, 1).Exit.Err
	if !strings.Contains(fmt.Sprint(err), "rlimit nofile: operation not permitted") {
		t.Errorf("error %v: want the limit's name", err)
	}
	if left := strangers(); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

// Signals that come while the process is held back are its own.
func TestEarlySignalIsNotLost(t *testing.T) {
	needsLimits(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.Command("sleep", "300")
	cmd.SysProcAttr = &syscall.SysProcAttr{Ptrace: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Process.Signal(syscall.SIGHUP)
	if err := (Limits{Nice: 1}).release(cmd.Process.Pid); err != nil {
		t.Error(err)
		_ = cmd.Process.Kill()
	}
	err := cmd.Wait()
	if exit := exitOf(cmd.ProcessState, err); exit.Signal != syscall.SIGHUP {
		t.Errorf("it ended with %v", exit)
	}
}
