package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/labtest"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/workload"
	"example.com/crashlab/supervisor/event"
)

func TestRunsEveryTrial(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: a second of real clusters")
	}
	t.Parallel()
	seen := run(t, t.Context(), `
name: every
seed: 3
repeats: 2
parallel: 2
factors:
  p_crash: [0, 0.2]
  crash_point: [arrival, reply]
  restart_delay: 20ms
  service_time: 1ms
  pause: 20ms
  calls: 40
`)
	m := seen.Manifest
	if len(seen.Trials) != 8 || m.Interrupted || m.Seed != 3 || m.Versions.Go == "" || m.Machine.CPUs == 0 || !slices.Equal(m.Command, []string{"the", "test"}) {
		t.Fatalf("%d trials, manifest %+v", len(seen.Trials), m)
	}
	for _, trial := range seen.Trials {
		s := m.Design.Cells[trial.Cell].Settings
		if len(trial.Calls) != 40 || trial.Interrupted || len(trial.Addrs) != 3 {
			t.Errorf("trial %d: %d calls, %+v", trial.Number, len(trial.Calls), trial.Trial)
		}
		crashes, stops := 0, 0
		for _, e := range trial.Events {
			if e.Count != nil && e.Count.Crash > 0 {
				crashes++
			} else if e.Count != nil {
				stops++
			}
		}
		if stops > 3 || stops+crashes < 3 || (crashes > 0) != (s.PCrash > 0) {
			t.Errorf("trial %d, p_crash %v: %d crashes, %d stops", trial.Number, s.PCrash, crashes, stops)
		}
	}
}

