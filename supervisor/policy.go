package supervisor

import (
	"fmt"
	"syscall"
	"time"
)

const (
	// launchFailureDelay is the least delay after a launch that failed. A
	// program that is missing or broken needs a person, whose pace this is.
	launchFailureDelay = time.Second

	// A replica is in a hot loop after hotLoopExits incarnations in a row that
	// lived under shortUptime each. Simulated crashes end incarnations that
	// soon too, at any rate the user asked for: hence the long row, and a
	// delay that only keeps the machine usable.
	hotLoopExits = 10
	shortUptime  = time.Second
	hotLoopDelay = 100 * time.Millisecond
)

// Restart says after which exits a replica is launched again.
type Restart int

const (
	Always Restart = iota // after every exit, whatever its code or signal
	Never                 // after none: the first incarnation is the only one
)

func (r Restart) String() string {
	switch r {
	case Always:
		return "always"
	case Never:
		return "never"
	}
	return fmt.Sprintf("Restart(%d)", int(r))
}

// Policy decides whether and when a replica that exited is launched again. The
// zero value launches it always, at once.
type Policy struct {
	Restart Restart
	Delay   time.Duration // from exit to relaunch; zero: at once
}

// Exit is how an incarnation ended, or why it never began.
type Exit struct {
	Code   int            // exit code, 0 to 255; -1 if a signal ended it or Err is set
	Signal syscall.Signal // the signal that ended it; zero: none
	Uptime time.Duration  // from launch to exit; zero if it was never launched
	Err    error          // why it could not be launched or its end not be read; else nil
}

// NotRun reports that the service did not fail, as it never ran: the program
// could not be executed, or a shell, env or container runtime in front of it
// said so with its exit code, 125 to 127.
func (e Exit) NotRun() bool {
	return e.Err != nil || 125 <= e.Code && e.Code <= 127
}

func (e Exit) String() string {
	switch {
	case e.Err != nil:
		return e.Err.Error()
	case e.Signal != 0:
		return fmt.Sprintf("signal %d (%v)", int(e.Signal), e.Signal)
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// History is what a policy knows of the past of one replica. The zero value is
// that of a replica without an exit.
type History struct {
	Last  Exit // the latest
	Short int  // exits in a row, up to the latest, after less than 1 s of uptime
}

// After returns the history with one more exit.
func (h History) After(e Exit) History {
	h.Last = e
	if e.Uptime >= shortUptime {
		h.Short = 0
	} else {
		h.Short++
	}
	return h
}

// Decision is what a policy wants after an exit.
type Decision struct {
	Relaunch bool          // false: the replica is given up
	Delay    time.Duration // from the exit to the relaunch
	Reason   string        // why it is given up, or Delay is longer than the policy's; else empty
}

// Next decides after the latest exit in h, which holds at least one. It is pure.
//
// A replica is relaunched Delay after its exit. That is raised to 1 s when the
// program did not run (see [Exit.NotRun]), and to 100 ms once ten incarnations
// in a row have lived under 1 s each.
func (p Policy) Next(h History) Decision {
	if p.Restart == Never {
		return Decision{Reason: "restart is never"}
	}
	d := Decision{Relaunch: true, Delay: max(p.Delay, 0)}
	switch {
	case h.Last.NotRun() && d.Delay < launchFailureDelay:
		d.Delay = launchFailureDelay
		d.Reason = "the program did not run"
	case h.Short >= hotLoopExits && d.Delay < hotLoopDelay:
		d.Delay = hotLoopDelay
		d.Reason = fmt.Sprintf("%d incarnations in a row lived under %v", h.Short, shortUptime)
	}
	return d
}
