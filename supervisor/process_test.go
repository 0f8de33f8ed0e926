package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// later has a restart delay that is longer than any test.
var later = restart.Policy{Delay: time.Hour}

func TestRelaunchRaisesTheIncarnation(t *testing.T) {
	r := start(t, one(child("exit", "7"), restart.Policy{}))
	first, second := r.event(event.KindExited, 1), r.event(event.KindExited, 2)
	var pid1, pid2 int
	r.line("a up 1 %d", &pid1)
	r.line("a up 2 %d", &pid2)
	if first.PID != pid1 || second.PID != pid2 {
		t.Errorf("the events have PIDs %d and %d, the children %d and %d", first.PID, second.PID, pid1, pid2)
	}
	if first.Exit.Code != 7 || first.Exit.Signal != 0 {
		t.Errorf("exit %+v: want code 7, no signal", first.Exit)
	}
}

func TestSignalIsReported(t *testing.T) {
	before := time.Now()
	r := start(t, one(child("serve"), restart.Policy{}))
	var pid int
	r.line("a up 1 %d", &pid)
	up := time.Now()
	least := time.Since(up)
	syscall.Kill(pid, syscall.SIGKILL)
	e := r.event(event.KindExited, 1).Exit
	if e.Code != -1 || e.Signal != syscall.SIGKILL {
		t.Errorf("exit %+v: want code -1, signal KILL", e)
	}
	if most := time.Since(before); e.Uptime < least || e.Uptime > most {
		t.Errorf("uptime %v: want %v to %v", e.Uptime, least, most)
	}
	r.event(event.KindLaunched, 2)
}

func TestEnvironmentAndDirectory(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, one(spec.Replica{
		Dir: dir, Env: []string{"X=y", "CRASHLAB_INCARNATION=wrong"},
		Args: []string{"/bin/sh", "-c", `echo "$CRASHLAB_INCARNATION $X $(pwd)" >&2; read line || exit 3`},
	}, restart.Policy{Mode: restart.ModeNever}))
	r.ends()
	if got := r.lines[0]; !strings.HasPrefix(got, "a 1 y ") || !strings.HasSuffix(got, dir) {
		t.Errorf("line %q: want incarnation 1, X=y, directory %s, on stderr too", got, dir)
	}
	if e := r.event(event.KindExited, 1); e.Exit.Code != 3 {
		t.Errorf("exit %v: want 3, from an empty stdin", e.Exit)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "for us")
	t.Setenv("X", "several\nlines")
	added := []string{"CRASHLAB_INCARNATION", "GORACE", "SUPERVISOR_ID"}
	for _, tt := range []struct {
		name string
		env  []string
		want []string // of variables
	}{
		{"inherited", nil, append(names(os.Environ()), added...)},
		{"clean", []string{}, added},
		{"given", []string{"Y=z"}, append(added, "Y")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, one(spec.Replica{Args: as("names"), Env: tt.env}, restart.Policy{Mode: restart.ModeNever}))
			r.ends()
			expected := slices.DeleteFunc(slices.Clone(tt.want), func(name string) bool { return name == "NOTIFY_SOCKET" })
			slices.Sort(expected)
			want(t, strings.Join(r.lines, " "), fmt.Sprint("a ", slices.Compact(expected)))
		})
	}
}

func TestChildThatIgnoresTheStopSignalIsKilled(t *testing.T) {
	const timeout = 20 * time.Millisecond
	r := start(t, one(spec.Replica{Args: as("deaf"), StopTimeout: timeout}, restart.Policy{}))
	var pid int
	r.line("a up 1 %d", &pid)
	r.stop()
	r.ends()
	waited := r.event(event.KindKilled, 1).Time.Sub(r.event(event.KindStopping, 1).Time)
	if waited < timeout {
		t.Errorf("killed after %v, before the stop timeout", waited)
	}
	if e := r.event(event.KindExited, 1); e.Exit.Signal != syscall.SIGKILL || alive(pid) {
		t.Errorf("exit %v, alive: %v; want SIGKILL, dead", e.Exit, alive(pid))
	}
}

