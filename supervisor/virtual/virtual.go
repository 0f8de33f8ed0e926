// Package virtual simulates a supervised replica in virtual time. It makes the decisions of package
// supervisor, with the same code, about a process that the caller plays as a [World]. It has no
// process, goroutine or clock.
//
// Use it for simulations. It leaves out what replicas decide together: Config.MaxStarting,
// Group.After, and what happens to the rest of a group when a replica is given up.
package virtual

import (
	"cmp"
	"math/rand/v2"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/restart"
)

// Timer is one of a replica's timers.
type Timer = lifecycle.Timer

// Timers is the number of timers, which are numbered from 0.
const Timers = lifecycle.Timers

// World is the environment of a replica. Its methods must not call the replica.
type World interface {
	// Launch starts the process of an incarnation. The caller then calls Ready when it serves, and
	// Exited when it has ended.
	Launch(incarnation int)
	// Terminate asks the process to end.
	Terminate()
	// Kill ends the process.
	Kill()
	// Set makes Fire due for the timer at a time, in place of any earlier setting; the zero time
	// stops the timer.
	Set(t Timer, at time.Time)
	// Emit receives an event. Its Sequence, Elapsed and PID are not set.
	Emit(event.Event)
}

// Config configures a [Replica].
type Config struct {
	Name, Group string
	Policy      restart.Policy
	StopTimeout time.Duration // from Terminate to Kill; zero: 5 s
	Random      *rand.Rand    // source of the jitter of delays; nil: no jitter
}

// Replica is a simulated replica. Its methods take the present time, which must not go back.
type Replica struct {
	config Config
	world  World
	core   lifecycle.Replica
	leaves string // why
}

// New returns a replica that waits for Start.
func New(c Config, w World, now time.Time) *Replica {
	c.StopTimeout = cmp.Or(c.StopTimeout, lifecycle.DefaultStopTimeout)
	r := &Replica{config: c, world: w}
	r.core = lifecycle.New(lifecycle.Settings{
		Policy: c.Policy, StopTimeout: c.StopTimeout, Ready: lifecycle.Probe{Kind: lifecycle.ProbeNotify},
	}, now)
	r.world.Emit(r.signed(event.Event{Kind: event.KindAdded, Time: now}))
	return r
}

// Start launches the replica for the first time.
func (r *Replica) Start(now time.Time) { r.step(now, lifecycle.Input{Kind: lifecycle.InputBegin}) }

// Ready reports that the process serves.
func (r *Replica) Ready(now time.Time) { r.step(now, lifecycle.Input{Kind: lifecycle.InputNotified}) }

// Exited reports that the process has ended.
func (r *Replica) Exited(now time.Time, e restart.Exit) {
	r.step(now, lifecycle.Input{Kind: lifecycle.InputExited, Exit: e, At: now})
}

// Leave stops the replica for good.
func (r *Replica) Leave(now time.Time, reason string) {
	r.leaves = reason
	r.step(now, lifecycle.Input{Kind: lifecycle.InputLeave, Reason: reason})
}

// Fire reports that a timer has expired.
func (r *Replica) Fire(now time.Time, t Timer) {
	r.step(now, lifecycle.Input{Kind: lifecycle.InputTimer, Timer: t})
}

// Incarnation returns the number of the latest launch, from 1, or zero if there was none.
func (r *Replica) Incarnation() int { return r.core.Incarnation() }

// Launched returns when the process was launched, or the zero time if there is none.
func (r *Replica) Launched() time.Time {
	if !r.core.Runs() {
		return time.Time{}
	}
	return r.core.Launched()
}

func (r *Replica) step(now time.Time, in lifecycle.Input) {
	in.Draw = 0.5
	if r.config.Random != nil {
		in.Draw = r.config.Random.Float64()
	}
	for _, e := range r.core.Step(now, in) {
		r.perform(now, e)
	}
	if queued, _ := r.core.Queued(); queued { // every slot is free
		r.step(now, lifecycle.Input{Kind: lifecycle.InputSlot})
	}
}

func (r *Replica) perform(now time.Time, e lifecycle.Effect) {
	switch e.Kind {
	case lifecycle.EffectLaunch:
		r.world.Launch(e.Incarnation)
		r.step(now, lifecycle.Input{Kind: lifecycle.InputLaunched})
	case lifecycle.EffectTerminate:
		r.world.Terminate()
	case lifecycle.EffectKill:
		r.world.Kill()
		r.world.Emit(r.signed(e.Event))
	case lifecycle.EffectTimer:
		r.world.Set(e.Timer, e.At)
	case lifecycle.EffectEmit:
		r.world.Emit(r.signed(e.Event))
	case lifecycle.EffectGone:
		r.world.Emit(r.signed(event.Event{Kind: event.KindRemoved, Time: now, Incarnation: r.core.Incarnation(), Reason: r.leaves}))
	}
}

func (r *Replica) signed(e event.Event) event.Event {
	e.Replica, e.Group = r.config.Name, r.config.Group
	return e
}
