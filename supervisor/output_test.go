package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// A process that writes more than OnOutput takes is neither blocked nor kept from exiting.
func TestStuckOutputBlocksNothing(t *testing.T) {
	needs(t, "seq")
	const n = 500_000
	stuck := make(chan struct{})
	var delivered int
	var lost uint64
	var exit event.Event
	s := &Config{
		waits: &patient,
		Groups: []spec.Group{{
			Count: 1, Policy: restart.Policy{Mode: restart.ModeNever},
			Replica: func(int) spec.Replica {
				return spec.Replica{Name: "a", Args: []string{"seq", fmt.Sprint(n)}, Overflow: spec.OverflowDrop}
			},
		}},
		OnOutput: func(_ string, lines []byte) {
			<-stuck
			delivered += bytes.Count(lines, []byte{'\n'})
		},
		OnEvent: func(e event.Event) {
			lost += e.Lost
			if e.Kind == event.KindExited {
				exit = e
				close(stuck) // after the exit was reported
			}
		},
	}
	if err := run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if delivered+int(lost) != n || lost == 0 {
		t.Errorf("%d lines were delivered and %d lost, want %d in all", delivered, lost, n)
	}
	if len(exit.Output) != 20 || exit.Output[19] != fmt.Sprint(n) {
		t.Errorf("the last lines are %q", exit.Output)
	}
	if !exit.Exit.Success() {
		t.Errorf("exit: %v", exit.Exit)
	}
}

// Lines that are lost at the end of Run are reported as the last event.
func TestOutputLostAtTheEnd(t *testing.T) {
	needs(t, "seq")
	stuck, given, exited := make(chan struct{}), make(chan struct{}), make(chan struct{})
	gate := filepath.Join(t.TempDir(), "gate")
	var last event.Event
	w := patient
	w.flush = time.Millisecond
	s := &Config{
		waits: &w,
		Groups: []spec.Group{{
			Name: "g", Count: 1, Policy: later,
			Replica: func(int) spec.Replica {
				return spec.Replica{Name: "a", Args: []string{"sh", "-c", "echo first; until [ -e \"$0\" ]; do sleep 0.01; done; seq 9", gate}}
			},
		}},
		OnOutput: func(string, []byte) {
			if err := os.WriteFile(gate, nil, 0o600); err != nil { // the other lines queue while this call blocks
				t.Error(err)
			}
			close(given)
			<-stuck
		},
		OnEvent: func(e event.Event) {
			if last = e; e.Kind == event.KindExited {
				close(exited)
			}
		},
	}
	defer close(stuck)
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		<-given
		<-exited
		stop()
	}()
	if err := run(ctx, s); err != nil {
		t.Fatal(err)
	}
	if last.Kind != event.KindOutputLost || last.Replica != "a" || last.Group != "g" || last.Lost != 9 {
		t.Errorf("got %+v, want the loss of 9 lines of a in g", last)
	}
}

// A process that has left the group and keeps the pipe open does not delay the end of Run.
func TestOutputOfARunawayHoldsUpNothing(t *testing.T) {
	needs(t, "setsid")
	script := `
		setsid sh -c 'echo $$; touch "$0"; exec sleep 300' "$0" &
		until [ -e "$0" ]; do sleep 0.01; done`
	gone := filepath.Join(t.TempDir(), "gone")
	r := start(t, one(spec.Replica{Args: []string{"sh", "-c", script, gone}}, restart.Policy{Mode: restart.ModeNever}))
	r.ends()
	var pid int
	r.line("a %d", &pid)
	if runtime.GOOS == "linux" {
		waitDead(t, pid)
	} else {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// An OnOutput that blocks delays no relaunch.
func TestStuckOutputDelaysNoRelaunch(t *testing.T) {
	stuck, relaunched := make(chan struct{}), make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	var delivered bytes.Buffer
	c := &Config{
		waits: &patient,
		Groups: []spec.Group{{
			Count: 1, Policy: restart.Policy{Exact: true},
			Replica: func(int) spec.Replica {
				return spec.Replica{Name: "a", Args: []string{"sh", "-c", "echo $CRASHLAB_INCARNATION; [ $CRASHLAB_INCARNATION -lt 5 ] || exec sleep 300; exit 3"}}
			},
		}},
		OnOutput: func(_ string, lines []byte) {
			<-stuck
			delivered.Write(lines)
		},
		OnEvent: func(e event.Event) {
			if e.Kind == event.KindReady && e.Incarnation == 5 {
				close(relaunched)
			}
		},
	}
	go func() {
		<-relaunched
		close(stuck)
		stop()
	}()
	if err := run(ctx, c); err != nil {
		t.Fatal(err)
	}
	if got := delivered.String(); len(got) < 8 || got[:8] != "1\n2\n3\n4\n" {
		t.Errorf("got %q", got)
	}
}

// Output returns the lines of all incarnations while the replica runs.
func TestOutput(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	r := start(t, one(spec.Replica{Args: []string{"sh", "-c", `
		if [ $CRASHLAB_INCARNATION = 1 ]; then seq 3; exit 3; fi
		echo again; until [ -e "$0" ]; do sleep 0.01; done; echo more; exec sleep 300`, gate}}, restart.Policy{}))
	r.until("line of the second incarnation", func() bool { return slices.Contains(r.lines, "a again") })
	if _, err := r.Output(t.Context(), "b", 1, false); !errors.Is(err, ErrUnknown) {
		t.Errorf("got %v", err)
	}
	for last, want := range map[int]string{0: "", 2: "3\nagain\n", 1000: "1\n2\n3\nagain\n"} {
		lines, err := r.Output(t.Context(), "a", last, false)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for part := range lines {
			got += string(part.Text)
		}
		if got != want {
			t.Errorf("the last %d: got %q, want %q", last, got, want)
		}
	}
	lines, err := r.Output(t.Context(), "a", 1, true)
	if err != nil {
		t.Fatal(err)
	}
	got := ""
	for part := range lines {
		switch got += string(part.Text); got {
		case "again\n":
			if err := os.WriteFile(gate, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		case "again\nmore\n":
			r.stop() // the supervisor, which ends the sequence
		}
	}
	if got != "again\nmore\n" {
		t.Errorf("got %q", got)
	}
}
