// Package lifecycle decides what a replica does next: launch, signal, ask, wait
// or give up. [Replica.Step] takes what has happened and returns what to do
// about it. There is no clock, goroutine or I/O in here: the supervisor drives
// it with real processes, tests drive it with every order of events.
package lifecycle

import (
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
)

// State is a phase of a replica's lifecycle.
type State int

const (
	StateWaiting  State = iota + 1 // a launch is due later, or waits for its turn
	StateStarting                  // the process runs and is not ready yet
	StateReady                     // the process runs and is ready
	StateStopping                  // the process was sent a signal to end
	StateStopped                   // no process, by command
	StateFinished                  // no process: the policy wants none after the last exit
	StateFailed                    // no process: it exited too often
	StateUnready                   // the process runs, was ready, and reports that it does not serve
)

// ProbeKind is how a replica's condition becomes known.
type ProbeKind int

const (
	ProbeNone   ProbeKind = iota // it is not asked
	ProbeAsked                   // by the answers to questions
	ProbeNotify                  // it says so itself
)

// Probe is a [Settings.Ready] or [Settings.Alive] with its defaults filled in.
type Probe struct {
	Kind      ProbeKind
	Watch     time.Duration // Ready: between questions once the replica is ready; zero: it is asked no more
	Period    time.Duration // between questions; Ready: the longest one
	Timeout   time.Duration // of an answer
	Threshold int           // Alive: bad answers in a row
	Terminate bool          // Alive: end it by a stop, not by SIGKILL
}

// Settings are what a replica's owner wants. Question makes two probes differ
// that ask for different things.
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
	InputConfigure                         // Settings are others
	InputTurn                              // the launch it waits for may begin
	InputLaunched                          // EffectLaunch has made a process
	InputLaunchFailed                      // it has not; Exit.Err says why
	InputLaunchDenied                      // it was not tried, as nothing may be launched any more
	InputNotified                          // the process says that it is ready
	InputAnswer                            // to EffectAsk: Check, Question, Err, NotServing, Ours
	InputTimer                             // EffectTimer's time has come: Timer
	InputLeaderEnded                       // the first process ended, and Left others of the replica run on
	InputExited                            // the last process has ended; Exit
)

// Input is something that has happened.
type Input struct {
	Kind       InputKind
	At         time.Time // InputExited, InputLaunched, InputNotified: when, if earlier than it is known
	Reason     string    // of a command
	Settings   Settings
	Exit       restart.Exit
	Left       int
	Check      Check
	Question   int
	Err        error   // of the answer; nil: it is good
	NotServing bool    // the answer is that it does not serve
	Ours       bool    // there is no answer, for a reason that is ours
	Timer      Timer   // InputTimer
	Draw       float64 // random, from 0 to 1
}

// Check is one of the two questions that a replica may be asked.
type Check int

const (
	CheckReady Check = iota
	CheckAlive
	checks
)

// Timer is one of a replica's timers.
type Timer int

const (
	TimerDue   Timer = iota // the relaunch, the start timeout or the stop timeout
	TimerTurn               // others may start now
	TimerReady              // the next question of CheckReady
	TimerAlive              // the next question of CheckAlive
	Timers                  // how many there are
)

// EffectKind is what is to be done.
type EffectKind int

const (
	EffectLaunch    EffectKind = iota + 1 // make the process of Incarnation; answered by InputLaunched, InputLaunchFailed or InputLaunchDenied
	EffectEndTurn                         // let others start
	EffectTerminate                       // send the stop signal to those of the replica that did not get it
	EffectKill                            // send SIGKILL, and emit Event
	EffectTimer                           // give InputTimer at At; zero: not any more
	EffectAsk                             // ask Question of Check; answered by InputAnswer
	EffectEndAsking                       // nobody waits for the answers any more
	EffectEmit                            // emit Event
	EffectEscalate                        // do to the group what Escalation says
	EffectGone                            // the replica has left: no process, no further effect
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
