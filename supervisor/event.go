package supervisor

import (
	"fmt"
	"time"
)

// Kind is the kind of an [Event].
type Kind int

// A replica's first event is Launched or LaunchFailed, or Stopped when ctx had
// ended before; its last is Stopped or GaveUp.
const (
	Launched     Kind = iota + 1 // a process runs; incarnation and PID are new
	LaunchFailed                 // no process came to be; Exit.Err says why, Next what follows
	Exited                       // the process ended without being told to; Exit, Next
	Stopping                     // the process group was sent SIGTERM
	Killed                       // StopTimeout has passed, or Kill was called: SIGKILL was sent
	Stopped                      // the replica stays down as Run ends; PID and Exit if a process was told to
	GaveUp                       // the policy does not launch it again; Next.Reason says why
	GuardianLost                 // the guardian does not work any more: orphans are possible; Err says why
)

var kinds = [...]string{
	Launched: "launched", LaunchFailed: "launch failed", Exited: "exited", Stopping: "stopping",
	Killed: "killed", Stopped: "stopped", GaveUp: "gave up", GuardianLost: "guardian lost",
}

func (k Kind) String() string {
	if k < 1 || int(k) >= len(kinds) {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return kinds[k]
}

// Event is something that happened to a replica, or to the guardian.
type Event struct {
	Kind        Kind
	Time        time.Time // when it happened: for Exited when the process ended, however late that is told
	Replica     string    // its name; empty with GuardianLost
	Incarnation int       // the launch it belongs to, from 1; zero: not launched yet
	PID         int       // process and process group; zero: there is no process
	Exit        Exit      // with LaunchFailed, Exited, Stopped and GaveUp
	Next        Decision  // with LaunchFailed, Exited and GaveUp
	Err         error     // with GuardianLost
}
