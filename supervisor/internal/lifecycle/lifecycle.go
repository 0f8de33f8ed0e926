// Package lifecycle decides what a replica does next: launch, signal, probe, wait or give up.
// [Replica.Step] takes an input, which is something that has happened, and returns the effects to
// carry out. The package has no clock, goroutine or I/O: package replicas drives it with real
// processes, package virtual in simulations, and tests with every order of inputs.
package lifecycle

import (
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
)

// Intent determines what follows when the process has ended.
type Intent int

const (
	IntentRun     Intent = iota // what the policy says
	IntentDown                  // no process until a command starts it
	IntentRestart               // another process at once
	IntentLeave                 // no process ever again
)

// ProbeKind is how a probe gets its results.
type ProbeKind int

const (
	ProbeNone   ProbeKind = iota // no probe
	ProbePolled                  // the supervisor asks the replica
	ProbeNotify                  // the replica reports by itself
)

// Probe is a spec.Probe with its defaults filled in.
type Probe struct {
	Kind      ProbeKind
	Watch     time.Duration // Ready: time between questions once the replica is ready; zero: there are none
	Period    time.Duration // time between questions; Ready: at most
	Timeout   time.Duration // of an answer
	Threshold int           // Alive: bad answers in a row
	Terminate bool          // Alive: stop the replica instead of killing it
}

// DefaultStopTimeout is the StopTimeout of a replica without one. It suits servers whose calls take
// a few seconds, and is half of the 10 s that container runtimes give the supervisor itself.
const DefaultStopTimeout = 5 * time.Second

// Settings are the settings of a replica. Question is comparable, and differs between settings
// whose probes ask for different things.
type Settings struct {
	Policy       restart.Policy
	Ready, Alive Probe
	StartTimeout time.Duration // zero: none
	StopTimeout  time.Duration
	Question     any
}

// InputKind is the kind of an [Input].
type InputKind int

const (
	InputBegin        InputKind = iota + 1 // the first launch is due
	InputStart                             // command: launch, unless there is a process
	InputStop                              // command: end, and stay down
	InputRestart                           // command: end, and launch again
	InputLeave                             // command: end for good
	InputReturn                            // command: undo InputLeave
	InputKill                              // command: end at once and for good
	InputConfigure                         // use Settings from now on
	InputSlot                              // the launch that was queued may begin
	InputLaunched                          // EffectLaunch has started a process
	InputLaunchFailed                      // EffectLaunch failed; Exit.Err says why
	InputLaunchDenied                      // EffectLaunch was not tried, because nothing may be launched any more
	InputNotified                          // the process reports that it is ready
	InputAnswer                            // the result of EffectAsk: Check, Question, Err, NotServing, LocalFault
	InputTimer                             // Timer has expired
	InputLeaderEnded                       // the first process has ended, and Left others of the replica still run
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
	NotServing bool    // the replica answered that it is not serving
	LocalFault bool    // there is no answer, because of a failure on the supervisor's side
	Timer      Timer   // InputTimer
	Draw       float64 // random, from 0 to 1
}

// Check is one of the two things that a replica is probed for.
type Check int

const (
	CheckReady Check = iota
	CheckAlive
	checks // number of checks
)

// Timer is one of a replica's timers.
type Timer int

const (
	TimerDue   Timer = iota // of the relaunch, the start timeout or the stop timeout
	TimerSlot               // frees the slot for another replica to start
	TimerReady              // of the next question of CheckReady
	TimerAlive              // of the next question of CheckAlive
	Timers                  // number of timers
)

// EffectKind is the kind of an [Effect].
type EffectKind int

const (
	// Launch the process of Incarnation. The result is InputLaunched, InputLaunchFailed or
	// InputLaunchDenied.
	EffectLaunch          EffectKind = iota + 1
	EffectFreeSlot                   // let another replica start
	EffectTerminate                  // send the stop signal to those processes that did not get it
	EffectKill                       // send SIGKILL, and emit Event
	EffectTimer                      // set Timer to expire at At; zero: stop it
	EffectAsk                        // ask Question of Check; the result is InputAnswer
	EffectCancelQuestions            // cancel all questions, whose answers are no longer needed
	EffectEmit                       // emit Event
	EffectEscalate                   // do with the rest of the group as Escalation says
	EffectGone                       // the replica has left: it has no process, and no further effect follows
)

// Effect is something to do. The effects of a Step are to be carried out in order.
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
