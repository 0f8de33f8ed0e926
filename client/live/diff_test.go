package live_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/live"
	"example.com/crashlab/client/workload"
	"example.com/crashlab/supervisor/event"
)

// chaos makes the random events of a session, in which minutes may pass within a few frames.
type chaos struct {
	*rand.Rand
	fold  *live.Fold
	began time.Time
	now   time.Time
	calls int
	names []string
}

func newChaos(seed uint64) *chaos {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := &chaos{Rand: rand.New(rand.NewPCG(seed, 1)), fold: live.NewFold("s", began, "A", "B"), began: began, now: began}
	c.list()
	return c
}

func (c *chaos) pick(texts ...string) string { return texts[c.IntN(len(texts))] }

func (c *chaos) list() {
	c.names = []string{"a", "b", "c", "d", "e"}[:1+c.IntN(5)]
	l := live.ReplicasListed{Anew: c.IntN(2) == 0, Groups: []live.Group{{Count: len(c.names), Relaunch: map[string]string{"delay": c.pick("1s", "2s")}}}}
	for _, name := range c.names {
		l.Replicas = append(l.Replicas, live.ReplicaStatus{Name: name, Addr: "at " + name, State: live.ReplicaReady, Incarnation: c.IntN(3), PID: c.IntN(3)})
	}
	c.fold.Apply(c.now, l)
}

// step makes one event.
func (c *chaos) step() {
	c.now = c.now.Add(time.Duration(c.IntN(30)) * time.Millisecond)
	load, replica := c.pick("A", "B", "none"), c.pick("a", "b", "c", "zz")
	var e live.Event
	switch c.IntN(12) {
	case 0:
		c.list()
		return
	case 1:
		kind := event.Kind(1 + c.IntN(19))
		e = live.ProcessEvent{Kind: kind, Time: c.now, Replica: replica, Incarnation: c.IntN(4), PID: c.IntN(4), Signal: []syscall.Signal{syscall.SIGKILL, syscall.SIGCONT, syscall.SIGSTOP}[c.IntN(3)]}
	case 2:
		e = live.FaultsChanged{Replica: replica, Faults: map[string]string{"hang": c.pick("true", "false")}}
	case 3:
		e = live.Marked{Kind: live.MarkCommand, Text: c.pick("kill", "stop"), Load: load}
	case 4:
		e = live.LoadChanged{Load: load, On: c.IntN(2) == 0, Settings: map[string]string{"rounds": c.pick("1", "2")}, Began: c.IntN(4) == 0}
	case 5:
		e = live.LinkChanged{Load: load, Event: failover.ReplicaEvent{Replica: "at " + replica, State: failover.ReplicaState(c.IntN(5))}}
	case 6:
		e = live.ClusterChanged{Connected: c.IntN(2) == 0, Error: c.pick("", "gone")}
	case 7:
		e = live.ScenarioChanged{Done: c.IntN(3)}
	default:
		c.call(load, replica)
		return
	}
	c.fold.Apply(c.now, e)
}

func (c *chaos) call(load, replica string) {
	c.calls++
	a := failover.Attempt{Replica: "at " + replica, Number: 1, Round: 1, Start: c.now.Add(-time.Duration(c.IntN(5000)) * time.Millisecond), Outcome: failover.Outcome(c.IntN(7))}
	a.Duration = c.now.Sub(a.Start)
	r := workload.Record{Call: c.calls, Intended: a.Start, Start: a.Start, Duration: a.Duration, Interrupted: c.IntN(9) == 0}
	r.Attempts = []failover.Attempt{a}
	if a.Outcome != failover.OutcomeOK {
		r.Err = status.Error(codes.Unavailable, "no")
	}
	c.fold.Apply(c.now, live.AttemptEnded{Load: load, Call: c.calls, Attempt: a})
	c.fold.Apply(c.now, live.CallEnded{Load: load, Record: r})
}

func (c *chaos) tick() {
	c.now = c.now.Add(time.Duration(c.IntN(3000)) * time.Millisecond)
	if c.IntN(20) == 0 {
		c.now = c.now.Add(time.Duration(c.IntN(700)) * time.Second)
	}
	c.fold.Apply(c.now, live.Tick{Samples: []live.Sample{{Load: "A", UnderWay: c.IntN(3), Statistics: failover.Statistics{Waiting: c.IntN(2)}}}})
}

// send returns a value as a client receives it, through JSON.
func send[T any](t *testing.T, v T) (received T) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &received)
	}
	if err != nil {
		t.Fatal(err)
	}
	return received
}

