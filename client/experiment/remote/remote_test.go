package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/labtest"

	"google.golang.org/protobuf/proto"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/lab"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/workload"
	faultv1 "example.com/crashlab/gen/fault/v1"
	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

// With one caller and no relaunch, every call has the same outcome as on a cluster of package lab,
// even in later trials and although the replicas have other names and incarnations.
func TestSameSeedAsInTheLab(t *testing.T) {
	t.Parallel()
	d := labtest.Design(t, `
seed: 5
repeats: 2
factors: {calls: 40, concurrency: 1, p_crash: 0.1, timeout: 0s, pause: 0s, service_time: 'uniform:1ms:2ms'}
rows:
  - {name: original}
  - {name: two replicas, replicas: 2, order: round-robin, rounds: 1}
  - {name: crash before the reply, crash_point: reply, order: sticky}
`)
	local := run(t, &lab.Lab{Counterd: counterd}, d)
	remote := run(t, New(target(machine(t, "counter-0", "counter-1"), machine(t, "counter-2")), nil), d)
	if len(remote.Trials) != 6 || remote.Manifest.Engine != record.EngineCluster {
		t.Fatalf("%d trials on %s, want 6 on %s", len(remote.Trials), remote.Manifest.Engine, record.EngineCluster)
	}
	for i, trial := range remote.Trials {
		got, want := outcomes(trial.Calls), outcomes(local.Trials[i].Calls)
		if got != want {
			t.Errorf("%s: on the cluster\n%s\nin the lab\n%s", d.Cells[trial.Cell].Title(), got, want)
		}
		if !strings.Contains(got, "lost") {
			t.Errorf("%s: no crash", d.Cells[trial.Cell].Title())
		}
		if r := trial.Remote["b"]; r.Name != "counter-1" || r.FirstIncarnation < 2 {
			t.Errorf("trial %d: replica b is %+v, want counter-1 with a first incarnation of 2 or more", trial.Number, r)
		}
	}
}

