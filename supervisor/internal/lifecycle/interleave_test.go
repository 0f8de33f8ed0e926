package lifecycle

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/status"
)

// world is a replica and the state of its surroundings, as the effects so far have made it. It is a
// value: a copy is another branch of the history.
type world struct {
	Replica
	now       time.Time
	timers    [Timers]time.Time
	question  [checks]int
	asked     int // the latest question
	launching bool
	runs      bool
	exits     int
	launches  int
	slot      bool // it occupies a slot
	stopped   bool // the latest command was a stop
	left      bool // it was asked to leave
	struck    bool
	slow      bool  // a slow start was reported
	err       error // the first violation
	path      []string
}

// given is the number of inputs to all replicas.
var given int

// give gives the replica an input, and carries out the effects.
func (w *world) give(name string, in Input) {
	w.path = append(w.path[:len(w.path):len(w.path)], name)
	before := w.Replica
	for _, e := range w.Step(w.now, in) {
		w.take(e)
	}
	if given++; given%16 == 0 { // comparing takes longer than a step
		if before.Step(w.now, in); !reflect.DeepEqual(before, w.Replica) {
			w.fail("the same input in the same state has another result: Step is not pure")
		}
	}
	switch {
	case w.runs != w.Runs() && !w.launching:
		w.fail("a process runs: %v, Runs returns %v", w.runs, w.Runs())
	case w.launches-w.exits > 1 || w.launches < w.exits:
		w.fail("%d launches and %d exits", w.launches, w.exits)
	case w.Incarnation() != w.launches && !w.launching:
		w.fail("incarnation %d after %d launches", w.Incarnation(), w.launches)
	case w.State() == status.StateStopping && !w.struck && w.timers[TimerDue].IsZero():
		w.fail("the stop has no time limit")
	case w.runs && (w.stopped || w.left) && w.State() != status.StateStopping:
		w.fail("a process is not stopping after a stop")
	case w.slot && !w.runs && !w.launching:
		w.fail("a slot is occupied without a process")
	}
}

func (w *world) fail(format string, args ...any) {
	if w.err == nil {
		w.err = fmt.Errorf(format, args...)
	}
}

func (w *world) take(e Effect) {
	switch e.Kind {
	case EffectLaunch:
		if w.stopped || w.left {
			w.fail("a launch after a stop")
		}
		if w.runs || w.launching {
			w.fail("a launch while a process runs")
		}
		if e.Incarnation != w.launches+1 {
			w.fail("launch %d is incarnation %d", w.launches+1, e.Incarnation)
		}
		w.launching, w.slot = true, true
	case EffectFreeSlot:
		if !w.slot {
			w.fail("a slot is freed twice")
		}
		w.slot = false
	case EffectTimer:
		w.timers[e.Timer] = e.At
	case EffectAsk:
		if e.Question <= w.asked {
			w.fail("question %d after %d: a late answer could count for another one", e.Question, w.asked)
		}
		w.asked, w.question[e.Check] = e.Question, e.Question
	case EffectCancelQuestions:
		w.question = [checks]int{}
	case EffectTerminate, EffectKill:
		if !w.runs {
			w.fail("a signal without a process")
		}
		if w.struck {
			w.fail("a signal after SIGKILL")
		}
		w.struck = w.struck || e.Kind == EffectKill
	case EffectGone:
		if w.runs || w.launching {
			w.fail("it is gone while its process runs")
		}
	}
	if e.Kind == EffectEmit {
		w.emitted(e.Event)
	}
}

func (w *world) emitted(e event.Event) {
	switch e.Kind {
	case event.KindLaunched:
		w.launches++
		w.slow = false
	case event.KindStillStarting:
		if w.State() != status.StateStarting || w.slow || e.Err == nil || w.now.Sub(w.Launched()) < time.Second {
			w.fail("still starting in state %d, %v after the launch: %v", w.State(), w.now.Sub(w.Launched()), e.Err)
		}
		w.slow = true
	case event.KindLaunchFailed:
		w.launches++
		w.exits++
	case event.KindExited:
		w.exits++
	}
	if e.Kind != event.KindChanged && e.Incarnation != w.launches {
		w.fail("event %d of incarnation %d after %d launches", e.Kind, e.Incarnation, w.launches)
	}
}

var errBad = errors.New("bad")

