package session

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/live"
	"example.com/crashlab/client/report"
	"example.com/crashlab/supervisor/spec"
)

// Every command to replicas affects the real processes, and the state shows it.
func TestReplicaCommands(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, 5)
	s := c.attach("")
	b := []string{"b"}
	ready := func(name string, incarnation int) func(live.State) bool {
		return func(now live.State) bool {
			r := replica(now, name)
			return r.State == live.ReplicaReady && r.Incarnation == incarnation
		}
	}

	before := c.status("b").PID
	s.do(live.Command{Do: live.ActionKill, Replicas: b})
	now := s.await("relaunch of b", ready("b", 2))
	if crash := now.Crashes.Items; len(crash) != 1 || crash[0].Replica != "b" || crash[0].Exit != "SIGKILL" || replica(now, "b").PID == before {
		t.Errorf("killed: %+v, %+v", crash, replica(now, "b"))
	}

	s.do(live.Command{Do: live.ActionStop, Replicas: []string{"c"}})
	s.await("hanging c", func(now live.State) bool {
		return replica(now, "c").State == live.ReplicaHung && isStopped(c.status("c").PID)
	})
	s.do(live.Command{Do: live.ActionContinue, Replicas: []string{"c"}})
	s.await("c going on", ready("c", 1))

	s.do(live.Command{Do: live.ActionRestart, Replicas: []string{"a"}})
	if now = s.await("restart of a", ready("a", 2)); replica(now, "a").Crashes != 0 {
		t.Errorf("restarted: %+v", now.Crashes)
	}

	s.do(live.Command{Do: live.ActionKill})
	for name, incarnation := range map[string]int{"a": 3, "b": 3, "c": 2} {
		s.await("relaunch of "+name, ready(name, incarnation))
	}

	s.do(live.Command{Do: live.ActionRelaunch, Set: map[string]string{"delay": "30ms", "backoff_factor": "1.5", "backoff_max": "1s"}})
	if p := c.supervisor.Current()[0].Policy; p.Delay != 30*time.Millisecond || p.Backoff.Factor != 1.5 || p.Backoff.Max != time.Second {
		t.Errorf("policy %+v", p)
	}
	s.await("the policy in the state", func(now live.State) bool { return now.Groups[0].Relaunch["delay"] == "30ms" })

	s.do(live.Command{Do: live.ActionScale, Count: new(5)})
	s.do(live.Command{Do: live.ActionLoad, Set: map[string]string{"order": "round-robin"}})
	s.await("answers of e", func(now live.State) bool {
		return replica(now, "e").State == live.ReplicaReady && slices.ContainsFunc(now.Loads[0].Links, func(l live.Link) bool { return l.Replica == "e" && l.OK > 0 })
	})
	s.do(live.Command{Do: live.ActionScale, Count: new(2)})
	s.await("two replicas", func(now live.State) bool { return len(now.Replicas) == 2 && len(now.Loads[0].Links) == 2 })
}

// Faults of one replica or of all are set in the real processes, and again after a relaunch.
func TestFaults(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, 2)
	s := c.attach("")
	s.do(live.Command{Do: live.ActionFaults, Replicas: []string{"b"}, Set: map[string]string{"service_time": "3ms", "error_probability": "0.25", "error_code": "INTERNAL", "crash_point": "reply"}})
	s.do(live.Command{Do: live.ActionFaults, Set: map[string]string{"hang": "true"}})
	for _, name := range []string{"a", "b"} {
		f := c.faults(name)
		if mine := name == "b"; !f.GetHang() || mine != (f.GetServiceTime() == "3ms" && f.GetErrorProbability() == 0.25 && f.GetErrorCode() == "INTERNAL" && f.GetCrashPoint() == 2) {
			t.Errorf("%s: %v", name, f)
		}
		s.await("hanging "+name, func(now live.State) bool { return replica(now, name).State == live.ReplicaHung })
	}

	s.do(live.Command{Do: live.ActionKill, Replicas: []string{"b"}})
	now := s.await("the faults of b after its relaunch", func(now live.State) bool {
		r := replica(now, "b")
		return r.Incarnation == 2 && r.Faults["hang"] == "true"
	})
	if r := replica(now, "b"); r.Kept["service_time"] != "3ms" || r.State != live.ReplicaHung {
		t.Errorf("relaunched: %+v", r)
	}
	if f := c.faults("b"); !f.GetHang() || f.GetServiceTime() != "3ms" {
		t.Errorf("relaunched: %v", f)
	}

	s.do(live.Command{Do: live.ActionFaults, Set: map[string]string{"hang": "false", "crash_probability": "1"}})
	s.await("crashes after relaunches", func(now live.State) bool { return replica(now, "a").Crashes > 1 && replica(now, "b").Crashes > 1 })

	s.do(live.Command{Do: live.ActionFaults, Replicas: []string{"b"}})
	s.await("b without kept faults", func(now live.State) bool {
		r := replica(now, "b")
		return r.Kept == nil && r.State == live.ReplicaReady && r.Faults["crash_probability"] == "0"
	})
}

