package supervisor

import (
	"fmt"
	"syscall"
	"time"
)

// Kind is the kind of an [Event].
type Kind int

// A replica's first event is Added and its last, but for OutputLost, is
// Removed: its output may be read a little longer. Each Launched is followed by
// one Exited of the same incarnation.
const (
	Added        Kind = iota + 1 // the replica is known; Group
	Changed                      // its policy or probes are others now; its process is not touched
	Removed                      // it left the set, or Run ends; there is no process
	Launched                     // a process runs; incarnation and PID are new
	LaunchFailed                 // no process came to be; Exit.Err says why, Next what follows
	Ready                        // the incarnation is ready; After is the time since its launch
	Unhealthy                    // it did not become ready in time, or is not alive, and is killed; Err says why
	Stopping                     // the process group was sent SIGTERM; Reason says what for
	Killed                       // SIGKILL was sent; Reason says what for
	Signaled                     // it was sent Signal, as somebody asked
	Exited                       // the process ended; Exit, Output, and Next unless it was told to end
	Stopped                      // the replica stays down until it is started, as somebody asked
	Finished                     // it stays down, as its policy does not launch it again after such an exit
	Failed                       // it stays down, unless by RestartAll, as it exited too often; Reason says how often
	OutputLost                   // Lost lines of its output were dropped, as OnOutput took too long
	GuardianLost                 // the guardian does not work any more, and another is started; Err says why
)

var kinds = [...]string{
	Added: "added", Changed: "changed", Removed: "removed", Launched: "launched", LaunchFailed: "launch failed",
	Ready: "ready", Unhealthy: "unhealthy", Stopping: "stopping", Killed: "killed", Signaled: "signaled",
	Exited: "exited", Stopped: "stopped", Finished: "finished", Failed: "failed", OutputLost: "output lost",
	GuardianLost: "guardian lost",
}

func (k Kind) String() string {
	if k < 1 || int(k) >= len(kinds) {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return kinds[k]
}

// Event is something that happened to a replica, or to the guardian.
type Event struct {
	Sequence    uint64 // from 1, without a gap, in the order in which events are told
	Kind        Kind
	Time        time.Time      // when it happened: for Exited when the process ended, however late that is told
	Elapsed     time.Duration  // from the first event's Time to this one's, by the monotonic clock
	Replica     string         // its name; empty with GuardianLost
	Group       string         // its group's
	Incarnation int            // the launch it belongs to, from 1; zero: not launched yet, and with OutputLost
	PID         int            // process and process group; zero: there is no process, and with OutputLost
	Exit        Exit           // with LaunchFailed, Exited, Finished and Failed
	Next        Decision       // with LaunchFailed and Exited
	After       time.Duration  // with Ready
	Signal      syscall.Signal // with Signaled
	Reason      string         // with Stopping, Killed, Finished and Failed
	Output      []string       // with Exited: the last lines it wrote, at most 20 of at most 1 KiB each; see also Watch
	Lost        uint64         // with OutputLost: how many lines since the last such event
	Err         error          // with Unhealthy and GuardianLost
}
