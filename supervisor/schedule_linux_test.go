package supervisor

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/process/processtest"
	"example.com/crashlab/supervisor/internal/process/tree"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

var soak = flag.Bool("soak", false, "run random tests for longer")

// After a random schedule of real processes nothing is left: no process, zombie, goroutine, thread
// or file.
func TestRandomScheduleOfProcesses(t *testing.T) {
	n := min(*steps, 100)
	if *soak {
		n = 10_000
	}
	mark := "SUPERVISOR_TEST_MARK=" + tree.RandomID() // process IDs are reused during a long test
	c := newSchedule(t, func(count int, p restart.Policy, version int) spec.Group {
		return group(count, p, func(r *spec.Replica) {
			r.Args, r.StopTimeout, r.Env = as("serve", fmt.Sprint(version)), patience, append(os.Environ(), mark)
		})
	})
	c.config.Guardian = as("guard")
	before := held(t)
	before["threads"] = max(before["threads"], 16) // Go keeps some idle threads
	r := start(t, c.config)
	c.s = r.Supervisor
	r.until("three replicas", func() bool { return r.has(event.KindLaunched, "c") })
	for range n {
		c.step()
	}
	eventually(t, "requested set of replicas", func() bool { return c.settled() == nil })
	r.stop()
	r.ends()
	account(t, r.events)
	if left, _ := processtest.WithMark(mark, ""); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
	for what, n := range before {
		eventually(t, fmt.Sprintf("end of all %s but %d", what, n), func() bool {
			if what == "threads" {
				endThreads(t) // idle threads that Go keeps
			}
			return held(t)[what] <= n
		})
	}
	t.Logf("%d steps, %d events, held before and after: %v, %v", n, len(r.events), before, held(t))
}

// held counts the resources of this process.
func held(t *testing.T) map[string]int {
	t.Helper()
	counts := map[string]int{"goroutines": runtime.NumGoroutine()}
	for what, pattern := range map[string]string{"files": "/proc/self/fd/*", "threads": "/proc/self/task/*"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		counts[what] = len(names)
	}
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		text, _ := os.ReadFile(list) // the error is ignored, because the thread may have ended
		counts["children"] += len(strings.Fields(string(text)))
	}
	return counts
}

// has reports whether a replica had an event, for until.
func (r *running) has(kind event.Kind, replica string) bool {
	return slices.ContainsFunc(r.events, func(e event.Event) bool { return e.Kind == kind && e.Replica == replica })
}
