package replicas

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/internal/process"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

// runner drives one replica: it passes inputs to [lifecycle.Replica] and carries out the effects.
// The fields from core to failures belong to the goroutine of run.
type runner struct {
	name  string
	set   *Set
	gone  chan struct{} // closed when the goroutine has ended
	lost  atomic.Uint64 // lines of output
	inbox chan func()

	core     lifecycle.Replica
	wanted   Member       // the settings
	launched spec.Replica // settings of the latest launch
	process  Process      // nil: none
	output   []string
	timer    *time.Timer
	timers   [lifecycle.Timers]time.Time
	probing  probing
	freeSlot func()
	mustWait bool   // its launch must wait for Group.After
	blocker  string // the group that it waits for; empty: none
	waiters  []waiter
	pending  []event.Event // to be emitted by publish
	leaving  string        // why it was last removed
	left     bool

	exits, failures int

	mu     sync.Mutex
	status status.Status // as last published
}

// waiter waits for a condition of a replica.
type waiter struct {
	ctx  context.Context
	met  func() (bool, error) // the condition; called by the runner's goroutine
	done chan error           // receives the condition's error when it is met
}

func newRunner(t *Set, m Member) *runner {
	r := &runner{
		name: m.Name, set: t, gone: make(chan struct{}), inbox: make(chan func()), timer: time.NewTimer(0),
		core: lifecycle.New(m.settings(), time.Now()), wanted: m, freeSlot: func() {},
		probing: probing{answers: make(chan lifecycle.Input)},
	}
	r.timer.Stop()
	return r
}

// do lets the runner's goroutine call f, and waits until f has returned. It returns false if the
// goroutine has ended.
func (r *runner) do(f func()) bool {
	done := make(chan struct{})
	select {
	case r.inbox <- func() { f(); r.publish(); close(done) }:
		<-done
		return true
	case <-r.gone:
		return false
	}
}

func (r *runner) run() {
	defer close(r.gone)
	for !r.left {
		r.next()
		r.settle()
	}
	r.timer.Stop()
	r.probing.running.Wait()
	r.set.forget(r)
	r.emit(event.Event{Kind: event.KindRemoved, Incarnation: r.core.Incarnation(), Reason: r.leaving})
	r.publish()
	r.answer()
}

// settle publishes changes and announces that the replica is idle.
func (r *runner) settle() {
	r.publish()
	r.answer()
	switch r.core.State() {
	case status.StateStopped, status.StateFinished, status.StateFailed:
		r.set.idle()
	}
}

// next waits for the next input and handles it.
func (r *runner) next() {
	var slots, commandSlots chan<- struct{}
	blocked := r.blocked()
	if queued, byCommand := r.core.Queued(); queued && blocked == nil {
		slots = r.set.slots
		if byCommand {
			commandSlots = r.set.commandSlots
		}
	}
	var abandoned <-chan int
	var ended <-chan process.End
	var notified, killed <-chan struct{}
	if r.process != nil {
		abandoned, ended = r.process.Abandoned(), r.process.Ended()
		if r.core.State() == status.StateStarting {
			notified = r.process.Notified()
		}
	}
	if !r.left && !r.core.Killed() {
		killed = r.set.config.Killed.Done()
	}
	select {
	case f := <-r.inbox:
		f()
	case <-blocked:
	case slots <- struct{}{}:
		r.takeSlot(r.set.slots)
	case commandSlots <- struct{}{}:
		r.takeSlot(r.set.commandSlots)
	case <-r.timer.C:
		r.fire()
	case <-notified:
		r.step(lifecycle.Input{Kind: lifecycle.InputNotified})
	case in := <-r.probing.answers:
		r.step(in)
	case left := <-abandoned:
		r.step(lifecycle.Input{Kind: lifecycle.InputLeaderEnded, Left: left})
	case end := <-ended:
		r.output = end.Output
		r.step(lifecycle.Input{Kind: lifecycle.InputExited, Exit: exitOf(end), At: end.At})
		r.process, r.output = nil, nil
	case <-killed:
		r.step(lifecycle.Input{Kind: lifecycle.InputKill})
	}
}

// blocked returns nil if nothing keeps the replica from its launch. While a group of its
// Group.After does, blocked returns a channel that is closed when that may have changed.
func (r *runner) blocked() <-chan struct{} {
	var changed <-chan struct{}
	if r.mustWait {
		changed = r.set.changes.wait()
	}
	if blocker := r.blockedBy(); blocker != r.blocker {
		r.blocker = blocker
		r.publish()
		r.set.idle() // if all the others are down, it waits forever
	}
	if r.blocker == "" {
		return nil
	}
	return changed
}

// blockedBy returns the group that the launch must wait for, or "".
func (r *runner) blockedBy() string {
	if queued, _ := r.core.Queued(); !queued || !r.mustWait {
		return ""
	}
	return r.set.blocker(r.wanted.Group)
}

// start gives the replica a command whose launch waits for Group.After.
func (r *runner) start(k lifecycle.InputKind) {
	r.command(k, "a start")
	r.mustWait, _ = r.core.Queued()
}

func (r *runner) takeSlot(slots <-chan struct{}) {
	r.mustWait = false
	r.freeSlot = sync.OnceFunc(func() { <-slots })
	r.step(lifecycle.Input{Kind: lifecycle.InputSlot})
}

// command gives the replica a command whose launch does not wait for Group.After.
func (r *runner) command(k lifecycle.InputKind, reason string) {
	r.mustWait = false
	r.step(lifecycle.Input{Kind: k, Reason: reason})
}

// step passes an input on and carries out the effects.
func (r *runner) step(in lifecycle.Input) {
	in.Draw = rand.Float64()
	for _, e := range r.core.Step(time.Now(), in) {
		r.perform(e)
	}
}

