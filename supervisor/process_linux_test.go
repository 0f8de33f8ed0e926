package supervisor

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/process/processtest"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// The parent-death signal is sent when the thread that forked ends, and Go ends a thread when a
// goroutine that is locked to it ends.
func TestEndOfThreadsKillsNoReplica(t *testing.T) {
	s := many(10, restart.Policy{Mode: restart.ModeNever}, func(int) []string { return as("serve") })
	replica := s.Groups[0].Replica
	s.Groups[0].Replica = func(i int) spec.Replica {
		r := replica(i)
		r.StopTimeout = patience
		return r
	}
	r := start(t, s)
	r.until("replicas that are up", func() bool { return len(r.lines) == 10 })
	endThreads(t)
	r.stop()
	r.ends()
	for _, e := range r.events {
		if e.Kind == event.KindExited && e.Exit.Signal != syscall.SIGTERM {
			t.Errorf("replica %s ended: %v", e.Replica, e.Exit)
		}
	}
}

// endThreads locks many goroutines to threads at a time, so that idle threads are used, and ends
// them.
func endThreads(t *testing.T) {
	t.Helper()
	const n = 50
	threads := make(chan string)
	gather := make(chan struct{})
	for range n {
		go func() {
			runtime.LockOSThread()
			threads <- "/proc/self/task/" + strconv.Itoa(unix.Gettid())
			<-gather
		}()
	}
	var left []string
	for range n {
		left = append(left, <-threads)
	}
	close(gather)
	eventually(t, "end of threads", func() bool {
		left = slices.DeleteFunc(left, func(dir string) bool {
			_, err := os.Stat(dir)
			return err != nil || filepath.Base(dir) == strconv.Itoa(os.Getpid()) // the main thread never ends
		})
		return len(left) == 0
	})
}

func TestNoThreadPerReplica(t *testing.T) {
	processtest.NeedsPidfds(t)
	const n = 60
	before := threads(t)
	r := start(t, many(n, restart.Policy{}, func(int) []string { return []string{"sh", "-c", "echo up; sleep 300"} }))
	r.until("replicas that are up", func() bool { return len(r.lines) == n })
	eventually(t, "rest in which fewer than half of the replicas have a thread", func() bool {
		endThreads(t) // idle threads that Go keeps
		return threads(t)-before <= n/2
	})
}

func threads(t *testing.T) int {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}
