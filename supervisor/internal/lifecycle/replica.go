package lifecycle

import (
	"fmt"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/status"
)

// slotTime is how long a replica that is starting may occupy a slot.
const slotTime = time.Second

// Replica is the state of one replica. Use [New]: the zero value is not ready to use.
type Replica struct {
	settings Settings
	state    status.State
	intent   Intent
	launch   launch
	life     life
	history  restart.History // since the last command
	last     restart.Exit    // the latest exit
	exited   time.Time       // time of last
	next     time.Time       // status.StateWaiting: when the launch is due
	due      time.Time       // when TimerDue expires; zero: it is stopped
	question int             // number of the latest question, counted over all incarnations
	warned   bool            // event.KindDaemonized was emitted for these settings
	gone     bool
}

// launch is the state of the next launch.
type launch struct {
	queued    bool // waiting for InputSlot
	byCommand bool // requested by a command, whose user should not have to wait
	begun     bool // EffectLaunch is being carried out
	killed    bool // InputKill was received
	holdsSlot bool // EffectFreeSlot is still to come
}

// life is the state of the latest incarnation.
type life struct {
	incarnation  int
	runs         bool
	launched     time.Time
	ready        time.Time // zero: never
	killed       bool      // SIGKILL was sent
	extended     bool      // the start timeout expired late and was extended
	slowReported bool      // event.KindStillStarting was emitted
	checks       [checks]check
	answer       error // why the latest answer was bad; nil: it was good
}

// New returns a replica that expects [InputBegin].
func New(s Settings, now time.Time) Replica {
	return Replica{settings: s, state: status.StateWaiting, next: now}
}

// The following methods return parts of the state.
func (r *Replica) State() status.State           { return r.state }
func (r *Replica) Intent() Intent                { return r.intent }
func (r *Replica) Incarnation() int              { return r.life.incarnation }
func (r *Replica) Runs() bool                    { return r.life.runs }
func (r *Replica) Last() restart.Exit            { return r.last }
func (r *Replica) Exited() time.Time             { return r.exited }
func (r *Replica) Launched() time.Time           { return r.life.launched }
func (r *Replica) Next() time.Time               { return r.next }
func (r *Replica) Queued() (yes, byCommand bool) { return r.launch.queued, r.launch.byCommand }

// Killed reports whether InputKill was received.
func (r *Replica) Killed() bool { return r.launch.killed }

// Ready returns when the running process became ready, or the zero time.
func (r *Replica) Ready() time.Time {
	if !r.life.runs {
		return time.Time{}
	}
	return r.life.ready
}

// Answer returns why the latest answer of the running process was bad, or nil.
func (r *Replica) Answer() error {
	if !r.life.runs {
		return nil
	}
	return r.life.answer
}

// step is one call of Step.
type step struct {
	*Replica
	now     time.Time
	draw    float64
	effects []Effect
}

// Step changes the state by an input and returns the effects to carry out, in order.
func (r *Replica) Step(now time.Time, in Input) []Effect {
	s := &step{Replica: r, now: now, draw: in.Draw}
	if r.gone {
		return nil
	}
	switch in.Kind {
	case InputBegin:
		if s.state == status.StateWaiting && !s.launch.begun {
			s.queue(false)
		}
	case InputStart:
		if s.intent == IntentDown || !s.life.runs && !s.launch.begun {
			s.command(IntentRestart, in.Reason)
		}
	case InputStop:
		s.command(IntentDown, in.Reason)
	case InputRestart:
		s.command(IntentRestart, in.Reason)
	case InputLeave:
		s.command(IntentLeave, in.Reason)
	case InputReturn:
		if s.intent == IntentLeave && !s.launch.killed && !s.life.killed {
			s.intent = IntentRestart
		}
	case InputKill:
		s.killAll()
	case InputConfigure:
		s.configure(in.Settings)
	case InputTimer:
		s.timer(in.Timer)
	default:
		s.process(in)
	}
	if s.intent == IntentLeave && !s.life.runs && !s.launch.begun {
		s.leave()
	}
	return s.effects
}

