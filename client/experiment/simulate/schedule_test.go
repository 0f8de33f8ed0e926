package simulate

import (
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/labtest"

	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/supervisor/event"
)

// trialOf simulates the first trial of a design.
func trialOf(t *testing.T, text string) record.TrialRecords {
	t.Helper()
	d := labtest.Design(t, text)
	seen, err := (&Engine{Model: DefaultModel()}).Trial(t.Context(), d, d.Trials()[0], trials.Watch{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range check.Trial(seen) {
		t.Errorf("%s: %s", v.Check, v.Detail)
	}
	return seen
}

// attempts returns how many attempts ended with an outcome.
func attempts(seen record.TrialRecords, o failover.Outcome) (n int) {
	for _, c := range seen.Calls {
		for _, a := range c.Attempts {
			if a.Outcome == o {
				n++
			}
		}
	}
	return n
}

// When a stopped replica resumes, it answers the requests that it had and then takes those that
// arrived meanwhile.
func TestStoppedReplicaResumes(t *testing.T) {
	seen := trialOf(t, "factors: {calls: 60, concurrency: 2, replicas: 1, p_crash: 0, service_time: 100ms, capacity: 1, timeout: 0s, deadline: 20s}\n"+
		"schedule: [{at: 1050ms, signal: stop}, {at: 3s, signal: cont}]")
	late := 0
	for _, c := range seen.Calls {
		if c.Result != record.ResultOK {
			t.Errorf("call %d failed", c.Number)
		}
		switch end := c.End(); {
		case c.Start < 1050*time.Millisecond && end > 1050*time.Millisecond:
			late++
			if end < 3*time.Second || end > 3200*time.Millisecond {
				t.Errorf("call %d was in the replica when it stopped and ended at %v, want 3s to 3.2s", c.Number, end)
			}
		case end > 1050*time.Millisecond && end < 3*time.Second:
			t.Errorf("call %d ended at %v, while the replica was stopped", c.Number, end)
		}
	}
	if late != 2 {
		t.Errorf("%d calls had to wait, want one of each of two callers", late)
	}
}

// Calls to a stopped replica time out until the client ejects it and sends its share to the others.
func TestStoppedReplicaIsEjected(t *testing.T) {
	seen := trialOf(t, "factors: {duration: 20s, concurrency: 3, replicas: 3, p_crash: 0, service_time: 20ms, timeout: 200ms, order: round-robin}\n"+
		"schedule: [{at: 1s, signal: stop, replicas: [b]}]")
	if n := attempts(seen, failover.OutcomeTimeout); n < 3 || n > 30 {
		t.Errorf("%d attempts timed out, want 3 to 30 before the replica is ejected", n)
	}
	for _, c := range seen.Calls {
		if c.Result != record.ResultOK {
			t.Fatalf("call %d failed", c.Number)
		}
	}
}

// A killed replica loses its request in flight, reports no counts, and is relaunched after the
// restart delay, even if it was stopped.
func TestKilledReplicaIsRelaunched(t *testing.T) {
	for _, stop := range []string{"", "{at: 500ms, signal: stop}, "} {
		seen := trialOf(t, "factors: {calls: 40, concurrency: 1, replicas: 1, p_crash: 0, service_time: 100ms, timeout: 0s, when_down: wait, rounds: 9, restart_delay: 500ms}\n"+
			"schedule: ["+stop+"{at: 1050ms, signal: kill}]")
		if n := attempts(seen, failover.OutcomeLost); n != 1 {
			t.Errorf("%d attempts were lost, want the one in flight", n)
		}
		var reports, killed int
		var launched, exited time.Duration
		for _, e := range seen.Events {
			switch p := e.Process; {
			case e.Count != nil && e.Count.Incarnation == 1:
				reports++
			case p == nil:
			case p.Kind == event.KindSignaled && p.Signal == syscall.SIGKILL:
				killed++
			case p.Kind == event.KindExited && p.Incarnation == 1:
				exited = e.At
				if p.Exit.Signal != syscall.SIGKILL {
					t.Errorf("exit %v, want SIGKILL", p.Exit)
				}
			case p.Kind == event.KindLaunched && p.Incarnation == 2:
				launched = e.At
			}
		}
		if killed != 1 || reports != 0 || exited != 1050*time.Millisecond || launched != exited+time.Duration(DefaultModel().Relaunch.Median)+500*time.Millisecond {
			t.Errorf("killed %d times, %d reports, exit at %v, launch at %v", killed, reports, exited, launched)
		}
	}
}

// A dial to a stopped replica connects when the replica resumes, and fails if it is killed.
func TestDialStoppedReplica(t *testing.T) {
	for _, signal := range []string{"cont", "kill"} {
		seen := trialOf(t, "factors: {calls: 20, concurrency: 1, replicas: 1, p_crash: 0, service_time: 10ms, timeout: 0s, when_down: wait, rounds: 9, restart_delay: 100ms, deadline: 20s}\n"+
			"schedule: [{at: 55ms, signal: kill}, {at: 163ms, signal: stop}, {at: 2s, signal: "+signal+"}]")
		for _, c := range seen.Calls {
			if end := c.End(); c.Result != record.ResultOK || end > 163*time.Millisecond && end < 2*time.Second {
				t.Errorf("%s: call %d: %v at %v, want ok, and not while the replica is stopped", signal, c.Number, c.Result, end)
			}
		}
		if n := attempts(seen, failover.OutcomeLost); n != 1 {
			t.Errorf("%s: %d attempts were lost, want the one of the first kill", signal, n)
		}
	}
}

// A terminated replica answers its requests in flight, takes no more, and is relaunched after the
// restart delay.
func TestReplicaDrains(t *testing.T) {
	seen := trialOf(t, "factors: {calls: 120, concurrency: 4, replicas: 2, p_crash: 0, service_time: 100ms, timeout: 0s, when_down: wait, order: least-in-flight, restart_delay: 500ms}\n"+
		"schedule: [{at: 1050ms, signal: term, replicas: [a]}]")
	var exited, launched time.Duration
	for _, e := range seen.Events {
		switch p := e.Process; {
		case p == nil || p.Replica != "a":
		case p.Kind == event.KindExited && p.Incarnation == 1:
			exited = e.At
			if !p.Exit.Success() {
				t.Errorf("exit %v, want success", p.Exit)
			}
		case p.Kind == event.KindLaunched && p.Incarnation == 2:
			launched = e.At
		}
	}
	if exited < 1050*time.Millisecond || exited > 1160*time.Millisecond || launched != exited+time.Duration(DefaultModel().Relaunch.Median)+500*time.Millisecond {
		t.Errorf("exit at %v, launch at %v", exited, launched)
	}
	again := 0
	for _, c := range seen.Calls {
		if len(c.Attempts) != 1 || c.Result != record.ResultOK {
			t.Errorf("call %d: %v after %d attempts, want ok after 1", c.Number, c.Result, len(c.Attempts))
		}
		for _, a := range c.Attempts {
			switch {
			case a.Replica != "a" || a.Start < 1051*time.Millisecond:
			case a.Start < launched:
				t.Errorf("call %d was sent to a draining replica", c.Number)
			default:
				again++
			}
		}
	}
	if again == 0 {
		t.Error("no call was sent to the relaunched replica")
	}
}