// moves returns what can happen next, by name.
func (w *world) moves(s Settings) map[string]func(*world) {
	m := map[string]func(*world){
		"start": func(w *world) {
			w.stopped = false
			w.give("start", Input{Kind: InputStart})
		},
		"stop": func(w *world) {
			w.stopped = true
			w.give("stop", Input{Kind: InputStop})
		},
		"restart": func(w *world) {
			w.stopped = false
			w.give("restart", Input{Kind: InputRestart})
		},
		"reload": func(w *world) {
			other := s
			other.Policy, other.StartTimeout = restart.Policy{Delay: time.Hour}, 2*s.StartTimeout
			w.give("reload", Input{Kind: InputConfigure, Settings: other})
		},
		"leave": func(w *world) {
			w.left = true
			w.give("leave", Input{Kind: InputLeave})
		},
		"kill": func(w *world) {
			w.left = true
			w.give("kill", Input{Kind: InputKill})
		},
	}
	if queued, _ := w.Queued(); queued {
		m["slot"] = func(w *world) { w.give("slot", Input{Kind: InputSlot}) }
	}
	if w.launching {
		m["launched"] = func(w *world) {
			w.launching, w.runs, w.struck = false, true, false
			w.give("launched", Input{Kind: InputLaunched})
		}
		m["launch failed"] = func(w *world) {
			w.launching = false
			w.give("launch failed", Input{Kind: InputLaunchFailed, Exit: restart.Exit{Code: -1, Err: errBad}})
		}
	}
	if w.runs {
		m["exit"] = func(w *world) {
			w.runs = false
			w.give("exit", Input{Kind: InputExited, Exit: restart.Exit{Code: 1}})
		}
		m["leader ends"] = func(w *world) { w.give("leader ends", Input{Kind: InputLeaderEnded, Left: 1}) }
		m["notice"] = func(w *world) { w.give("notice", Input{Kind: InputNotified}) }
	}
	for t, at := range w.timers {
		if !at.IsZero() {
			m[fmt.Sprint("timer ", t)] = func(w *world) {
				if w.timers[t] = (time.Time{}); at.After(w.now) {
					w.now = at
				}
				w.give(fmt.Sprint("timer ", t), Input{Kind: InputTimer, Timer: Timer(t)})
			}
		}
	}
	for c, q := range w.question {
		if q > 0 {
			for name, in := range map[string]Input{"good": {}, "bad": {Err: errBad}, "not serving": {Err: errBad, NotServing: true}, "local fault": {Err: errBad, LocalFault: true}} {
				in.Kind, in.Check, in.Question = InputAnswer, Check(c), q
				m[fmt.Sprint(name, " answer ", c)] = func(w *world) {
					w.question[c] = 0
					w.give(fmt.Sprint(name, " answer ", c), in)
				}
			}
		}
	}
	return m
}

// All sequences of inputs, up to a length, keep the guarantees: one process at a time, one exit for
// each launch, incarnations without gaps, no launch after a stop, a limit for each stop, each slot
// freed once, and one report of a slow start.
func TestEveryInterleaving(t *testing.T) {
	depth := 6
	if testing.Short() {
		depth = 5
	}
	probe := Probe{Kind: ProbePolled, Period: time.Second, Timeout: time.Second, Threshold: 1}
	watched := probe
	watched.Watch = time.Second
	for name, s := range map[string]Settings{
		"polled":   {Ready: watched, Alive: probe, StartTimeout: 2 * time.Second},
		"notifies": {Ready: Probe{Kind: ProbeNotify}, Alive: Probe{Kind: ProbePolled, Period: time.Second, Timeout: time.Second, Threshold: 1, Terminate: true}},
		"at once":  {},
	} {
		t.Run(name, func(t *testing.T) {
			s.Policy, s.StopTimeout = restart.Policy{Exact: true}, time.Second
			now := time.Unix(1, 0)
			w := world{Replica: New(s, now), now: now}
			w.give("begin", Input{Kind: InputBegin})
			n := 0
			for _, begin := range [][]string{nil, {"slot", "launched"}} { // the second reaches further after a launch
				b := w
				for _, move := range begin {
					b.moves(s)[move](&b)
				}
				n += explore(t, b, s, depth)
			}
			t.Logf("%d histories", n)
		})
	}
}

func explore(t *testing.T, w world, s Settings, depth int) int {
	if w.err != nil {
		t.Fatalf("%v: %s", w.err, strings.Join(w.path, ", "))
	}
	if depth == 0 || w.gone {
		return 1
	}
	n := 0
	for _, move := range w.moves(s) {
		next := w
		move(&next)
		n += explore(t, next, s, depth-1)
	}
	return n
}

// Timers and answers that come late do not count against the replica.
func TestLateTimersAndAnswers(t *testing.T) {
	probe := Probe{Kind: ProbePolled, Period: time.Second, Timeout: time.Second, Threshold: 1}
	s := Settings{Policy: restart.Policy{Exact: true}, StopTimeout: time.Second, Ready: probe, Alive: probe, StartTimeout: time.Second}
	begin := func() *world {
		now := time.Unix(1, 0)
		w := &world{Replica: New(s, now), now: now}
		w.give("begin", Input{Kind: InputBegin})
		w.moves(s)["slot"](w)
		w.moves(s)["launched"](w)
		return w
	}
	w := begin()
	w.now = w.now.Add(time.Hour) // suspended while it was starting
	w.give("timer", Input{Kind: InputTimer, Timer: TimerDue})
	if w.State() != status.StateStarting {
		t.Errorf("after a late start timeout it is in state %d, want another probe", w.State())
	}
	w.moves(s)["good answer 0"](w)
	if w.State() != status.StateReady {
		t.Errorf("after a good answer it is in state %d", w.State())
	}
	w.moves(s)["timer 3"](w)
	w.now = w.now.Add(time.Hour) // suspended while it was probed
	w.moves(s)["bad answer 1"](w)
	if w.State() != status.StateReady {
		t.Errorf("after a late answer it is in state %d, want another probe", w.State())
	}
	w.moves(s)["timer 3"](w)
	w.moves(s)["local fault answer 1"](w)
	if w.State() != status.StateReady || w.Answer() == nil {
		t.Errorf("after a local fault it is in state %d, %v", w.State(), w.Answer())
	}
	w.moves(s)["timer 3"](w)
	w.moves(s)["bad answer 1"](w)
	if w.State() != status.StateStopping {
		t.Errorf("after a bad answer it is in state %d", w.State())
	}
	w = begin()
	w.now = w.now.Add(time.Hour)
	w.give("timer", Input{Kind: InputTimer, Timer: TimerDue})
	w.moves(s)["bad answer 0"](w)
	w.moves(s)["timer 0"](w)
	if w.State() != status.StateStopping {
		t.Errorf("after a second start timeout it is in state %d", w.State())
	}
}