// No call of a load reaches a relaunched replica before its faults are set, even if the supervisor
// never reports it as ready. With the faults of its command line, every request would crash it.
func TestFaultsPrecedeCalls(t *testing.T) {
	t.Parallel()
	c := startReplicas(t, 1, 1, spec.Probe{Kind: spec.ProbeNotify}, "--p-crash=1")
	s := play(t, Config{Cluster: &cluster.Target{Control: []string{c.control}}})
	s.await("crashes", func(now live.State) bool { return replica(now, "a").Crashes > 0 })
	s.do(live.Command{Do: live.ActionFaults, Set: map[string]string{"crash_probability": "0"}})
	before := s.await("an answer", func(now live.State) bool { return now.Loads[0].Total.OK > 0 })
	for range 5 {
		incarnation := replica(s.State(), "a").Incarnation
		s.do(live.Command{Do: live.ActionRestart})
		s.await("the next process", func(now live.State) bool { return replica(now, "a").Incarnation > incarnation })
		answers := s.State().Loads[0].Total.OK
		s.await("answers", func(now live.State) bool { return now.Loads[0].Total.OK > answers+10 })
	}
	if crashes := replica(s.State(), "a").Crashes - replica(before, "a").Crashes; crashes != 0 {
		t.Errorf("%d crashes after they were turned off", crashes)
	}
}

// Two loads are changed while they run, and no call fails because of it.
func TestLoadCommands(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, 2)
	s := c.attach("")
	s.do(live.Command{Do: live.ActionLoad, Load: "B", On: new(true), Preset: live.PresetRecommended, Set: map[string]string{"concurrency": "3"}})
	for i := range 10 {
		before := s.State()
		s.do(live.Command{Do: live.ActionLoad, Set: map[string]string{"rounds": fmt.Sprint(i + 3), "deadline": "1m", "timeout": "1m"}})
		s.do(live.Command{Do: live.ActionLoad, Load: "B", Set: map[string]string{"hedge_share": "0.5", "concurrency": fmt.Sprint(i + 1)}})
		s.await("calls under the new settings", func(now live.State) bool {
			return now.Loads[0].Total.OK > before.Loads[0].Total.OK+20 && now.Loads[1].Total.OK > before.Loads[1].Total.OK+20
		})
	}
	now := s.do(live.Command{Do: live.ActionLoad, Set: map[string]string{"rate": "200", "arrivals": "poisson"}})
	if p := now.Plans[0]; p.Settings["rounds"] != "12" || p.Settings["rate"] != "200" || p.Preset != "" {
		t.Errorf("plan %+v", p)
	}
	s.do(live.Command{Do: live.ActionLoad, Load: "B", On: new(false)})
	now = s.await("the end of B", func(now live.State) bool { return !now.Plans[1].On && now.Loads[1].UnderWay == 0 })
	for _, l := range now.Loads {
		if l.Total.Failed != 0 || l.Total.OK == 0 {
			t.Errorf("load %s: %+v", l.ID, l.Total)
		}
	}
	i := lastIndex(now.Attempts.Items, func(a live.Attempt) bool { return a.Load == "B" })
	if i < 0 {
		t.Fatal("no attempt of B is drawn")
	}
	number := now.Attempts.Items[i].Call
	if way, ok := s.Call("B", number); !ok || way.Number != number || way.Result != live.ResultOK || len(way.Attempts) == 0 || way.Replica == "" {
		t.Errorf("call %d: %v, %+v; want it ok, with its attempts", number, ok, way)
	}
	before := now.Loads[1].Total.OK
	s.do(live.Command{Do: live.ActionLoad, Load: "B", On: new(true)})
	now = s.await("B counting anew", func(now live.State) bool { return now.Loads[1].Total.OK > 0 && now.Plans[1].On })
	if got := now.Loads[1].Total.OK; got > s.loads[1].calls.Load()-before {
		t.Errorf("load B counts %d calls after a new start, and %d before: want it to begin at zero", got, before)
	}
}

