package simulate

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/failover/virtual"
)

// world is a trial: the replicas, their client and its load, on one timeline.
type world struct {
	model    Model
	random   *rand.Rand // draws the model's times
	settings design.Settings
	trial    design.Trial
	timeline virtual.Timeline
	client   *virtual.Client
	replicas []*replica
	load     load

	listening int // replicas
	processes int // those that run, and those whose end the supervisor does not know yet

	schedule     []design.Disturbance
	disturbances []*virtual.Timer

	requests map[key]*request // that are on the way to a replica, or there
	attempts map[uint64][]record.Attempt
	answers  map[uint64]answer // of calls that succeed
	calls    []record.Call
	events   []record.Event

	began       time.Duration // of the load
	ended       time.Duration
	interrupted bool
}

// key names an attempt.
type key struct {
	call   uint64
	number int
}

// answer is what a replica answered to a call.
type answer struct {
	replica     int
	incarnation int
	value       uint64
}

func newWorld(m Model, s design.Settings, t design.Trial, p virtual.Policy) *world {
	w := &world{
		model: m, random: rand.New(rand.NewPCG(t.Seed, 0)), settings: s, trial: t,
		requests: map[key]*request{}, attempts: map[uint64][]record.Attempt{}, answers: map[uint64]answer{},
	}
	for i := range s.Replicas {
		w.replicas = append(w.replicas, newReplica(w, i))
	}
	for w.listening < len(w.replicas) { // then the client begins
		w.timeline.Step()
	}
	w.client = virtual.New(&w.timeline, p, w, s.Replicas, t.Seed)
	w.client.OnAttempt = w.attemptEnded
	return w
}

// settle is how long the client has to connect to all replicas before the load begins.
const settle = time.Second

// run runs the trial to the end of its load, or until ctx ends.
func (w *world) run(ctx context.Context) {
	w.timeline.RunUntil(w.timeline.Now() + settle)
	w.began = w.timeline.Now()
	w.disturb()
	w.load.begin(w)
	defer w.load.end()
	for n := 0; !w.load.over(); n++ {
		if n%1000 == 0 && ctx.Err() != nil {
			w.interrupted = true
			break
		}
		if !w.timeline.Step() {
			break // calls that hang for ever, with nothing to wait for
		}
	}
	w.ended = w.timeline.Now()
	for _, t := range w.disturbances {
		w.timeline.Stop(t)
	}
	for _, r := range w.replicas {
		r.leave()
	}
	for w.processes > 0 && w.timeline.Step() {
	}
}

func (w *world) now() time.Duration { return w.timeline.Now() }

// after has something done after a time.
func (w *world) after(d time.Duration, do func()) {
	w.timeline.Set(&virtual.Timer{Do: do}, w.now()+d)
}

// takes draws how long a part of the model takes.
func (w *world) takes(part *Measurement) time.Duration { return part.draw(w.random) }

// Dial is part of virtual.World.
func (w *world) Dial(i int, knock bool) (time.Duration, bool) {
	r := w.replicas[i]
	if !r.listens || knock { // to be let in by the kernel takes as long as to be refused by it
		return w.takes(&w.model.Refuse), r.listens
	}
	wait, lives := r.stop()
	switch {
	case wait == virtual.Forever:
		return wait, false
	case !lives:
		return wait + w.takes(&w.model.Notice), false
	}
	r.connected = r.incarnation
	return wait + w.takes(&w.model.Connect), true
}

// Probe is part of virtual.World.
func (w *world) Probe(i int) (time.Duration, virtual.Finding) {
	r := w.replicas[i]
	if !r.listens {
		return w.takes(&w.model.Notice), virtual.FindingDeaf
	}
	if wait, lives := r.stop(); lives {
		return wait + w.takes(&w.model.RoundTrip), virtual.FindingServing
	}
	return virtual.Forever, virtual.FindingDeaf
}

// Send is part of virtual.World.
func (w *world) Send(a virtual.Attempt) virtual.Reply {
	r := w.replicas[a.Replica]
	q := &request{attempt: a, replica: r, to: r.connected, way: w.takes(&w.model.RoundTrip) / 2, index: -1}
	w.requests[key{a.Call, a.Number}] = q
	q.timer.Do = q.arrive
	w.timeline.Set(&q.timer, w.now()+q.way)
	return virtual.Reply{After: virtual.Forever} // see Answer
}

// attemptEnded takes an attempt that has ended. A request that is still at work is canceled.
func (w *world) attemptEnded(a virtual.Attempt) {
	k := key{a.Call, a.Number}
	if q := w.requests[k]; q != nil {
		delete(w.requests, k)
		if _, another := w.answers[a.Call]; a.Outcome == virtual.OutcomeOK && !another {
			w.answers[a.Call] = q.answer
		}
		q.cancel()
	}
	w.attempts[a.Call] = append(w.attempts[a.Call], w.recordAttempt(a))
}

func (w *world) recordAttempt(a virtual.Attempt) record.Attempt {
	return record.Attempt{
		Number: a.Number, Round: a.Round, Replica: design.ReplicaName(a.Replica), Start: a.Start - w.began, Duration: a.Duration,
		Outcome: failover.Outcome(a.Outcome), Sent: a.Sent, Hedge: a.Hedge, Code: attemptCode(a.Outcome),
		Incarnation: w.replicas[a.Replica].incarnationAt(a.Start),
	}
}

// history returns the events in the order of their times.
func (w *world) history() []record.Event {
	slices.SortStableFunc(w.events, func(a, b record.Event) int { return int(a.At - b.At) })
	for i := range w.events {
		e := &w.events[i]
		if e.At -= w.began; e.Process != nil {
			e.Process.Sequence, e.Process.Elapsed = uint64(i+1), e.At-w.events[0].At
		}
	}
	return w.events
}

// note takes note of what happened at a time.
func (w *world) note(at time.Duration, e record.Event) {
	e.Trial, e.At = w.trial.Number, at
	w.events = append(w.events, e)
}