// process handles inputs about the process of an incarnation.
func (s *step) process(in Input) {
	switch {
	case in.Kind == InputSlot && s.launch.queued:
		s.launch.queued, s.launch.begun, s.launch.holdsSlot = false, true, true
		s.do(Effect{Kind: EffectLaunch, Incarnation: s.life.incarnation + 1})
	case in.Kind == InputLaunched && s.launch.begun:
		s.launched(in)
	case in.Kind == InputLaunchFailed && s.launch.begun:
		s.launchFailed(in)
	case in.Kind == InputLaunchDenied && s.launch.begun:
		s.launch.begun = false
		s.freeSlot()
		s.state = status.StateStopped
	case !s.life.runs:
	case in.Kind == InputNotified && s.state == status.StateStarting && s.settings.Ready.Kind == ProbeNotify:
		s.becomeReady()
	case in.Kind == InputAnswer:
		s.answered(in)
	case in.Kind == InputLeaderEnded:
		s.leaderEnded(in)
	case in.Kind == InputExited:
		s.ended(in)
	}
}

func (s *step) do(e Effect) { s.effects = append(s.effects, e) }

func (s *step) emit(e event.Event) {
	e.Incarnation = s.life.incarnation
	if e.Time.IsZero() {
		e.Time = s.now
	}
	s.do(Effect{Kind: EffectEmit, Event: e})
}

func (s *step) set(t Timer, at time.Time) {
	if t == TimerDue {
		s.due = at
	}
	s.do(Effect{Kind: EffectTimer, Timer: t, At: at})
}

func (s *step) stopDue() {
	if !s.due.IsZero() {
		s.set(TimerDue, time.Time{})
	}
}

func (s *step) freeSlot() {
	if s.launch.holdsSlot {
		s.launch.holdsSlot = false
		s.set(TimerSlot, time.Time{})
		s.do(Effect{Kind: EffectFreeSlot})
	}
}

// queue asks for a slot to launch the replica.
func (s *step) queue(byCommand bool) {
	s.stopDue()
	s.state, s.next, s.launch.queued, s.launch.byCommand = status.StateWaiting, s.now, true, byCommand
}

func (s *step) command(i Intent, reason string) {
	if s.intent == IntentLeave {
		return
	}
	s.intent = i
	switch {
	case s.life.runs:
		if s.state != status.StateStopping {
			s.terminate(reason)
		}
	case s.launch.begun: // handled when its outcome is known
	case i == IntentRestart:
		s.renew()
	case i == IntentDown && s.state != status.StateStopped:
		s.down()
	}
}

// killAll kills the replica in any state.
func (s *step) killAll() {
	s.intent, s.launch.killed = IntentLeave, true
	if s.life.runs && !s.life.killed {
		s.kill("all are killed")
	}
}

// renew launches the replica and forgets its past exits.
func (s *step) renew() {
	s.intent, s.history = IntentRun, restart.History{}
	s.queue(true)
}

func (s *step) down() {
	s.stopDue()
	s.state, s.launch.queued = status.StateStopped, false
	s.emit(event.Event{Kind: event.KindStopped})
}

func (s *step) leave() {
	s.stopDue()
	s.state, s.launch.queued, s.gone = status.StateStopped, false, true
	s.do(Effect{Kind: EffectGone})
}

// configure changes the settings. Probes and timers follow at once, the process only at the next
// launch.
func (s *step) configure(to Settings) {
	old := s.settings
	s.settings, s.warned = to, false
	s.emit(event.Event{Kind: event.KindChanged})
	asked := old.Question != to.Question
	switch {
	case s.state == status.StateWaiting && !s.launch.queued && !s.due.IsZero() && to.Policy != old.Policy:
		s.carryOut(to.Policy.Next(s.history, s.exited, s.draw))
	case s.state == status.StateStarting && (asked || to.Ready != old.Ready || to.StartTimeout != old.StartTimeout):
		s.awaitReady()
	case (s.state == status.StateReady || s.state == status.StateUnready) && (asked || to.Alive != old.Alive || to.Ready != old.Ready):
		s.watch()
	}
}

func (s *step) launched(in Input) {
	at := in.At
	if at.IsZero() {
		at = s.now
	}
	s.launch.begun = false
	s.life = life{incarnation: s.life.incarnation + 1, runs: true, launched: at}
	s.state = status.StateStarting
	s.emit(event.Event{Kind: event.KindLaunched, Time: at})
	switch {
	case s.launch.killed:
		s.kill("all are killed")
	case s.intent != IntentRun:
		s.terminate("a command came during its launch")
	default:
		if s.settings.Ready.Kind != ProbeNone {
			s.set(TimerSlot, s.now.Add(slotTime))
		}
		s.awaitReady()
	}
}

