package live_test

import (
	"fmt"
	"slices"
	"strings"
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

// film is a session with replica b and load A. Its times are milliseconds since its beginning.
type film struct {
	*live.Fold
	began time.Time
}

func newFilm() film {
	f := film{began: time.Now()}
	f.Fold = live.NewFold("s", f.began, "A")
	f.Apply(f.began, live.ReplicasListed{Anew: true, Replicas: []live.ReplicaStatus{
		{Name: "b", Addr: "at b", State: live.ReplicaReady, Since: f.began, Incarnation: 1, PID: 11},
	}})
	return f
}

func (f film) at(ms int) time.Time { return f.began.Add(time.Duration(ms) * time.Millisecond) }

func (f film) process(ms int, e event.Event) {
	e.Time, e.Replica = f.at(ms), "b"
	f.Apply(f.at(ms), live.ProcessEvent(e))
}

func (f film) tick(ms int) live.State {
	f.Apply(f.at(ms), live.Tick{})
	return f.State()
}

// lane describes the bands of b and its present state, such as "ready 0-10, down 10-".
func lane(s live.State) string {
	var parts []string
	for _, b := range s.Bands.Items {
		parts = append(parts, fmt.Sprintf("%s %d-%d", b.State, time.Duration(b.From).Milliseconds(), time.Duration(b.To).Milliseconds()))
	}
	r := s.Replicas[0]
	return strings.Join(append(parts, fmt.Sprintf("%s %d-", r.State, time.Duration(r.Since).Milliseconds())), ", ")
}

// Lanes follow the events of the supervisor and the fault "hang".
func TestLanes(t *testing.T) {
	killed := event.Event{Kind: event.KindExited, Incarnation: 1, Exit: restart.Exit{Signal: syscall.SIGKILL, Code: -1}, Next: restart.Decision{Relaunch: true, Delay: 500 * time.Millisecond}}
	launched := event.Event{Kind: event.KindLaunched, Incarnation: 2, PID: 12}
	hang := func(f film, ms int, is string) {
		f.Apply(f.at(ms), live.FaultsChanged{Replica: "b", Faults: map[string]string{"hang": is}})
	}
	for name, c := range map[string]struct {
		do      func(f film)
		want    string
		crashes int
	}{
		"a crash and the relaunch": {func(f film) {
			f.process(10, killed)
			f.process(510, launched)
			f.process(520, event.Event{Kind: event.KindReady, Incarnation: 2})
		}, "ready 0-10, down 10-510, starting 510-520, ready 520-", 1},
		"a requested exit": {func(f film) {
			f.process(10, event.Event{Kind: event.KindStopping, Incarnation: 1})
			f.process(20, killed)
		}, "ready 0-20, down 20-", 0},
		"stopped and continued": {func(f film) {
			f.process(10, event.Event{Kind: event.KindSignaled, Incarnation: 1, Signal: syscall.SIGSTOP})
			f.process(30, event.Event{Kind: event.KindSignaled, Incarnation: 1, Signal: syscall.SIGCONT})
		}, "ready 0-10, hung 10-30, ready 30-", 0},
		"killed while hung": {func(f film) {
			f.process(10, event.Event{Kind: event.KindSignaled, Incarnation: 1, Signal: syscall.SIGSTOP})
			f.process(30, event.Event{Kind: event.KindKilled, Incarnation: 1})
			f.process(31, killed)
			f.process(50, launched)
		}, "ready 0-10, hung 10-31, down 31-50, starting 50-", 0},
		"the fault hang": {func(f film) {
			hang(f, 10, "true")
			hang(f, 20, "false")
		}, "ready 0-10, hung 10-20, ready 20-", 0},
		"a fault that ends with the process": {func(f film) {
			hang(f, 10, "true")
			f.process(20, killed)
			f.process(30, launched)
		}, "ready 0-10, hung 10-20, down 20-30, starting 30-", 1},
		"a replica that reports that it does not serve": {func(f film) {
			f.process(10, event.Event{Kind: event.KindUnready, Incarnation: 1})
		}, "ready 0-10, unready 10-", 0},
		"events from before the list": {func(f film) {
			f.process(10, event.Event{Kind: event.KindLaunched, Incarnation: 1, PID: 11})
			f.process(10, event.Event{Kind: event.KindExited, Incarnation: 0})
		}, "ready 0-", 0},
		"a list after the connection was lost": {func(f film) {
			f.Apply(f.at(40), live.ReplicasListed{Anew: true, Replicas: []live.ReplicaStatus{{Name: "b", Addr: "at b", State: live.ReplicaDown, Since: f.at(30), Incarnation: 1}}})
		}, "ready 0-30, down 30-", 0},
		"a list while connected": {func(f film) {
			f.Apply(f.at(40), live.ReplicasListed{Replicas: []live.ReplicaStatus{{Name: "b", Addr: "at b", State: live.ReplicaDown, Since: f.at(30), Incarnation: 1}}})
		}, "ready 0-", 0},
	} {
		f := newFilm()
		c.do(f)
		s := f.tick(100)
		if got := lane(s); got != c.want || len(s.Crashes.Items) != c.crashes || s.Replicas[0].Crashes != c.crashes {
			t.Errorf("%s: lane %q with %d crashes, want %q with %d", name, got, len(s.Crashes.Items), c.want, c.crashes)
		}
	}
}

// A replica that is down has the time of its next launch.
func TestNextLaunch(t *testing.T) {
	f := newFilm()
	f.process(10, event.Event{Kind: event.KindExited, Incarnation: 1, Next: restart.Decision{Relaunch: true, Delay: time.Second}})
	if r := f.tick(20).Replicas[0]; r.Next != live.Micros(1010*time.Millisecond) || r.PID != 0 {
		t.Errorf("down: %+v, want the next launch at 1.01 s and no PID", r)
	}
	f.process(1010, event.Event{Kind: event.KindLaunched, Incarnation: 2, PID: 12})
	if r := f.tick(1020).Replicas[0]; r.Next != 0 || r.PID != 12 || r.Incarnation != 2 {
		t.Errorf("relaunched: %+v, want incarnation 2 with PID 12", r)
	}
}

// end ends call n, whose only attempt lasted from one time to another.
func (f film) end(n, from, to int, outcome failover.Outcome) {
	a := failover.Attempt{Replica: "at b", Number: 1, Round: 1, Start: f.at(from), Duration: f.at(to).Sub(f.at(from)), Outcome: outcome, Sent: true}
	r := workload.Record{Call: n, Intended: a.Start, Start: a.Start, Duration: a.Duration}
	if outcome != failover.OutcomeOK {
		a.Err = status.Error(codes.Unavailable, "gone")
		r.Err = a.Err
	}
	r.Attempts = []failover.Attempt{a}
	f.Apply(f.at(to), live.AttemptEnded{Load: "A", Call: n, Attempt: a})
	f.Apply(f.at(to), live.CallEnded{Load: "A", Record: r})
}

// Recent numbers cover the last ten seconds, total numbers everything, and each second has a point.
func TestNumbers(t *testing.T) {
	f := newFilm()
	f.Apply(f.began, live.LoadChanged{Load: "A", On: true, Began: true})
	f.end(1, 100, 200, failover.OutcomeOK)
	f.end(2, 100, 500, failover.OutcomeLost)
	s := f.tick(1000)
	if r := s.Loads[0].Recent; r.OK != 1 || r.Failed != 1 || r.Attempts != 2 || r.Outcomes[failover.OutcomeLost] != 1 || r.Rate != 2 ||
		time.Duration(r.P50).Round(10*time.Millisecond) != 100*time.Millisecond {
		t.Errorf("recent %+v", r)
	}
	if p := s.Points.Items; len(p) != 1 || p[0].OK != 1 || p[0].Failed != 1 || p[0].At != live.Micros(time.Second) {
		t.Errorf("points %+v", p)
	}
	s = f.tick(11_000)
	if n := s.Loads[0]; n.Recent.OK != 0 || n.Recent.P99 != 0 || n.Total.OK != 1 || n.Total.Failed != 1 || n.Total.P99 == 0 {
		t.Errorf("after 11 s: %+v, want calls only in the total", n)
	}
	if n := len(s.Points.Items); n != 11 {
		t.Errorf("%d points after 11 seconds, want 11", n)
	}
	s = f.tick(3_600_000) // the machine slept
	if n := len(s.Points.Items); n > 12 {
		t.Errorf("%d points after an hour without ticks, want at most 12", n)
	}
	f.Apply(f.at(3_600_000), live.LoadChanged{Load: "A", On: true, Began: true})
	if n := f.tick(3_600_100).Loads[0].Total; n.OK != 0 || n.P99 != 0 {
		t.Errorf("started anew: %+v, want zero", n)
	}
}

// Bars of a lane do not overlap, and rows that are no longer needed disappear.
func TestRows(t *testing.T) {
	f := newFilm()
	for n, span := range [][2]int{{0, 10}, {12, 20}, {5, 30}, {21, 31}, {25, 40}, {35, 50}} {
		f.end(n+1, span[0], span[1], failover.OutcomeOK)
	}
	s := f.tick(100)
	bars := s.Attempts.Items
	for i, a := range bars {
		for _, b := range bars[:i] {
			if a.Row == b.Row && a.Start < b.End() && b.Start < a.End() {
				t.Errorf("%+v overlaps %+v", a, b)
			}
		}
	}
	if rows := s.Replicas[0].Rows; rows != 3 {
		t.Errorf("%d rows, want 3", rows)
	}
	if rows := f.tick(100_000).Replicas[0].Rows; rows != 0 {
		t.Errorf("%d rows when all bars are gone, want none", rows)
	}
}

// When attempts come too fast to draw them all, failures are drawn first and all attempts count.
func TestTooManyAttempts(t *testing.T) {
	f := newFilm()
	for n := range 1000 {
		f.end(n+1, 0, 1, failover.OutcomeOK)
	}
	for n := range 100 {
		f.end(1001+n, 1, 2, failover.OutcomeLost)
	}
	s := f.tick(100)
	lost := slices.DeleteFunc(slices.Clone(s.Attempts.Items), func(a live.Attempt) bool { return a.Outcome == failover.OutcomeOK })
	if l := s.Loads[0]; len(lost) != 100 || l.Total.OK != 1000 || l.Total.Failed != 100 || int(l.Skipped)+len(s.Attempts.Items) != 1100 {
		t.Errorf("%d of 100 lost attempts drawn, %d of 1100 in all, %d skipped; total %+v", len(lost), len(s.Attempts.Items), l.Skipped, l.Total)
	}
}

// A call under way has the attempts that have ended.
func TestCallUnderWay(t *testing.T) {
	f := newFilm()
	a := failover.Attempt{Replica: "at b", Number: 1, Round: 1, Start: f.at(10), Duration: time.Millisecond, Outcome: failover.OutcomeRefused, Err: status.Error(codes.Unavailable, "")}
	f.Apply(f.at(11), live.AttemptEnded{Load: "A", Call: 5, Attempt: a})
	f.tick(20)
	if c, ok := f.Call("A", 5); !ok || c.Result != live.ResultUnderWay || len(c.Attempts) != 1 || c.Attempts[0].Code != "UNAVAILABLE" || c.Took != live.Micros(10*time.Millisecond) {
		t.Errorf("call 5: %v, %+v; want it under way with one attempt", ok, c)
	}
	if _, ok := f.Call("A", 6); ok {
		t.Error("found a call without attempts")
	}
	if _, ok := f.Call("Z", 5); ok {
		t.Error("found a call of an unknown load")
	}
}