// A state with all later differences applied equals the current state, whenever a tab joined and
// whatever it has missed.
func TestStateAndDifferences(t *testing.T) {
	seeds := uint64(10)
	if *soak {
		seeds = 1000
	}
	for seed := range seeds {
		c := newChaos(seed)
		c.tick()
		sent := c.fold.State()
		tabs := []live.State{send(t, sent)}
		for frame := range 100 {
			for range c.IntN(30) {
				c.step()
			}
			c.tick()
			now := c.fold.State()
			d := send(t, live.Difference(sent, now))
			sent = now
			want, err := json.Marshal(now)
			if err != nil {
				t.Fatal(err)
			}
			for i := range tabs {
				if c.IntN(10) == 0 {
					tabs[i] = send(t, now) // it was behind
				} else {
					tabs[i].Apply(d)
				}
				if got, _ := json.Marshal(tabs[i]); !bytes.Equal(got, want) {
					t.Fatalf("seed %d, frame %d, tab %d: got\n%s\nwant\n%s", seed, frame, i, got, want)
				}
			}
			if len(tabs) < 3 && c.IntN(20) == 0 {
				tabs = append(tabs, send(t, now))
			}
		}
	}
}

// Later events do not change a state, since the server encodes it while the session goes on.
func TestStatesDoNotChange(t *testing.T) {
	c := newChaos(7)
	var states []live.State
	var texts []string
	c.tick()
	tab := c.fold.State() // shares memory with the fold's states, so Apply could change them
	for range 50 {
		for range 40 {
			c.step()
		}
		c.tick()
		s := c.fold.State()
		text, _ := json.Marshal(s)
		states, texts = append(states, s), append(texts, string(text))
		tab.Apply(live.Difference(tab, s))
		if got, _ := json.Marshal(tab); !bytes.Equal(got, text) {
			t.Fatalf("frame %d: got\n%s\nwant\n%s", s.Frame, got, text)
		}
	}
	for i, s := range states {
		if text, _ := json.Marshal(s); string(text) != texts[i] {
			t.Fatalf("state %d has changed", i)
		}
	}
}

// A difference is empty if only the time differs.
func TestEmptyDifference(t *testing.T) {
	f := live.NewFold("s", time.Now(), "A")
	tick := func() live.State {
		f.Apply(time.Now(), live.Tick{})
		return f.State()
	}
	a := tick()
	if d := live.Difference(a, tick()); !d.Empty() {
		t.Errorf("got %+v, want it empty", d)
	}
	f.Apply(time.Now(), live.Marked{Text: "kill a"})
	if d := live.Difference(a, tick()); d.Empty() || len(d.Marks.Items) != 1 {
		t.Errorf("got %+v, want one mark", d)
	}
}

var soak = flag.Bool("soak", false, "fold a day of 1,000 calls a second instead of a minute, and more random sessions")

// With 1,000 calls a second, some of which fail after many attempts, the memory of the state and of
// the kept calls is bounded.
func TestBoundedMemory(t *testing.T) {
	lasts := time.Minute
	if *soak {
		lasts = 24 * time.Hour
	}
	c := newChaos(3)
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	for ms := range int(lasts / time.Millisecond) {
		c.now = c.began.Add(time.Duration(ms) * time.Millisecond)
		c.call("A", "a")
		if ms%100 == 99 {
			c.fold.Apply(c.now, live.Tick{Samples: []live.Sample{{Load: "A"}}})
		}
	}
	if used := heap() - min(before, heap()); used > 50<<20 {
		t.Errorf("%d MiB after %v", used>>20, lasts)
	}
	text, err := json.Marshal(c.fold.State())
	if err != nil {
		t.Fatal(err)
	}
	s := c.fold.State()
	if len(s.Attempts.Items) != 8192 || s.Attempts.First+8192 != uint64(c.calls)-uint64(s.Loads[0].Skipped) || len(text) > 3<<20 {
		t.Errorf("%d attempts from %d on, %d skipped, %d bytes", len(s.Attempts.Items), s.Attempts.First, s.Loads[0].Skipped, len(text))
	}
	for n, want := range map[int]bool{0: false, 1: false, c.calls - 8192: false, c.calls - 8191: true, c.calls: true, c.calls + 1: false} {
		if way, ok := c.fold.Call("A", n); ok != want || ok && (way.Number != n || len(way.Attempts) != 1) {
			t.Errorf("call %d of %d: known %v, %s", n, c.calls, ok, fmt.Sprint(way))
		}
	}
}

// BenchmarkFold measures a call with one attempt, and a tick after every hundred calls.
func BenchmarkFold(b *testing.B) {
	c := newChaos(3)
	a := failover.Attempt{Replica: "at a", Number: 1, Round: 1, Sent: true}
	r := workload.Record{Reply: workload.Reply{Attempts: []failover.Attempt{a}}}
	n := 0
	for b.Loop() {
		n++
		r.Call, r.Start = n, c.began.Add(time.Duration(n)*time.Millisecond)
		r.Intended, a.Start, r.Attempts[0].Start = r.Start, r.Start, r.Start
		c.fold.Apply(r.Start, live.AttemptEnded{Load: "A", Call: n, Attempt: a})
		c.fold.Apply(r.Start, live.CallEnded{Load: "A", Record: r})
		if n%100 == 0 {
			c.fold.Apply(r.Start, live.Tick{Samples: []live.Sample{{Load: "A"}}})
		}
	}
}
