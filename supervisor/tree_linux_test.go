package supervisor

import (
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/process/processtest"
	"example.com/crashlab/supervisor/internal/process/tree/treetest"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

func TestStraysEndWithTheReplica(t *testing.T) {
	for _, mode := range []string{"runaway", "daemon"} {
		t.Run(mode, func(t *testing.T) {
			treetest.Each(t, func(t *testing.T, noCgroup bool) {
				stray := child(mode, as("deaf")...)
				stray.StopTimeout = time.Millisecond
				s := one(stray, later)
				s.noCgroup = noCgroup
				r := start(t, s)
				var pid, left int
				if mode == "daemon" { // its first process keeps running; that of a runaway exits
					r.line("a up 1 %d", &left)
					pid = r.event(event.KindLaunched, 1).PID
					_ = syscall.Kill(pid, syscall.SIGKILL)
				}
				r.event(event.KindExited, 1)
				if mode == "runaway" {
					r.line("a child %d", &left)
				}
				waitDead(t, left) // during the test, not at the end of Run, which would wait longer
			})
		})
	}
}

func TestStraysOfOthersAreSpared(t *testing.T) {
	treetest.Each(t, func(t *testing.T, noCgroup bool) {
		s := many(2, later, func(int) []string { return as("daemon", as("serve")...) })
		replica := s.Groups[0].Replica
		s.Groups[0].Replica = func(i int) spec.Replica { r := replica(i); r.StopTimeout = time.Millisecond; return r }
		s.noCgroup = noCgroup
		r := start(t, s)
		var spared, killed int
		r.line("a up 1 %d", &spared)
		r.line("b up 1 %d", &killed)
		r.until("launches", func() bool { return r.has(event.KindLaunched, "a") && r.has(event.KindLaunched, "b") })
		status, err := r.Get("b")
		if err != nil {
			t.Fatal(err)
		}
		_ = syscall.Kill(status.PID, syscall.SIGKILL)
		r.until("exit of b", func() bool { return r.has(event.KindExited, "b") })
		waitDead(t, killed)
		if !alive(spared) {
			t.Error("the stray of a running replica was killed with that of another replica")
		}
		r.stop()
		r.ends()
		waitDead(t, spared) // it was sent SIGKILL, and may take a moment to die
	})
}

// The process is a subreaper only while Run runs.
func TestSubreaperOnlyWhileRunning(t *testing.T) {
	processtest.NeedsPidfds(t)
	s := one(spec.Replica{Args: []string{"true"}}, restart.Policy{Mode: restart.ModeNever})
	s.noCgroup = true
	during := int32(-1)
	s.OnEvent = func(e event.Event) {
		if e.Kind == event.KindLaunched {
			during = subreaper(t)
		}
	}
	if err := run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if after := subreaper(t); during != 1 || after != 0 {
		t.Errorf("subreaper %d during Run, %d after: want 1 and 0", during, after)
	}
}

func subreaper(t *testing.T) (is int32) {
	if err := unix.Prctl(unix.PR_GET_CHILD_SUBREAPER, uintptr(unsafe.Pointer(&is)), 0, 0, 0); err != nil {
		t.Error(err)
	}
	return is
}

// The stop signal is sent once to each process, also to those outside the group of a wrapper that
// dies of it.
func TestStopReachesThoseOutsideTheGroup(t *testing.T) {
	needs(t, "setsid")
	const script = `exec 2>/dev/null
		sh -c 'trap "echo inside terminated" TERM; echo inside up; until [ -e "$0" ]; do sleep 0.01; done; echo inside ends' "$0" &
		setsid sh -c 'trap "echo outside terminated; : >\"$0\"; exit" TERM; echo outside up; while :; do sleep 0.01; done' "$0" &
		wait`
	for _, to := range []spec.StopTarget{spec.StopGroup, spec.StopLeader} {
		t.Run(to.String(), func(t *testing.T) {
			treetest.Each(t, func(t *testing.T, noCgroup bool) {
				s := one(spec.Replica{Args: []string{"/bin/sh", "-c", script, t.TempDir() + "/gate"}, StopTimeout: patience, StopTo: to}, restart.Policy{})
				s.noCgroup = noCgroup
				r := start(t, s)
				r.until("both", func() bool { return len(r.lines) == 2 })
				r.stop()
				r.ends()
				slices.Sort(r.lines)
				want := []string{"a inside ends", "a inside terminated", "a inside up", "a outside terminated", "a outside up"}
				if !slices.Equal(r.lines, want) {
					t.Errorf("got %q, want %q", r.lines, want)
				}
			})
		})
	}
}

// The descendants of a process whose parent has exited get the stop signal too.
func TestChildrenOfADaemonAreTerminated(t *testing.T) {
	treetest.Each(t, func(t *testing.T, noCgroup bool) {
		const script = `exec 2>/dev/null
			sh -c 'sh -c "trap \"echo terminated; exit\" TERM; echo up; : >\"$0\"; while :; do sleep 0.01; done"; true' "$0" & until [ -e "$0" ]; do sleep 0.01; done`
		s := one(spec.Replica{Args: []string{"/bin/sh", "-c", script, t.TempDir() + "/gate"}, StopTimeout: patience}, later)
		s.noCgroup = noCgroup
		r := start(t, s)
		r.event(event.KindExited, 1)
		if want := []string{"a up", "a terminated"}; !slices.Equal(r.lines, want) {
			t.Errorf("got %q, want %q", r.lines, want)
		}
	})
}
