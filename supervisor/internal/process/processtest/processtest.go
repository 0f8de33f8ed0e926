// Package processtest has helpers for tests that observe real processes.
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

// Patience limits waits for what should happen soon. On any machine, only a hang reaches it.
const Patience = 2 * time.Minute

// Eventually polls until ok returns true, for conditions that no event announces. After Patience
// the test fails with "still no" and what.
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

// Alive reports whether a process is running. A zombie is not.
func Alive(pid int) bool {
	if runtime.GOOS == "linux" {
		return !strings.Contains("ZX", State(pid))
	}
	return syscall.Kill(pid, 0) == nil
}

// State returns the letter by which Linux shows a process's state, such as T for stopped, or X if
// there is no such process.
func State(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "X"
	}
	return string(stat[bytes.LastIndexByte(stat, ')')+2:][:1])
}

// WaitDead waits until the processes have ended.
func WaitDead(t testing.TB, pids ...int) {
	t.Helper()
	begin := time.Now()
	for _, pid := range pids {
		Eventually(t, fmt.Sprintf("end of process %d", pid), func() bool { return !Alive(pid) })
	}
	t.Logf("%d processes were gone %v later", len(pids), time.Since(begin))
}

// WithMark returns the processes whose environment contains mark, on Linux, and those of them whose
// environment also contains also.
func WithMark(mark, also string) (all, both []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		env, _ := os.ReadFile("/proc/" + e.Name() + "/environ") // it has ended, or may not be read
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

// Needs skips the test if a program is missing.
func Needs(t testing.TB, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skip(err)
		}
	}
}
