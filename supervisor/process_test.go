package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// later are restart delays that no test lives to see the end of.
var later = Policy{Delay: time.Hour}

func TestRelaunchRaisesTheIncarnation(t *testing.T) {
	r := start(t, one(child("exit", "7"), Policy{}))
	first, second := r.event(Exited, 1), r.event(Exited, 2)
	var pid1, pid2 int
	r.line("a up 1 %d", &pid1)
	r.line("a up 2 %d", &pid2)
	if first.PID != pid1 || second.PID != pid2 || pid1 == pid2 {
		t.Errorf("events tell PIDs %d and %d, the children %d and %d", first.PID, second.PID, pid1, pid2)
	}
	if first.Exit.Code != 7 || first.Exit.Signal != 0 || first.Exit.Uptime <= 0 {
		t.Errorf("exit %+v: want code 7, no signal, an uptime", first.Exit)
	}
}

func TestSignalIsReported(t *testing.T) {
	r := start(t, one(child("serve"), Policy{}))
	var pid int
	r.line("a up 1 %d", &pid)
	syscall.Kill(pid, syscall.SIGKILL)
	if e := r.event(Exited, 1).Exit; e.Code != -1 || e.Signal != syscall.SIGKILL {
		t.Errorf("exit %+v: want code -1, signal KILL", e)
	}
	r.event(Launched, 2)
}

func TestEnvironmentAndDirectory(t *testing.T) {
	dir := t.TempDir()
	r := start(t, one(Replica{
		Dir: dir, Env: []string{"X=y", "INCARNATION=wrong"},
		Args: []string{"/bin/sh", "-c", `echo "$INCARNATION $X $(pwd)" >&2; read line || exit 3`},
	}, Policy{Restart: Never}))
	r.ends()
	if got := r.lines[0]; !strings.HasPrefix(got, "a 1 y ") || !strings.HasSuffix(got, dir) {
		t.Errorf("line %q: want incarnation 1, X=y, directory %s, on stderr too", got, dir)
	}
	if e := r.event(Exited, 1); e.Exit.Code != 3 {
		t.Errorf("exit %v: want 3, from an empty stdin", e.Exit)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv(notifyVariable, "for us")
	t.Setenv("X", "y")
	for _, tt := range []struct {
		name string
		env  []string
		want string // the names, sorted
	}{
		{"inherited", nil, "INCARNATION SUPERVISOR_ID X"},
		{"clean", []string{}, "INCARNATION SUPERVISOR_ID"},
		{"given", []string{"Y=z"}, "INCARNATION SUPERVISOR_ID Y"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := start(t, one(Replica{Args: []string{"/usr/bin/env"}, Env: tt.env}, Policy{Restart: Never}))
			r.ends()
			var got []string
			for _, l := range r.lines {
				name, _, _ := strings.Cut(strings.TrimPrefix(l, "a "), "=")
				if _, inherited := os.LookupEnv(name); !inherited || name == "X" || name == notifyVariable {
					got = append(got, name)
				}
			}
			slices.Sort(got)
			want(t, strings.Join(got, " "), tt.want)
		})
	}
}

func TestDeafChildIsKilled(t *testing.T) {
	r := start(t, one(Replica{Args: as("deaf"), StopTimeout: 200 * time.Millisecond}, Policy{}))
	var pid int
	r.line("a up 1 %d", &pid)
	r.stop()
	r.ends()
	waited := r.event(Killed, 1).Time.Sub(r.event(Stopping, 1).Time)
	if waited < 200*time.Millisecond {
		t.Errorf("killed after %v, before the stop timeout", waited)
	}
	if e := r.event(Exited, 1); e.Exit.Signal != syscall.SIGKILL || alive(pid) {
		t.Errorf("exit %v, alive: %v; want SIGKILL, dead", e.Exit, alive(pid))
	}
}

func TestStoppedChildDiesOnStop(t *testing.T) {
	r := start(t, one(Replica{Args: as("stopped"), StopTimeout: patience}, Policy{}))
	r.line("a up 1")
	r.stop()
	r.ends()
	if e := r.event(Exited, 1); e.Exit.Signal != syscall.SIGTERM {
		t.Errorf("exit %v; want SIGTERM, as it continued", e.Exit)
	}
}

func TestKillDoesNotWait(t *testing.T) {
	r := start(t, one(Replica{Args: as("deaf"), StopTimeout: time.Hour}, Policy{}))
	r.line("a up 1")
	r.stop()
	r.event(Stopping, 1)
	r.Kill()
	r.ends()
}

func TestGrandchildEndsWithTheReplica(t *testing.T) {
	r := start(t, one(child("parent", as("deaf")...), later))
	var grandchild int
	r.line("a child %d", &grandchild)
	r.line("a up 1 %d", &grandchild) // deaf by now
	syscall.Kill(r.event(Launched, 1).PID, syscall.SIGKILL)
	r.event(Exited, 1)
	waitDead(t, grandchild)
}

// It left the group, and all that could tell whose it was.
func TestUnknownHolderOfThePipeBlocksNothing(t *testing.T) {
	s := one(Replica{Args: []string{"/bin/sh", "-c", "env -i setsid sleep 300 & echo child $!; exit 1"}}, Policy{})
	s.noCgroup = true
	r := start(t, s)
	defer func() {
		r.stop()
		r.ends() // it waits for the readers of all pipes
		for _, l := range r.lines {
			var pid int
			if n, _ := fmt.Sscanf(l, "a child %d", &pid); n == 1 {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}()
	// A slow machine can delay some relaunches that much, but hardly all.
	fastest := time.Hour
	for n := 1; n <= 8; n++ {
		fastest = min(fastest, r.event(Launched, n+1).Time.Sub(r.event(Exited, n).Time))
	}
	if fastest >= drainTime {
		t.Errorf("the fastest of 8 relaunches came %v after the exit: it waited for the pipe", fastest)
	}
}

func TestMissingProgram(t *testing.T) {
	r := start(t, one(Replica{Args: []string{"/no/such/program"}}, Policy{}))
	e := r.event(LaunchFailed, 1)
	if e.Exit.Err == nil || !strings.Contains(e.Exit.Err.Error(), "/no/such/program") || e.Next.Delay != launchFailureDelay {
		t.Errorf("event %+v: want the program's name and a delay of %v", e, launchFailureDelay)
	}
}

// A launch that waited for its turn while the stop came is none.
func TestNoLaunchAfterTheStop(t *testing.T) {
	m, err := newMachine(&Supervisor{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if p, err := m.launch(ctx, placed{Replica: Replica{Name: "a", Args: []string{"true"}}}, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("launched %v, %v after the stop", p, err)
	}
}

// A supervisor under a supervisor adds its mark to the outer one's.
func TestMarksAddUp(t *testing.T) {
	t.Setenv(markVariable, "outer-1.")
	for _, env := range [][]string{nil, {}, {"A=b"}} {
		if got := environ(Replica{Env: env}, 1, "inner-2.", ""); !slices.Contains(got, markVariable+"=outer-1.inner-2.") {
			t.Errorf("environment %q", got)
		}
	}
}