// The schedule's signals reach the named replicas, and the calls show their effect.
func TestSchedule(t *testing.T) {
	t.Parallel()
	d := labtest.Design(t, `
factors:
  timeout: 100ms
  order: round-robin
  eject_after: 0
  calls: 1000000
  concurrency: 1
  service_time: 1ms
schedule:
  - {at: 100ms, signal: stop, replicas: [b]}
  - {at: 150ms, signal: cont, replicas: [c]}
`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c, err := startCluster(ctx, counterd, nil, d.Cells[0].Settings, 1)
	if err != nil {
		t.Fatal(err)
	}
	// A signal takes effect only when the receiving thread gets a processor.
	effective := func() bool {
		b, err := c.supervisor.Get("b")
		return err == nil && sentSignals(c) >= 2 && isStopped(b.PID)
	}
	ended, from := 0, 0 // calls in all, and calls before the signals took effect
	seen, err := c.trial(ctx, d, d.Trials()[0], trials.Watch{Call: func(workload.Record) {
		switch ended++; {
		case from == 0 && effective():
			from = ended
		case from > 0 && ended == from+7: // two at each replica and the one under way
			cancel()
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	verify(t, seen)
	sent := signaled(seen.Events)
	if len(sent) != 2 || sent[0].Process.Replica != "b" || sent[0].Process.Signal != syscall.SIGSTOP || sent[0].At < d.Schedule[0].At ||
		sent[1].Process.Replica != "c" || sent[1].Process.Signal != syscall.SIGCONT || sent[1].At < d.Schedule[1].At {
		t.Fatalf("signals %+v, want those of the schedule", sent)
	}
	after := map[string]int{}
	for _, c := range seen.Calls {
		for _, a := range c.Attempts {
			if c.Number > from {
				after[fmt.Sprint(a.Replica == "b", " ", a.Outcome)]++
			}
		}
	}
	if after["true timeout"] == 0 || after["true ok"] > 0 || after["false ok"] == 0 {
		t.Errorf("attempts by (at replica b, outcome) while b was stopped: %v; want timeouts at b and answers elsewhere", after)
	}
}

// isStopped reports whether a process is stopped. Where there is no /proc, it returns true.
func isStopped(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || strings.Contains(string(stat), ") T ")
}

// sentSignals returns how many signals have been sent so far.
func sentSignals(c *cluster) int {
	var events []record.Event
	for _, e := range c.history() {
		events = append(events, e.Event)
	}
	return len(signaled(events))
}

// signaled returns those of the events that report a signal sent.
func signaled(events []record.Event) []record.Event {
	return slices.DeleteFunc(slices.Clone(events), func(e record.Event) bool {
		return e.Process == nil || e.Process.Kind != event.KindSignaled
	})
}

// When a run is interrupted, the trials under way are recorded as far as they got.
func TestInterruptedRun(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var once sync.Once
	l := trials.Run{Engine: &Lab{Counterd: counterd}, Runs: t.TempDir(), OnProgress: func(p trials.Progress) {
		if len(p.Running) == 2 && p.Running[0].Succeeded > 0 && p.Running[1].Succeeded > 0 {
			once.Do(cancel)
		}
	}}
	dir, err := l.Do(ctx, labtest.Design(t, `
repeats: 9
parallel: 2
factors: {calls: 1000000, service_time: 5ms, timeout: 0s}
`))
	if err != nil {
		t.Fatal(err)
	}
	seen, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(seen.Trials) != 2 || !seen.Manifest.Interrupted || seen.Manifest.Ended.IsZero() {
		t.Fatalf("%d trials, %+v", len(seen.Trials), seen.Manifest)
	}
	for _, trial := range seen.Trials {
		interrupted := 0
		for _, c := range trial.Calls {
			switch c.Result {
			case record.ResultInterrupted:
				interrupted++
			case record.ResultFailed:
				t.Errorf("trial %d: call %d failed, want it interrupted or successful", trial.Number, c.Number)
			}
		}
		if !trial.Interrupted || interrupted > 5 || len(trial.Calls) == interrupted {
			t.Errorf("trial %d: %d of %d calls interrupted, want 0 to 5 and others that ended; %+v", trial.Number, interrupted, len(trial.Calls), trial.Trial)
		}
	}
}

// If the program of the replicas exits at once, the error has its output.
func TestBrokenProgram(t *testing.T) {
	t.Parallel()
	l := trials.Run{Engine: &Lab{Counterd: "testdata/broken"}, Runs: t.TempDir()}
	dir, err := l.Do(t.Context(), labtest.Design(t, "repeats: 3"))
	if err == nil || !strings.Contains(err.Error(), "no luck") || !strings.Contains(err.Error(), "trial 1: replica ") {
		t.Errorf("got %v", err)
	}
	if seen, err := record.Open(dir); err != nil || len(seen.Trials) != 0 || !seen.Manifest.Interrupted {
		t.Errorf("got %+v, %v", seen, err)
	}
}

// A replica that ends before all are ready makes the trial fail at once, even if it was ready
// itself: without restarts it never comes back.
func TestReplicaEndsBeforeLoad(t *testing.T) {
	t.Parallel()
	c, err := launch(t.Context(), "testdata/only-a", nil, design.Defaults(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer c.end()
	waiting := make(chan error, 1)
	go func() { waiting <- c.awaitReady(t.Context()) }()
	for !c.up()[0] {
		select {
		case err := <-waiting:
			t.Fatalf("%v, before replica a was ready", err)
		case <-time.After(time.Millisecond):
		}
	}
	if err := c.supervisor.Signal(syscall.SIGTERM, "a"); err != nil {
		t.Fatal(err)
	}
	if err := <-waiting; err == nil || !strings.Contains(err.Error(), "replica a: ") || !strings.Contains(err.Error(), `"arrived":0`) {
		t.Errorf("got %v, want an error with replica a and its last output", err)
	}
}

// Do returns an error if the files of a run cannot be written, even if the run was interrupted.
func TestUnwritableRun(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var once sync.Once
	l := trials.Run{Engine: &Lab{Counterd: counterd}, Runs: t.TempDir(), OnProgress: func(p trials.Progress) {
		if len(p.Running) == 1 && p.Running[0].Succeeded > 0 {
			once.Do(func() {
				if err := os.RemoveAll(p.Dir); err != nil {
					t.Error(err)
				}
				cancel()
			})
		}
	}}
	if _, err := l.Do(ctx, labtest.Design(t, "repeats: 2\nfactors: {calls: 1000000, service_time: 5ms}")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %v", err, os.ErrNotExist)
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	var last trials.Progress
	r := trials.Run{Engine: &Lab{Counterd: counterd}, Runs: t.TempDir(), OnProgress: func(p trials.Progress) {
		if p.Ended < last.Ended || len(p.Running) > 2 {
			t.Errorf("ended %d, before %d; running %d, want at most 2", p.Ended, last.Ended, len(p.Running))
		}
		last = p
	}}
	dir, err := r.Do(t.Context(), labtest.Design(t, "repeats: 4\nparallel: 2\nfactors: {calls: 5}"))
	if err != nil {
		t.Fatal(err)
	}
	if last.Ended != 4 || last.Trials != 4 || len(last.Running) != 0 || last.Dir != dir || last.Left != 0 {
		t.Errorf("the last progress is %+v, want 4 of 4 trials ended", last)
	}
}
