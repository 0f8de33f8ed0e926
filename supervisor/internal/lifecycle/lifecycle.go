// Package lifecycle decides what a replica does next: launch, signal, ask, wait
// or give up. [Replica.Step] takes an input, which is something that has happened,
// and returns the effects that are to be carried out. There is no clock, goroutine
// or I/O in this package: the supervisor drives it with real processes, tests drive
// it with every order of inputs.
package lifecycle

import (
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
)

// Intent is what follows once the process has ended.
type Intent int

const (
	IntentRun     Intent = iota // what the policy says
	IntentDown                  // no process until a start
	IntentRestart               // another process, at once
	IntentLeave                 // no process, for good
)

// ProbeKind is how it becomes known whether a replica is ready or alive.
type ProbeKind int

const (
	ProbeNone   ProbeKind = iota // it does not
	ProbePolled                  // by answers to questions
	ProbeNotify                  // by the replica's own report
)

// Probe is a [Settings.Ready] or [Settings.Alive] with its defaults filled in.
type Probe struct {
	Kind      ProbeKind
	Watch     time.Duration // Ready: between questions once the replica is ready; zero: there are none
	Period    time.Duration // between questions; Ready: the longest one
	Timeout   time.Duration // of an answer
	Threshold int           // Alive: bad answers in a row
	Terminate bool          // Alive: stop it rather than kill it
}

// Settings are the settings of a replica. Question is comparable, and differs if
// the probes ask for something else.
type Settings struct {
	Policy       restart.Policy
	Ready, Alive Probe
	StartTimeout time.Duration // zero: none
	StopTimeout  time.Duration
	Question     any
}

// InputKind is what has happened.
type InputKind int

const (
	InputBegin        InputKind = iota + 1 // the first launch is due
	InputStart                             // command: launch, unless there is a process
	InputStop                              // command: end, and stay down
	InputRestart                           // command: end, and launch again
	InputLeave                             // command: end, for good
	InputReturn                            // command: take back InputLeave
	InputKill                              // command: end at once, for good
	InputConfigure                         // the settings are changed to Settings
	InputSlot                              // the launch it waits for may begin
	InputLaunched                          // EffectLaunch started a process
	InputLaunchFailed                      // EffectLaunch failed; Exit.Err says why
	InputLaunchDenied                      // EffectLaunch was not tried, as nothing may be launched any more
	InputNotified                          // the process reports that it is ready
	InputAnswer                            // to EffectAsk: Check, Question, Err, NotServing, LocalFault
	InputTimer                             // EffectTimer's time has come: Timer
	InputLeaderEnded                       // the first process ended, and Left others of the replica run on
	InputExited                            // the last process has ended; Exit
)

// Input is something that has happened.
type Input struct {
	Kind       InputKind
	At         time.Time // InputExited, InputLaunched: when it happened; zero: now
	Reason     string    // of a command
	Settings   Settings
	Exit       restart.Exit
	Left       int
	Check      Check
	Question   int
	Err        error   // of the answer; nil: it is good
	NotServing bool    // the answer is that it does not serve
	LocalFault bool    // there is no answer because of a failure on our side
	Timer      Timer   // InputTimer
	Draw       float64 // random, from 0 to 1
}

// Check is one of the two questions that a replica may be asked.
type Check int

const (
	CheckReady Check = iota
	CheckAlive
	checks // how many there are
)

// Timer is one of a replica's timers.
type Timer int

const (
	TimerDue   Timer = iota // the relaunch, the start timeout or the stop timeout
	TimerSlot               // others may start now
	TimerReady              // the next question of CheckReady
	TimerAlive              // the next question of CheckAlive
	Timers                  // how many there are
)

// EffectKind is what is to be done.
type EffectKind int

const (
	EffectLaunch          EffectKind = iota + 1 // start the process of Incarnation; answered by InputLaunched, InputLaunchFailed or InputLaunchDenied
	EffectFreeSlot                              // let others start
	EffectTerminate                             // send the stop signal to those of the replica that did not get it
	EffectKill                                  // send SIGKILL, and emit Event
	EffectTimer                                 // set Timer to go off at At, as InputTimer; zero: stop it
	EffectAsk                                   // ask Question of Check; answered by InputAnswer
	EffectCancelQuestions                       // cancel all questions, whose answers are not needed any more
	EffectEmit                                  // emit Event
	EffectEscalate                              // do with the rest of the group what Escalation says
	EffectGone                                  // the replica has left: no process, no further effect
)

// Effect is something to be done, in the order in which Step returns it.
type Effect struct {
	Kind        EffectKind
	Incarnation int
	Timer       Timer
	At          time.Time
	Check       Check
	Question    int
	Event       event.Event
	Escalation  restart.Escalation
}
