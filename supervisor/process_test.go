package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is for what happens soon unless something is broken.
const patience = 30 * time.Second

// running is a Supervisor that runs, and what it told so far.
type running struct {
	*Supervisor
	t    *testing.T
	stop context.CancelFunc
	done chan struct{} // closed when Run has returned

	mu     sync.Mutex
	events []Event
	lines  []string
	news   chan struct{} // one token: something was told since
}

// start runs s until the test's end or a call of stop.
func start(t *testing.T, s *Supervisor) *running {
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Supervisor: s, t: t, stop: cancel, done: make(chan struct{}), news: make(chan struct{}, 1)}
	s.OnEvent = func(e Event) { r.told(func() { r.events = append(r.events, e) }) }
	s.OnOutput = func(replica string, line []byte) {
		r.told(func() { r.lines = append(r.lines, replica+" "+string(line)) })
	}
	go func() {
		defer close(r.done)
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		cancel()
		s.Kill()
		<-r.done
		if t.Failed() {
			t.Logf("events: %+v\n%d lines of output", r.events, len(r.lines))
		}
	})
	return r
}

func (r *running) told(add func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// until blocks until ok says yes to what was told so far.
func (r *running) until(what string, ok func() bool) {
	r.t.Helper()
	timeout := time.After(patience)
	for {
		r.mu.Lock()
		yes := ok()
		r.mu.Unlock()
		if yes {
			return
		}
		select {
		case <-r.news:
		case <-timeout:
			r.t.Fatalf("after %v still no %s", patience, what)
		}
	}
}

// event blocks until the n-th incarnation of the only replica had an event.
func (r *running) event(kind Kind, n int) Event {
	r.t.Helper()
	var found Event
	r.until(fmt.Sprintf("event %q of incarnation %d", kind, n), func() bool {
		for _, e := range r.events {
			if e.Kind == kind && e.Incarnation == n {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// line blocks until a line matches the format of fmt.Sscanf, and fills args.
func (r *running) line(format string, args ...any) {
	r.t.Helper()
	r.until(fmt.Sprintf("line %q", format), func() bool {
		for _, l := range r.lines {
			if n, err := fmt.Sscanf(l, format, args...); err == nil && n == len(args) {
				return true
			}
		}
		return false
	})
}

func (r *running) ends() {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatalf("Run has not returned after %v", patience)
	}
}

func one(args []string) []Replica { return []Replica{{Name: "a", Args: args}} }

// alive reports whether a process runs; a zombie does not.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return runtime.GOOS != "linux"
	}
	_, state, _ := bytes.Cut(stat, []byte(") "))
	return !bytes.HasPrefix(state, []byte("Z"))
}

func waitDead(t *testing.T, pids ...int) {
	t.Helper()
	begin := time.Now()
	poll := time.NewTicker(time.Millisecond)
	defer poll.Stop()
	for _, pid := range pids {
		for alive(pid) {
			if time.Since(begin) > patience {
				t.Fatalf("process %d is still alive after %v", pid, patience)
			}
			<-poll.C
		}
	}
	t.Logf("%d processes were gone %v later", len(pids), time.Since(begin))
}

func TestRelaunchRaisesTheIncarnation(t *testing.T) {
	r := start(t, &Supervisor{Replicas: one(as("exit", "7"))})
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
	r := start(t, &Supervisor{Replicas: one(as("serve"))})
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
	r := start(t, &Supervisor{
		Replicas: []Replica{{
			Name: "a", Dir: dir, Env: []string{"X=y", "INCARNATION=wrong"},
			Args: []string{"/bin/sh", "-c", `echo "$INCARNATION $X $PATH_TO_NOTHING $(pwd)" >&2; read line || exit 3`},
		}},
		Policy: Policy{Restart: Never},
	})
	r.ends()
	if got := r.lines[0]; !strings.HasPrefix(got, "a 1 y ") || !strings.HasSuffix(got, dir) {
		t.Errorf("line %q: want incarnation 1, X=y, directory %s, on stderr too", got, dir)
	}
	if e := r.event(Exited, 1); e.Exit.Code != 3 {
		t.Errorf("exit %v: want 3, from an empty stdin", e.Exit)
	}
}

func TestDeafChildIsKilled(t *testing.T) {
	r := start(t, &Supervisor{Replicas: one(as("deaf")), StopTimeout: 200 * time.Millisecond})
	var pid int
	r.line("a up 1 %d", &pid)
	r.stop()
	r.ends()
	waited := r.event(Killed, 1).Time.Sub(r.event(Stopping, 1).Time)
	if waited < 200*time.Millisecond {
		t.Errorf("killed after %v, before the stop timeout", waited)
	}
	if e := r.event(Stopped, 1); e.Exit.Signal != syscall.SIGKILL || alive(pid) {
		t.Errorf("exit %v, alive: %v; want SIGKILL, dead", e.Exit, alive(pid))
	}
}

func TestStoppedChildDiesOnStop(t *testing.T) {
	r := start(t, &Supervisor{Replicas: one(as("stopped")), StopTimeout: patience})
	r.line("a up 1")
	r.stop()
	r.ends()
	if e := r.event(Stopped, 1); e.Exit.Signal != syscall.SIGTERM {
		t.Errorf("exit %v; want SIGTERM, as it continued", e.Exit)
	}
}

func TestKillDoesNotWait(t *testing.T) {
	r := start(t, &Supervisor{Replicas: one(as("deaf")), StopTimeout: time.Hour})
	r.line("a up 1")
	r.stop()
	r.event(Stopping, 1)
	r.Kill()
	r.ends()
}

func TestStopDuringDelayLaunchesNothing(t *testing.T) {
	r := start(t, &Supervisor{Replicas: one(as("exit", "1")), Policy: Policy{Delay: time.Hour}})
	r.event(Exited, 1)
	r.stop()
	r.ends()
	if e := r.event(Stopped, 1); e.PID != 0 {
		t.Errorf("stopped %+v: want no process", e)
	}
	for _, e := range r.events {
		if e.Incarnation > 1 {
			t.Errorf("event %+v after the stop", e)
		}
	}
}

func TestRunawayHoldingThePipeBlocksNothing(t *testing.T) {
	r := start(t, &Supervisor{Replicas: one(as("runaway", as("serve")...))})
	defer func() { // they left the group: ending them is ours
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

func TestGrandchildEndsWithTheReplica(t *testing.T) {
	r := start(t, &Supervisor{Replicas: one(as("parent", as("deaf")...)), Policy: Policy{Delay: time.Hour}})
	var grandchild int
	r.line("a child %d", &grandchild)
	r.line("a up 1 %d", &grandchild) // deaf by now
	syscall.Kill(r.event(Launched, 1).PID, syscall.SIGKILL)
	r.event(Exited, 1)
	waitDead(t, grandchild)
}

func TestBigLineArrivesWhole(t *testing.T) {
	r := start(t, &Supervisor{Replicas: one(as("bigline")), Policy: Policy{Restart: Never}})
	r.ends()
	if len(r.lines) != 1 || len(r.lines[0]) != len("a ")+1<<20 {
		t.Errorf("got %d lines, of %v bytes", len(r.lines), lengths(r.lines))
	}
	if e := r.event(Exited, 1); e.Exit.Code != 0 {
		t.Errorf("exit %v", e.Exit)
	}
}

func TestMissingProgram(t *testing.T) {
	r := start(t, &Supervisor{Replicas: one([]string{"/no/such/program"})})
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
	if p, err := m.launch(ctx, Replica{Name: "a", Args: []string{"true"}}, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("launched %v, %v after the stop", p, err)
	}
}
