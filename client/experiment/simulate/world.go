package simulate

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/failover/virtual"
)

// world is a simulated trial: the replicas, the client and its load on one timeline.
type world struct {
	model    Model
	random   *rand.Rand // draws the model's times
	settings design.Settings
	trial    design.Trial
	timeline virtual.Timeline
	client   *virtual.Client
	replicas []*replica
	load     load

	listening int // replicas that listen
	processes int // those that run and those whose exit the supervisor does not know yet

	schedule     []design.Disturbance
	disturbances []*virtual.Timer

	requests map[key]*request // on the way to a replica or in it
	attempts map[uint64][]record.Attempt
	answers  map[uint64]answer // of calls that have been answered
	calls    []record.Call
	events   []record.Event

	began       time.Duration // of the load
	ended       time.Duration
	interrupted bool
}

// key identifies an attempt.
type key struct {
	call   uint64
	number int
}

// answer is a replica's answer to a call.
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
	for w.listening < len(w.replicas) { // the client starts when all listen
		w.timeline.Step()
	}
	w.client = virtual.New(&w.timeline, p, w, s.Replicas, t.Seed)
	w.client.OnAttempt = w.attemptEnded
	return w
}

const (
	// settle is the time for the client to connect to all replicas before the load begins.
	settle = time.Second
	// maxTime is the greatest time that a trial may take: 100 years. Any time within it plus any
	// delay, of which the longest are waits of 100 years, fits in a time.Duration.
	maxTime = 100 * 365 * 24 * time.Hour
)

// run runs the trial until its load or ctx ends. It fails if the trial takes longer than maxTime.
func (w *world) run(ctx context.Context) error {
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
			break // the remaining calls hang forever
		}
		if w.now() > maxTime {
			return errors.New("the trial takes more than 100 simulated years: want fewer calls, or shorter times")
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
	return nil
}

func (w *world) now() time.Duration { return w.timeline.Now() }

// after calls do after a time.
func (w *world) after(d time.Duration, do func()) {
	w.timeline.Set(&virtual.Timer{Do: do}, w.now()+d)
}

// draw draws the time of a part of the model.
func (w *world) draw(part *Measurement) time.Duration { return part.draw(w.random) }

// Dial implements virtual.World.
func (w *world) Dial(i int, knock bool) (time.Duration, bool) {
	r := w.replicas[i]
	if !r.listens || knock { // the kernel accepts a connection as fast as it refuses one
		return w.draw(&w.model.Refuse), r.listens
	}
	wait, resumes := r.stopLeft()
	switch {
	case wait == virtual.Forever:
		return wait, false
	case !resumes:
		return wait + w.draw(&w.model.Notice), false
	}
	r.connected = r.incarnation
	return wait + w.draw(&w.model.Connect), true
}

// Probe implements virtual.World.
func (w *world) Probe(i int) (time.Duration, virtual.Finding) {
	r := w.replicas[i]
	if !r.listens {
		return w.draw(&w.model.Notice), virtual.FindingUnhealthy
	}
	if wait, resumes := r.stopLeft(); resumes {
		return wait + w.draw(&w.model.RoundTrip), virtual.FindingServing
	}
	return virtual.Forever, virtual.FindingUnhealthy
}

// Send implements virtual.World. The reply follows through virtual.Client.Answer.
func (w *world) Send(a virtual.Attempt) virtual.Reply {
	r := w.replicas[a.Replica]
	q := &request{attempt: a, replica: r, incarnation: r.connected, latency: w.draw(&w.model.RoundTrip) / 2, index: -1}
	w.requests[key{a.Call, a.Number}] = q
	q.timer.Do = q.arrive
	w.timeline.Set(&q.timer, w.now()+q.latency)
	return virtual.Reply{After: virtual.Forever}
}

// attemptEnded records an attempt that has ended, and cancels its request if it is still at work.
func (w *world) attemptEnded(a virtual.Attempt) {
	k := key{a.Call, a.Number}
	if q := w.requests[k]; q != nil {
		delete(w.requests, k)
		if _, answered := w.answers[a.Call]; a.Outcome == virtual.OutcomeOK && !answered {
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

// history returns the events in order of time.
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

// recordEvent appends an event that happened at a time.
func (w *world) recordEvent(at time.Duration, e record.Event) {
	e.Trial, e.At = w.trial.Number, at
	w.events = append(w.events, e)
}