func TestStoppedChildDiesOnStop(t *testing.T) {
	r := start(t, one(spec.Replica{Args: as("stopped"), StopTimeout: patience}, restart.Policy{}))
	var pid int
	r.line("a up 1 %d", &pid)
	if runtime.GOOS == "linux" { // elsewhere it may get the stop signal before it has stopped itself
		eventually(t, "stop of the child", func() bool { return processState(pid) == "T" })
	}
	r.stop()
	r.ends()
	if e := r.event(event.KindExited, 1); e.Exit.Signal != syscall.SIGTERM {
		t.Errorf("exit %v; want SIGTERM after it was continued", e.Exit)
	}
}

func TestKillDoesNotWait(t *testing.T) {
	r := start(t, one(spec.Replica{Args: as("deaf"), StopTimeout: time.Hour}, restart.Policy{}))
	r.line("a up 1")
	r.stop()
	r.event(event.KindStopping, 1)
	r.Kill()
	r.ends()
}

func TestGrandchildEndsWithTheReplica(t *testing.T) {
	parent := child("parent", as("deaf")...)
	parent.StopTimeout = time.Millisecond
	r := start(t, one(parent, later))
	var grandchild int
	r.line("a child %d", &grandchild)
	r.line("a up 1 %d", &grandchild) // it ignores SIGTERM now
	syscall.Kill(r.event(event.KindLaunched, 1).PID, syscall.SIGKILL)
	r.event(event.KindExited, 1)
	waitDead(t, grandchild)
}

// A process that holds the pipe cannot be found if it has left the group and cleared its
// environment.
func TestUnknownHolderOfThePipeBlocksNothing(t *testing.T) {
	needs(t, "setsid", "mkfifo")
	for _, tt := range []struct {
		name  string
		drain time.Duration
		exits int
		// The processes that hold the pipe are killed, which ends reading.
		kill bool
	}{
		// A supervisor that waits for the pipe would not relaunch before the test gives up.
		{"relaunches", 2 * patience, 9, true},
		{"end of Run", time.Millisecond, 1, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			// Each incarnation has its own FIFO, because the child of the previous one may still
			// have that one's open.
			const script = `
				out="$0/$CRASHLAB_INCARNATION"
				mkfifo "$out"
				env -i PATH="$PATH" setsid sh -c 'echo child $$; echo out >"$0"; exec sleep 300' "$out" &
				read out <"$out"
				exit 1`
			s := one(spec.Replica{Args: []string{"/bin/sh", "-c", script, t.TempDir()}}, restart.Policy{Limit: restart.Limit{Exits: tt.exits, Window: time.Hour}})
			w := patient
			s.noCgroup, s.waits, w.Drain = true, &w, tt.drain
			r := start(t, s)
			r.event(event.KindFailed, tt.exits)
			if !tt.kill {
				r.ends()
			}
			r.until("line of each incarnation", func() bool { return len(r.lines) == tt.exits })
			for _, l := range r.lines {
				var pid int
				if _, err := fmt.Sscanf(l, "a child %d", &pid); err != nil || !alive(pid) {
					t.Errorf("%s: no process keeps the pipe open", l)
				} else if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
			}
			r.ends() // Run waits until the readers of all pipes have ended
		})
	}
}

func TestMissingProgram(t *testing.T) {
	r := start(t, one(spec.Replica{Args: []string{"/no/such/program"}}, restart.Policy{}))
	e := r.event(event.KindLaunchFailed, 1)
	if e.Exit.Err == nil || !strings.Contains(e.Exit.Err.Error(), "/no/such/program") || e.Next.Delay != time.Second {
		t.Errorf("event %+v: want the program's name and a delay of 1 s", e)
	}
}

// A program is looked up in the PATH of its replica.
func TestProgramInThePathOfItsReplica(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "bin", "only-there")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"ran in $PWD\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=bin:/usr/bin:/bin", "PWD=/stale"}
	r := start(t, one(spec.Replica{Args: []string{"only-there"}, Dir: dir, Env: env}, restart.Policy{Mode: restart.ModeNever}))
	r.ends()
	want(t, strings.Join(r.lines, "\n"), "a ran in "+dir)
	r = start(t, one(spec.Replica{Args: []string{"nowhere"}, Env: env}, restart.Policy{}))
	if e := r.event(event.KindLaunchFailed, 1); !strings.Contains(fmt.Sprint(e.Exit.Err), "bin:/usr/bin:/bin") {
		t.Errorf("error %v: want the PATH", e.Exit.Err)
	}
}