func (r *runner) perform(e lifecycle.Effect) {
	switch e.Kind {
	case lifecycle.EffectLaunch:
		r.launch(e.Incarnation)
	case lifecycle.EffectFreeSlot:
		r.freeSlot()
	case lifecycle.EffectTerminate:
		r.process.Terminate(r.wanted.stopSignal(), r.wanted.StopTo == spec.StopLeader)
	case lifecycle.EffectKill:
		n, err := r.process.Kill()
		e.Event.Reason = killed(e.Event.Reason, n, err)
		r.emit(e.Event)
	case lifecycle.EffectTimer:
		r.timers[e.Timer] = e.At
		r.arm()
	case lifecycle.EffectAsk:
		r.ask(e.Check, e.Question)
	case lifecycle.EffectCancelQuestions:
		r.probing.end()
	case lifecycle.EffectEmit:
		r.emit(e.Event)
	case lifecycle.EffectEscalate:
		r.set.escalate(r, e.Escalation)
	case lifecycle.EffectGone:
		r.left = true
	}
}

func (r *runner) launch(incarnation int) {
	r.launched = r.wanted.Replica
	p, err := Process(nil), ErrClosed
	if r.mayLaunch() {
		p, err = r.set.config.System.Launch(r.set.ctx, r.wanted, incarnation)
	}
	switch {
	case err == nil:
		r.process = p
		r.step(lifecycle.Input{Kind: lifecycle.InputLaunched})
	case !r.mayLaunch():
		r.step(lifecycle.Input{Kind: lifecycle.InputLaunchDenied})
	default:
		r.step(lifecycle.Input{Kind: lifecycle.InputLaunchFailed, Exit: restart.Exit{Code: -1, Err: err}})
	}
}

// mayLaunch reports whether replicas may still be launched.
func (r *runner) mayLaunch() bool {
	return r.set.config.Killed.Err() == nil && r.set.ctx.Err() == nil
}

// arm sets the timer to the earliest of the times in timers.
func (r *runner) arm() {
	var first time.Time
	for _, at := range r.timers {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	if first.IsZero() {
		r.timer.Stop()
	} else {
		r.timer.Reset(time.Until(first))
	}
}

// fire passes on the timers that have expired.
func (r *runner) fire() {
	now := time.Now()
	for t, at := range r.timers {
		if !r.timers[t].IsZero() && r.timers[t] == at && !at.After(now) {
			r.timers[t] = time.Time{}
			r.step(lifecycle.Input{Kind: lifecycle.InputTimer, Timer: lifecycle.Timer(t)})
		}
	}
	r.arm()
}

// configure changes the settings of the replica.
func (r *runner) configure(m Member) {
	r.wanted = m
	r.step(lifecycle.Input{Kind: lifecycle.InputConfigure, Settings: m.settings()})
}

// emit completes an event. It is reported by publish, after the status that it led to.
func (r *runner) emit(e event.Event) {
	e.Replica, e.Group = r.name, r.wanted.Group
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if r.process != nil && (r.core.Runs() || e.Kind == event.KindExited) {
		e.PID = r.process.PID()
	}
	switch e.Kind {
	case event.KindExited:
		e.Output = r.output
		if e.Next != (restart.Decision{}) { // no command caused it
			r.exits++
			r.fail(e.Exit)
		}
	case event.KindLaunchFailed:
		r.fail(e.Exit)
	}
	r.pending = append(r.pending, e)
}

func (r *runner) fail(e restart.Exit) {
	if e.NeverReady() {
		r.failures++
	}
}

// publish updates the status that others see, and then reports the pending events.
func (r *runner) publish() {
	s := status.Status{
		Replica: r.name, Group: r.wanted.Group, Addr: r.wanted.Addr, State: r.core.State(),
		Incarnation: r.core.Incarnation(), Ready: r.core.Ready(), Restarts: max(0, r.core.Incarnation()-1),
		Exits: r.exits, Failures: r.failures, Last: r.core.Last(), Exited: r.core.Exited(),
		Lost: r.lost.Load(), Policy: r.wanted.Policy, Answer: r.core.Answer(),
	}
	if r.process != nil && r.core.Runs() {
		s.PID, s.Addr, s.Launched = r.process.PID(), r.launched.Addr, r.core.Launched()
	}
	switch {
	case s.State == status.StateWaiting && r.blocker != "":
		s.Blocker = r.blocker
	case s.State == status.StateWaiting:
		s.Next = r.core.Next()
	}
	r.mu.Lock()
	changed := up(r.status) != up(s)
	r.status = s
	r.mu.Unlock()
	if changed {
		r.set.changes.announce()
	}
	for _, e := range r.pending {
		r.set.config.Emit(e)
	}
	clear(r.pending)
	r.pending = r.pending[:0]
}

func (r *runner) now() status.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.status
	s.Lost = r.lost.Load()
	return s
}

// answer answers the waiters whose conditions are met.
func (r *runner) answer() {
	waiting := r.waiters[:0]
	for _, w := range r.waiters {
		if met, err := w.met(); met {
			w.done <- err
		} else if w.ctx.Err() == nil {
			waiting = append(waiting, w)
		}
	}
	clear(r.waiters[len(waiting):])
	r.waiters = waiting
}

// killed returns the reason of a kill, with the number of processes unless that is zero, for
// unknown, and with the error.
func killed(reason string, processes int, err error) string {
	switch {
	case processes == 1:
		reason += ": 1 process"
	case processes > 1:
		reason += fmt.Sprintf(": %d processes", processes)
	}
	if err != nil {
		reason += fmt.Sprintf("; some may not be killed: %v", err)
	}
	return reason
}