func (s *step) launchFailed(in Input) {
	s.launch.begun = false
	s.life = life{incarnation: s.life.incarnation + 1, launched: s.now}
	s.freeSlot()
	s.after(event.Event{Kind: event.KindLaunchFailed}, in.Exit, s.now)
}

// terminate asks the process to end, and lets it be killed after the stop timeout.
func (s *step) terminate(reason string) {
	s.state = status.StateStopping
	s.endChecks()
	s.emit(event.Event{Kind: event.KindStopping, Reason: reason})
	s.do(Effect{Kind: EffectTerminate})
	s.set(TimerDue, s.now.Add(s.settings.StopTimeout))
}

func (s *step) kill(reason string) {
	s.state, s.life.killed = status.StateStopping, true
	s.stopDue()
	s.endChecks()
	e := event.Event{Kind: event.KindKilled, Time: s.now, Incarnation: s.life.incarnation, Reason: reason}
	s.do(Effect{Kind: EffectKill, Event: e})
}

// leaderEnded gives the processes that the first one left behind the time of a stop. During a stop,
// not all of them have received the stop signal.
func (s *step) leaderEnded(in Input) {
	switch {
	case s.life.killed:
		return
	case s.state == status.StateStopping:
		s.do(Effect{Kind: EffectTerminate})
		return
	}
	if !s.warned {
		s.warned = true
		s.emit(event.Event{Kind: event.KindDaemonized, Reason: fmt.Sprintf(
			"its first process has ended and left %d running; a command must stay in the foreground", in.Left)})
	}
	s.terminate(fmt.Sprintf("its first process has ended and left %d running", in.Left))
}

// ended handles the end of the last process.
func (s *step) ended(in Input) {
	at := in.At
	if at.IsZero() {
		at = s.now
	}
	exit := in.Exit
	if !s.life.ready.IsZero() {
		exit.Ready = max(at.Sub(s.life.ready), 1) // zero means never ready
	}
	s.stopDue()
	s.freeSlot()
	s.endChecks()
	s.life.runs = false
	if s.intent == IntentRun {
		s.after(event.Event{Kind: event.KindExited}, exit, at)
		return
	}
	s.last, s.exited = exit, at
	s.emit(event.Event{Kind: event.KindExited, Time: at, Exit: exit})
	switch s.intent {
	case IntentDown:
		s.down()
	case IntentRestart:
		s.renew()
	}
}

// after handles an exit that no command caused, or a launch that failed, and emits e for it.
func (s *step) after(e event.Event, exit restart.Exit, at time.Time) {
	s.last, s.exited = exit, at
	s.history = s.history.After(exit, at, s.settings.Policy)
	d := s.settings.Policy.Next(s.history, at, s.draw)
	e.Time, e.Exit, e.Next = at, exit, d
	s.emit(e)
	switch s.intent {
	case IntentRun:
		s.carryOut(d)
	case IntentDown:
		s.down()
	case IntentRestart:
		s.renew()
	}
}

// carryOut carries out the policy's decision about the latest exit.
func (s *step) carryOut(d restart.Decision) {
	s.stopDue()
	switch {
	case d.Relaunch:
		s.state, s.next = status.StateWaiting, s.exited.Add(d.Delay)
		s.set(TimerDue, s.next)
		return
	case !d.GiveUp:
		s.state = status.StateFinished
		s.emit(event.Event{Kind: event.KindFinished, Exit: s.last, Reason: d.Reason})
		return
	}
	s.state = status.StateFailed
	s.emit(event.Event{Kind: event.KindFailed, Exit: s.last, Reason: d.Reason})
	then := s.settings.Policy.Limit.Then
	if then == restart.EscalationIsolate {
		return
	}
	s.do(Effect{Kind: EffectEscalate, Escalation: then})
	if then == restart.EscalationRestartAll {
		s.history = s.history.Cleared()
		s.carryOut(restart.Decision{Relaunch: true, Delay: d.Delay})
	}
}