func lastIndex[T any](list []T, is func(T) bool) int {
	for i, v := range slices.Backward(list) {
		if is(v) {
			return i
		}
	}
	return -1
}

// A recording is a run with a trial for each load. It can be reported, and its records pass the
// checks.
func TestRecording(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 3, 3)
	s := c.attach(t.TempDir())
	s.do(live.Command{Do: live.ActionLoad, Load: "B", On: new(true), Preset: live.PresetRecommended})
	s.do(live.Command{Do: live.ActionRecord, On: new(true)})
	s.do(live.Command{Do: live.ActionKill, Replicas: []string{"b"}})
	s.await("calls that are recorded", func(now live.State) bool {
		return now.Recording.On && now.Recording.Calls > 50 && replica(now, "b").Incarnation == 2 && replica(now, "b").State == live.ReplicaReady
	})
	if _, err := s.Do(t.Context(), live.Command{Do: live.ActionRecord, On: new(true)}); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a second recording: got %v, want an error", err)
	}
	s.do(live.Command{Do: live.ActionRecord, On: new(false)})
	now := s.await("the folder of the run", func(now live.State) bool { return now.Recording.Dir != "" })
	if now.Recording.Error != "" || now.Recording.On {
		t.Errorf("recording %+v", now.Recording)
	}
	run, err := record.Open(now.Recording.Dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(run.Trials) != 2 || len(run.Trials[0].Calls)+len(run.Trials[1].Calls) != now.Recording.Calls || !strings.Contains(run.Manifest.Design.Question, "kill b at ") || run.Manifest.Engine != record.EngineLive {
		t.Errorf("%d trials, %d calls recorded, question %q", len(run.Trials), now.Recording.Calls, run.Manifest.Design.Question)
	}
	summary := experiment.Summarize(run)
	for i, cell := range summary.Cells {
		for _, trial := range cell.Trials {
			if len(trial.Violations) > 0 || trial.Replicas["b"].Crashes != 1 || trial.Succeeded == 0 {
				t.Errorf("cell %d: %+v", i, trial)
			}
		}
	}
	var page bytes.Buffer
	if err := report.HTML(&page, run, summary); err != nil || page.Len() == 0 {
		t.Errorf("report: %v", err)
	}
}

// When a session ends, it writes the recording that is on.
func TestRecordingAtEnd(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1, 1)
	runs := t.TempDir()
	t.Run("session", func(t *testing.T) {
		c := &testCluster{t: t, supervisor: c.supervisor, control: c.control}
		s := c.attach(runs)
		s.do(live.Command{Do: live.ActionRecord, On: new(true)})
		s.await("calls that are recorded", func(now live.State) bool { return now.Recording.Calls > 0 })
	})
	if run, err := record.Open(runs + "/latest"); err != nil || len(run.Trials) != 1 || len(run.Trials[0].Calls) == 0 {
		t.Errorf("%v, %+v", err, run)
	}
}

