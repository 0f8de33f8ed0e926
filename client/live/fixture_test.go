package live_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"math"
	"os"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/live"
	"example.com/crashlab/client/workload"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
)

var update = flag.Bool("update", false, "rewrite testdata/fixture.json")

// fixture is what a page receives during some seconds of an invented session, for tests of pages.
type fixture struct {
	About live.About  `json:"about"`
	State live.State  `json:"state"`
	Diffs []live.Diff `json:"diffs"` // ten a second
	Call  live.Call   `json:"call"`  // a call with several attempts
}

// The file testdata/fixture.json is up to date.
func TestFixture(t *testing.T) {
	text, err := json.Marshal(makeFixture())
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile("testdata/fixture.json", text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	was, err := os.ReadFile("testdata/fixture.json")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(was, text) {
		t.Error("testdata/fixture.json is not what the fold makes: check the difference, then run the test with -update")
	}
}

// world invents a session with three replicas and two loads. One replica crashes, one hangs and is
// killed, and a fourth is added.
type world struct {
	fold  *live.Fold
	began time.Time
	frame int
	calls map[string]int
}

const (
	framesBefore = 30 // of the state
	framesAfter  = 90 // of the differences
)

func makeFixture() fixture {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	w := &world{fold: live.NewFold("fixture", began, "A", "B"), began: began, calls: map[string]int{}}
	w.begin()
	for range framesBefore {
		w.next()
	}
	f := fixture{State: w.fold.State(), About: live.About{
		Version: "fixture", Settings: live.SettingsFields(), Faults: live.FaultFields(), Relaunch: live.RelaunchFields(),
		Presets: live.Presets(), Scenarios: live.Scenarios(), Recordings: "runs",
	}}
	last := f.State
	for range framesAfter {
		w.next()
		now := w.fold.State()
		f.Diffs = append(f.Diffs, live.Difference(last, now))
		last = now
	}
	for n := 1; n < w.calls["A"]; n++ {
		if c, ok := w.fold.Call("A", n); ok && len(c.Attempts) > 1 {
			f.Call = c
		}
	}
	return f
}

func (w *world) begin() {
	w.apply(0, live.ClusterChanged{Control: "127.0.0.1:7100", Target: "static:///127.0.0.1:7101,127.0.0.1:7102,127.0.0.1:7103", Own: true, Connected: true})
	w.list("a", "b", "c")
	for i, id := range []string{"A", "B"} {
		preset := live.Presets()[i].Name
		s, err := live.DefaultSettings().With(preset, nil)
		if err != nil {
			panic(err)
		}
		w.apply(0, live.LoadChanged{Load: id, On: true, Settings: s.Values(), Preset: s.Preset(), Began: true})
	}
}

func (w *world) apply(at int, e live.Event) {
	w.fold.Apply(w.began.Add(time.Duration(at)*time.Millisecond), e)
}

var addrs = map[string]string{"a": "127.0.0.1:7101", "b": "127.0.0.1:7102", "c": "127.0.0.1:7103", "d": "127.0.0.1:7104"}

func (w *world) list(replicas ...string) {
	l := live.ReplicasListed{Anew: w.frame == 0, Groups: []live.Group{{Count: len(replicas), Relaunch: map[string]string{
		"restart": "always", "delay": "500ms", "backoff_factor": "0", "backoff_max": "0s", "backoff_jitter": "0", "backoff_reset": "0s",
	}}}}
	for i, name := range replicas {
		l.Replicas = append(l.Replicas, live.ReplicaStatus{
			Name: name, Addr: addrs[name], State: live.ReplicaReady, Since: w.began.Add(-time.Second), Incarnation: 1, PID: 4001 + i,
		})
	}
	w.apply(100*w.frame, l)
	for _, name := range replicas {
		w.apply(100*w.frame, live.FaultsChanged{Replica: name, Faults: map[string]string{
			"crash_probability": "0.3", "crash_point": "arrival", "service_time": "uniform:10ms:50ms", "hang": "false",
			"error_probability": "0", "error_code": "UNAVAILABLE",
		}})
	}
}

// next makes the events of the next frame.
func (w *world) next() {
	at := 100 * w.frame
	process := func(after int, e event.Event) {
		e.Time = w.began.Add(time.Duration(at+after) * time.Millisecond)
		w.apply(at+after, live.ProcessEvent(e))
	}
	relaunch := restart.Decision{Relaunch: true, Delay: 500 * time.Millisecond}
	switch w.frame {
	case 40:
		w.apply(at+10, live.Marked{Kind: live.MarkCommand, Text: "kill b", Replicas: []string{"b"}})
		process(12, event.Event{Kind: event.KindExited, Replica: "b", Incarnation: 1, Exit: restart.Exit{Signal: syscall.SIGKILL, Code: -1}, Next: relaunch})
	case 45:
		process(15, event.Event{Kind: event.KindLaunched, Replica: "b", Incarnation: 2, PID: 4011})
		process(28, event.Event{Kind: event.KindReady, Replica: "b", Incarnation: 2, PID: 4011})
	case 60:
		w.apply(at, live.Marked{Kind: live.MarkCommand, Text: "hang c", Replicas: []string{"c"}})
		process(1, event.Event{Kind: event.KindSignaled, Replica: "c", Incarnation: 1, Signal: syscall.SIGSTOP})
	case 65:
		w.apply(at+40, live.LinkChanged{Load: "A", Event: failover.ReplicaEvent{Replica: addrs["c"], State: failover.ReplicaEjected}})
	case 75:
		process(0, event.Event{Kind: event.KindKilled, Replica: "c", Incarnation: 1, Reason: "it is unhealthy"})
		process(1, event.Event{Kind: event.KindExited, Replica: "c", Incarnation: 1, Exit: restart.Exit{Signal: syscall.SIGKILL, Code: -1}, Next: relaunch})
	case 80:
		process(1, event.Event{Kind: event.KindLaunched, Replica: "c", Incarnation: 2, PID: 4012})
		process(15, event.Event{Kind: event.KindReady, Replica: "c", Incarnation: 2, PID: 4012})
		w.apply(at+60, live.LinkChanged{Load: "A", Event: failover.ReplicaEvent{Replica: addrs["c"], State: failover.ReplicaReady}})
	case 95:
		w.apply(at, live.Marked{Kind: live.MarkCommand, Text: "cluster: replicas 4"})
		w.list("a", "b", "c", "d")
	}
	for i := range 4 {
		w.call("A", i)
		w.call("B", i)
	}
	w.frame++
	w.apply(100*w.frame, live.Tick{Samples: []live.Sample{w.sample("A"), w.sample("B")}})
}

// down returns the outcome of an attempt at a replica in this frame, and whether the attempt fails.
func (w *world) down(replica string) (failover.Outcome, bool) {
	switch {
	case replica == "b" && w.frame == 40:
		return failover.OutcomeLost, true
	case replica == "b" && w.frame > 40 && w.frame <= 45:
		return failover.OutcomeRefused, true
	case replica == "c" && w.frame >= 60 && w.frame < 65:
		return failover.OutcomeTimeout, true
	case replica == "c" && w.frame > 75 && w.frame <= 80:
		return failover.OutcomeRefused, true
	}
	return failover.OutcomeOK, false
}

// call makes a call that tries one replica after the other until one answers.
func (w *world) call(load string, i int) {
	w.calls[load]++
	n := w.calls[load]
	start := w.began.Add(time.Duration(100*w.frame+7*i) * time.Millisecond)
	r := workload.Record{Call: n, Intended: start, Start: start}
	at := start
	for k := range 3 {
		replica := string(rune('a' + (n+k)%3))
		took := time.Duration(10+n*37%40) * time.Millisecond
		outcome, down := w.down(replica)
		a := failover.Attempt{Replica: addrs[replica], Number: k + 1, Round: 1, Start: at, Duration: took, Outcome: outcome, Sent: outcome != failover.OutcomeRefused}
		switch outcome {
		case failover.OutcomeLost, failover.OutcomeRefused:
			a.Duration, a.Err = time.Millisecond, status.Error(codes.Unavailable, "connection refused")
		case failover.OutcomeTimeout:
			a.Duration, a.Err = time.Second, status.Error(codes.DeadlineExceeded, "too late")
		}
		at = at.Add(a.Duration)
		r.Attempts = append(r.Attempts, a)
		w.fold.Apply(at, live.AttemptEnded{Load: load, Call: n, Attempt: a})
		if !down {
			r.Replica, r.Incarnation, r.Value = replica, 1, uint64(n)
			break
		}
	}
	if r.Replica == "" {
		r.Err = r.Attempts[2].Err
	}
	r.Duration = at.Sub(start)
	w.fold.Apply(at, live.CallEnded{Load: load, Record: r})
}

func (w *world) sample(load string) live.Sample {
	s := live.Sample{Load: load, UnderWay: 5, Statistics: failover.Statistics{Ejections: int64(w.frame / 66), Budget: math.Inf(1)}}
	if load == "B" {
		s.Limit, s.CrashRate, s.Waiting, s.Budget = 3, 0.02, w.frame%5, 95
	}
	for _, name := range []string{"a", "b", "c"} {
		_, down := w.down(name)
		s.Replicas = append(s.Replicas, failover.ReplicaStatistics{
			Replica: addrs[name], Ready: !down, Ejected: load == "A" && name == "c" && w.frame > 65 && w.frame <= 80, InFlight: w.frame % 3,
		})
	}
	return s
}
