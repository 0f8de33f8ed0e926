// Package processtest helps tests that observe real processes.
package processtest

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Patience bounds waits for what should happen soon: on any machine, only a hang
// reaches it.
const Patience = 2 * time.Minute

// Eventually polls until ok returns true. It is for conditions that no event
// announces. Beyond Patience the test fails with "still no" and what.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	begin := time.Now()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for !ok() {
		if time.Since(begin) > Patience {
			t.Fatalf("after %v still no %s", Patience, what)
		}
		<-poll.C
	}
}

// Alive reports whether a process runs; a zombie does not.
func Alive(pid int) bool {
	if runtime.GOOS == "linux" {
		return !strings.Contains("ZX", State(pid))
	}
	return syscall.Kill(pid, 0) == nil
}

// State returns the letter by which Linux shows a process's state, such as T for
// one that is stopped; X: there is no such process.
func State(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "X"
	}
	return string(stat[bytes.LastIndexByte(stat, ')')+2:][:1])
}

// WaitDead waits until processes have ended.
func WaitDead(t testing.TB, pids ...int) {
	t.Helper()
	begin := time.Now()
	for _, pid := range pids {
		Eventually(t, fmt.Sprintf("end of process %d", pid), func() bool { return !Alive(pid) })
	}
	t.Logf("%d processes were gone %v later", len(pids), time.Since(begin))
}

// WithMark returns the processes on Linux whose environment contains a text,
// and of those the ones whose environment contains another one too.
func WithMark(mark, also string) (all, both []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		env, _ := os.ReadFile("/proc/" + e.Name() + "/environ") // it has ended, or is not ours to look at
		if !bytes.Contains(env, []byte(mark)) {
			continue
		}
		all = append(all, pid)
		if bytes.Contains(env, []byte(also)) {
			both = append(both, pid)
		}
	}
	return all, both
}

// Needs skips a test where programs are missing.
func Needs(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip(err)
		}
	}
}