// A session with more replicas than a run can have is not recorded.
func TestRecordingOfTooManyReplicas(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 27, 27)
	s := c.attach(t.TempDir())
	_, err := s.Do(t.Context(), live.Command{Do: live.ActionRecord, On: new(true)})
	const want = `load A cannot be recorded: replicas "27": want a whole number from 1 to 26`
	if refused, ok := errors.AsType[*live.Refusal](err); !ok || refused.Status != http.StatusConflict || err.Error() != want {
		t.Errorf("got %v, want status 409 with %q", err, want)
	}
	if now := s.State().Recording; now.On {
		t.Errorf("recording %+v", now)
	}
}

// Invalid commands are refused with a status and what is allowed, and change nothing.
func TestBadCommands(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, 2)
	s := c.attach("")
	for _, x := range []struct {
		command live.Command
		status  int
		want    string
	}{
		{live.Command{Do: "crash"}, 400, `do "crash": want one of continue, faults, kill, `},
		{live.Command{Do: live.ActionKill, Replicas: []string{"z"}}, 404, `replica "z": want one of a, b`},
		{live.Command{Do: live.ActionFaults, Replicas: []string{"a"}, Set: map[string]string{"hang": "maybe"}}, 400, `hang "maybe": want true or false`},
		{live.Command{Do: live.ActionRelaunch}, 400, "nothing is set"},
		{live.Command{Do: live.ActionRelaunch, Set: map[string]string{"backoff_factor": "0.5"}}, 400, "0.5"},
		{live.Command{Do: live.ActionRelaunch, Group: "web", Set: map[string]string{"delay": "1s"}}, 404, `group "web": want ""`},
		{live.Command{Do: live.ActionScale}, 400, "count is not given: want 1 to"},
		{live.Command{Do: live.ActionScale, Count: new(0)}, 400, "count 0: want 1 to"},
		{live.Command{Do: live.ActionScale, Count: new(3)}, 400, "2"},
		{live.Command{Do: live.ActionLoad, Load: "C"}, 404, `load "C": want A or B`},
		{live.Command{Do: live.ActionLoad, Set: map[string]string{"rounds": "-1"}}, 400, `rounds "-1": want `},
		{live.Command{Do: live.ActionLoad, Set: map[string]string{"timeout": "1s", "min_timeout": "2s"}}, 400, "MinTimeout 2s: want at most the Timeout of 1s"},
		{live.Command{Do: live.ActionLoad, Preset: "best"}, 400, `preset "best": want original or recommended`},
		{live.Command{Do: live.ActionRecord, On: new(true)}, 409, "--runs"},
		{live.Command{Do: live.ActionScenario, Scenario: "none"}, 404, `scenario "none": want one of one-crash, `},
	} {
		_, err := s.Do(t.Context(), x.command)
		refused, ok := errors.AsType[*live.Refusal](err)
		if !ok || refused.Status != x.status || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: got %v, want status %d with %q", x.command, err, x.status, x.want)
		}
	}
	s.do(live.Command{Do: live.ActionScale, Count: new(1)})
	if err := c.supervisor.Stop(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	s.await("no process", func(now live.State) bool {
		return replica(now, "a").State == live.ReplicaDown && replica(now, "a").Note != ""
	})
	for _, replicas := range [][]string{{"a"}, nil} {
		_, err := s.Do(t.Context(), live.Command{Do: live.ActionKill, Replicas: replicas})
		if refused, ok := errors.AsType[*live.Refusal](err); !ok || refused.Status != http.StatusConflict {
			t.Errorf("kill %v without a process: %v", replicas, err)
		}
	}
	s.do(live.Command{Do: live.ActionRestart, Replicas: []string{"a"}})
	s.await("a", func(now live.State) bool { return replica(now, "a").State == live.ReplicaReady })
}

