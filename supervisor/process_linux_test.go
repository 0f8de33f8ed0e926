package supervisor

import (
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The parent-death signal comes when the thread that forked ends, and Go ends
// a thread with a goroutine that was locked to it.
func TestEndOfThreadsKillsNoReplica(t *testing.T) {
	r := start(t, many(10, Policy{Restart: Never}, func(int) []string { return as("serve") }))
	r.until("replicas that are up", func() bool { return len(r.lines) == 10 })
	endThreads()
	r.stop()
	r.ends()
	for _, e := range r.events {
		if e.Kind == Exited && e.Exit.Signal != syscall.SIGTERM {
			t.Errorf("replica %s ended: %v", e.Replica, e.Exit)
		}
	}
}

// endThreads occupies all idle threads at a time, then ends them.
func endThreads() {
	var all sync.WaitGroup
	gather := make(chan struct{})
	for range 50 {
		all.Go(func() {
			runtime.LockOSThread()
			<-gather
		})
	}
	close(gather)
	all.Wait()
}

func TestNoThreadPerReplica(t *testing.T) {
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Skip("no pidfds here: ", err)
	}
	unix.Close(fd)
	const n = 60
	before := threads(t)
	r := start(t, many(n, Policy{}, func(int) []string { return []string{"sh", "-c", "echo up; sleep 300"} }))
	r.until("replicas that are up", func() bool { return len(r.lines) == n })
	if more := threads(t) - before; more > n/2 {
		t.Errorf("%d more threads for %d replicas", more, n)
	}
}

func threads(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// Kernels and sandboxes without pidfds.
func TestWaitWithoutPidfd(t *testing.T) {
	var w exitWatch
	w.attr(true)
	w.pidfd = -1
	testWait(t, &w)
}

func TestWaitWithPidfd(t *testing.T) {
	testWait(t, new(exitWatch))
}

// testWait checks that the leader can still be signalled, as its ID is taken,
// while ended runs, and that its exit code is then read.
func testWait(t *testing.T, w *exitWatch) {
	args := as("exit", "7")
	cmd := exec.Command(args[0], args[1:]...)
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
			t.Errorf("the group's ID is free before it was reaped: %v", err)
		}
	})
	if exit := exitOf(cmd.ProcessState, err); calls != 1 || exit.Code != 7 {
		t.Errorf("%d calls, %v; want 1, exit code 7", calls, exit)
	}
}