// outcomes returns a line for each call with its result and the outcomes of its attempts.
func outcomes(calls []record.Call) string {
	var b strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&b, "%d %v %s %d %d", c.Number, c.Result, c.Replica, c.Incarnation, c.Value)
		for _, a := range c.Attempts {
			fmt.Fprintf(&b, " %s %v", a.Replica, a.Outcome)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// The records pass the checks although replicas are killed, crash and are relaunched, on machines
// whose clocks are off by hours. No process serves a request with the faults of its command line,
// with which every request would crash it.
func TestCrashesAndRelaunches(t *testing.T) {
	t.Parallel()
	d := labtest.Design(t, `
repeats: 1
factors: {p_crash: [0, 0.3], restart_delay: 20ms, service_time: 1ms, when_down: wait, rounds: 1000000, pause: 0s, timeout: 0s, calls: 1000000, order: round-robin}
schedule: [{at: 0s, signal: kill, replicas: [a, c]}]
`)
	e := skewed{New(target(machine(t, "counter-0", "counter-1"), machine(t, "counter-2")), nil)}
	if err := e.Prepare(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	for _, trial := range d.Trials() {
		ctx, enough := context.WithCancel(t.Context())
		again := map[string]bool{}
		seen, err := e.Trial(ctx, d, trial, trials.Watch{Call: func(r workload.Record) {
			if again[r.Replica] = again[r.Replica] || r.Incarnation > 1; again["a"] && again["c"] {
				enough()
			}
		}})
		enough()
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range check.Trial(seen) {
			t.Errorf("trial %d: %s: %s", trial.Number, v.Check, v.Detail)
		}
		crashes := 0
		for _, e := range seen.Events {
			if e.Count != nil && e.Count.Crash > 0 {
				crashes++
			}
		}
		if p := d.Cells[trial.Cell].Settings.PCrash; p == 0 && crashes > 0 {
			t.Errorf("%d crashes with p_crash 0", crashes)
		}
		for i, name := range []string{"a", "b", "c"} {
			want := -time.Duration(1+i/2) * time.Hour
			r := seen.Remote[name]
			if off := (r.ClockOffset - want).Abs(); off > r.ClockError {
				t.Errorf("replica %s: clock offset %v ± %v, want %v", name, r.ClockOffset, r.ClockError, want)
			}
		}
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

// A run scales a single supervisor, and restores everything it has changed, even if it is
// interrupted.
func TestRestoresCluster(t *testing.T) {
	t.Parallel()
	addr := machine(t, "one", "two")
	before := describe(t, addr)
	d := labtest.Design(t, "repeats: 1\nfactors: {replicas: [1, 4], restart_delay: none, calls: 10, service_time: 1ms}")
	seen := run(t, New(target(addr), nil), d)
	for _, trial := range seen.Trials {
		if n := d.Cells[trial.Cell].Settings.Replicas; len(trial.Addrs) != n || len(trial.Remote) != n {
			t.Errorf("a trial has %d addresses, want %d", len(trial.Addrs), n)
		}
	}
	if after := describe(t, addr); !slices.Equal(after, before) {
		t.Errorf("after the run\n%q\nbefore it\n%q", after, before)
	}

	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var once sync.Once
	r := trials.Run{Engine: New(target(addr), nil), Runs: t.TempDir(), OnProgress: func(p trials.Progress) {
		if len(p.Running) == 1 && p.Running[0].Succeeded > 0 {
			once.Do(interrupt)
		}
	}}
	dir, err := r.Do(ctx, labtest.Design(t, "factors: {replicas: 3, calls: 1000000, timeout: 0s}"))
	if err != nil {
		t.Fatal(err)
	}
	if run, err := record.Open(dir); err != nil || len(run.Trials) != 1 || !run.Trials[0].Interrupted {
		t.Errorf("an interrupted run has %d trials, %v; want one interrupted trial", len(run.Trials), err)
	}
	if after := describe(t, addr); !slices.Equal(after, before) {
		t.Errorf("after the interrupted run\n%q\nbefore it\n%q", after, before)
	}
}

// describe returns a line for each replica of a supervisor with its address, policy and faults. The
// first time, it also changes a fault of the first replica, which a run must restore.
func describe(t *testing.T, addr string) []string {
	t.Helper()
	e := New(target(addr), nil)
	var err error
	if e.cluster, err = cluster.Connect(t.Context(), e.target, e.credentials); err != nil {
		t.Fatal(err)
	}
	defer e.cluster.Close()
	if err := e.awaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all []string
	for i, r := range e.cluster.Replicas {
		faults, err := e.cluster.Faults(t.Context(), r)
		if err == nil && i == 0 && r.Status.GetIncarnation() == 1 {
			_, err = e.cluster.SetFaults(t.Context(), r, &faultv1.SetRequest{ErrorProbability: proto.Float64(0.25), ErrorCode: proto.String("ABORTED")})
			faults.ErrorProbability, faults.ErrorCode = 0.25, "ABORTED"
		}
		if err != nil {
			t.Fatal(err)
		}
		faults.Plan = nil
		all = append(all, fmt.Sprint(r.Name, r.Addr, r.Status.GetPolicy(), faults))
	}
	return all
}

// A design that the cluster cannot run is refused in one line, and nothing is restarted.
func TestRefusesUnsupportedDesigns(t *testing.T) {
	t.Parallel()
	a, b := machine(t, "a", "b"), machine(t, "c")
	_, port, err := net.SplitHostPort(a)
	if err != nil {
		t.Fatal(err)
	}
	control, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		design string
		target cluster.Target
		want   string
	}{
		{"factors: {replicas: [3, 4]}", target(a, b), `cell "replicas 4": replicas 4: the cluster has 3, under 2 supervisors`},
		{"factors: {replicas: 26}", target(a), `cell "all trials": replicas 26: the cluster has 2, and more are refused: `},
		{"factors: {capacity: [0, 2]}", target(a, b), `cell "capacity 2": capacity 2: replica a has 0, which nothing can change`},
		{"factors: {p_crash: [0.1, 0.2]}", cluster.Target{Control: []string{a}, FaultPort: control},
			`cell "p_crash 0.1": p_crash 0.1: it is set through fault.v1.Fault, which replica a does not serve at 127.0.0.1:` + port},
	} {
		_, err := (&trials.Run{Engine: New(test.target, nil), Runs: t.TempDir()}).Do(t.Context(), labtest.Design(t, test.design))
		if _, ok := errors.AsType[*Refused](err); !ok || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one line beginning with %q", test.design, err, test.want)
		}
	}
	connected, err := cluster.Connect(t.Context(), target(a, b), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	for _, r := range connected.Replicas {
		if r.Status.GetIncarnation() != 1 || r.Status.GetState() != supervisorv1.State_STATE_READY {
			t.Errorf("replica %s: %v, incarnation %d; want it ready in its first incarnation", r.Name, r.Status.GetState(), r.Status.GetIncarnation())
		}
	}
}

// A cluster with a stopped replica is refused, because a run could not restore it.
func TestRefusesStoppedReplica(t *testing.T) {
	t.Parallel()
	addr := machine(t, "a", "b")
	connected, err := cluster.Connect(t.Context(), target(addr), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer connected.Close()
	if _, err := connected.Supervisors[0].Stop(t.Context(), &supervisorv1.StopRequest{Names: []string{"b"}}); err != nil {
		t.Fatal(err)
	}
	_, err = (&trials.Run{Engine: New(target(addr), nil), Runs: t.TempDir()}).Do(t.Context(), labtest.Design(t, "repeats: 1"))
	if err == nil || !strings.HasPrefix(err.Error(), "replica b of the supervisor at "+addr+" is down") {
		t.Errorf("got %v, want that replica b is down", err)
	}
}