// Without a control service there are loads, but replicas cannot be commanded.
func TestWithoutControl(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, 2)
	s := play(t, Config{Target: "static:///" + c.status("a").Addr + "," + c.status("b").Addr})
	now := s.await("answers", func(now live.State) bool { return now.Loads[0].Total.OK > 0 })
	if now.Cluster.Control != "" || now.Cluster.Connected || len(now.Replicas) != 0 || len(now.Loads[0].Links) != 2 {
		t.Errorf("%+v, %+v", now.Cluster, now.Loads[0].Links)
	}
	_, err := s.Do(t.Context(), live.Command{Do: live.ActionKill})
	if refused, ok := errors.AsType[*live.Refusal](err); !ok || refused.Status != http.StatusConflict || !strings.Contains(err.Error(), "--control") {
		t.Errorf("kill: %v", err)
	}
	s.do(live.Command{Do: live.ActionLoad, Load: "B", On: new(true)})
}

// When the control service goes away, the session reports it, goes on calling, and reconnects by
// itself.
func TestControlLost(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, 2)
	s := c.attach("")
	c.stopControl()
	now := s.await("loss of the control service", func(now live.State) bool { return !now.Cluster.Connected })
	if !strings.Contains(now.Cluster.Error, c.control) {
		t.Errorf("%+v", now.Cluster)
	}
	_, err := s.Do(t.Context(), live.Command{Do: live.ActionKill, Replicas: []string{"a"}})
	if refused, ok := errors.AsType[*live.Refusal](err); !ok || refused.Status != http.StatusServiceUnavailable || !strings.Contains(err.Error(), "it is tried again") {
		t.Errorf("kill: %v", err)
	}
	if err := c.supervisor.Restart(t.Context(), "a"); err != nil { // unnoticed by the session
		t.Fatal(err)
	}
	calls := s.State().Loads[0].Total.OK
	s.await("calls without the control service", func(now live.State) bool { return now.Loads[0].Total.OK > calls })
	c.serve(c.control)
	now = s.await("the control service", func(now live.State) bool {
		return now.Cluster.Connected && replica(now, "a").Incarnation == 2 && replica(now, "a").State == live.ReplicaReady
	})
	var marks []string
	for _, m := range now.Marks.Items {
		marks = append(marks, m.Text)
	}
	if !slices.Contains(marks, "control service lost") || !slices.Contains(marks, "control service connected") {
		t.Errorf("marks %q", marks)
	}
	s.do(live.Command{Do: live.ActionKill, Replicas: []string{"a"}})
}

// A scenario prepares the cluster and runs by itself until another one, or none, replaces it.
func TestScenario(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, 3)
	s := c.attach("")
	s.do(live.Command{Do: live.ActionScenario, Scenario: "storm"})
	now := s.await("the first step of storm", func(now live.State) bool { return now.Scenario.Name == "storm" && now.Scenario.Done == 1 })
	if !now.Plans[1].On || now.Plans[1].Preset != live.PresetRecommended || len(c.supervisor.List()) != 3 || now.Scenario.Say == "" {
		t.Errorf("after the first step of storm: %+v, %+v", now.Scenario, now.Plans)
	}
	for _, m := range now.Marks.Items {
		if m.Error != "" {
			t.Errorf("mark %+v", m)
		}
	}
	first := s.guide.ended
	s.do(live.Command{Do: live.ActionScenario, Scenario: "one-crash"})
	select {
	case <-first:
	default:
		t.Error("the first scenario still runs after the second has begun")
	}
	now = s.await("the first step of one-crash", func(now live.State) bool { return now.Scenario.Name == "one-crash" && now.Scenario.Done == 1 })
	if now.Plans[1].On {
		t.Errorf("plans %+v", now.Plans)
	}
	s.do(live.Command{Do: live.ActionScenario})
	s.await("no scenario", func(now live.State) bool { return now.Scenario == live.Scenario{} })
}

// The state says why a cluster cannot be reached.
func TestUnreachableCluster(t *testing.T) {
	t.Parallel()
	addr := claim(t, 1)[0]
	s := play(t, Config{Cluster: &cluster.Target{Control: []string{addr}}})
	now := s.await("the reason", func(now live.State) bool { return now.Cluster.Error != "" })
	if now.Cluster.Connected || !strings.Contains(now.Cluster.Error, "no supervisor answers at "+addr) {
		t.Errorf("%+v", now.Cluster)
	}
}
