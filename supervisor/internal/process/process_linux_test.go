package process

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"example.com/crashlab/supervisor/internal/output"
	"example.com/crashlab/supervisor/internal/process/processtest"
	"example.com/crashlab/supervisor/internal/process/tree"
	"example.com/crashlab/supervisor/internal/process/tree/treetest"
	"example.com/crashlab/supervisor/spec"
)

// Many launches, with strays, a notify socket and limits, leave nothing.
func TestLaunchesLeaveNothing(t *testing.T) {
	processtest.Needs(t, "setsid")
	treetest.Each(t, func(t *testing.T, noCgroup bool) {
		m := newMachine(t, Config{NoCgroup: noCgroup, Guardian: as("guard")})
		crash := Command{Args: []string{"/bin/sh", "-c", "setsid sleep 300 & exit 1"}, Notify: true}
		if canLimit() == nil {
			crash.Limits.Nice = 1
		}
		missing, refused := crash, crash
		missing.Args = []string{"/no/such"}
		refused.Limits = spec.Limits{Rlimits: map[string]spec.Rlimit{"nofile": {Soft: 1, Hard: ^uint64(0)}}}
		crashes := func(times int) {
			for range times {
				launch(t, m, crash)
				launchError(t, m, missing)
				launchError(t, m, refused)
			}
		}
		noStrays := func() bool {
			strays, _ := processtest.WithMark(m.tree.Handle().ID+"-", "")
			return len(strays) == 0
		}
		crashes(3) // the first ones open what is opened only once
		m.reading.Wait()
		before := counts(t)
		crashes(40)
		processtest.Eventually(t, "end of the strays", noStrays)
		m.reading.Wait()
		processtest.Eventually(t, "end of further descriptors and goroutines", func() bool {
			now := counts(t)
			return now[0] <= before[0] && now[1] <= before[1]
		})
		if dir := m.tree.Handle().Cgroup; dir != "" {
			processtest.Eventually(t, "removal of the control groups", func() bool {
				entries, err := os.ReadDir(dir)
				return err == nil && !slices.ContainsFunc(entries, fs.DirEntry.IsDir)
			})
		}
	})
}

// counts returns the number of descriptors and of goroutines.
func counts(t *testing.T) []int {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return []int{len(fds), runtime.NumGoroutine()}
}

// forkFirst forks from the main thread, which is also the one that adopts orphans.
func forkFirst() {
	m := &Machine{config: Config{Output: output.NewHub(nil, nil, 0)}, tree: tree.New(false), forks: make(chan func())}
	go func() {
		for n := range 20 {
			p, err := m.Launch(context.Background(), Command{Replica: "a", Args: []string{"/bin/sh", "-c", "exit 7"}, Incarnation: n})
			if err != nil {
				panic(err)
			}
			fmt.Println("exit code", (<-p.Ended()).Code)
		}
		close(m.forks)
	}()
	m.forkAll()
}

func init() {
	parts["fork first"] = forkFirst
	if os.Getenv(part) == "fork first" {
		runtime.LockOSThread() // init runs on the main thread
	}
}

func TestLaunchFromTheFirstThreadIsNoOrphan(t *testing.T) {
	args := as("fork first")
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil || strings.Count(string(out), "exit code 7") != 20 {
		t.Errorf("got %s, %v; want 20 exit codes of 7", out, err)
	}
}

// Some kernels and sandboxes have no pidfds.
func TestWaitWithoutPidfd(t *testing.T) {
	var w exitWatch
	w.attr(true)
	w.pidfd = -1
	testWait(t, &w)
}

func TestWaitWithPidfd(t *testing.T) {
	testWait(t, new(exitWatch))
}

// testWait checks that the process ID is not reused while ended runs, so that the group can still
// get signals, and that the exit code is read afterwards.
func testWait(t *testing.T, w *exitWatch) {
	cmd := exec.Command("/bin/sh", "-c", "exit 7")
	if cmd.SysProcAttr = w.attr(false); w.pidfd < 0 {
		cmd.SysProcAttr.PidFD = nil
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	calls := 0
	err := w.wait(cmd, func() {
		calls++
		if err := syscall.Kill(-cmd.Process.Pid, 0); err != nil {
			t.Errorf("the group has ended before its first process was reaped: %v", err)
		}
	})
	if end := exitOf(cmd.ProcessState, err); calls != 1 || end.Code != 7 {
		t.Errorf("%d calls, %+v; want 1, exit code 7", calls, end)
	}
}
