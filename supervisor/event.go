package supervisor

import (
	"fmt"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/restart"
)

// EventKind is what an [Event] reports.
type EventKind int

// A replica's first event is EventAdded and its last, but for EventOutputLost, is
// EventRemoved: its output may be read a little longer. Each EventLaunched is followed by
// one EventExited of the same incarnation. They are in the order of package
// lifecycle.
const (
	EventAdded         EventKind = iota + 1 // the replica is known; Group
	EventChanged                            // its policy or probes are others now; its process is not touched
	EventRemoved                            // it left the set, or Run ends; there is no process
	EventLaunched                           // a process runs; incarnation and PID are new
	EventLaunchFailed                       // no process came to be; Exit.Err says why, Next what follows
	EventReady                              // the incarnation is ready, or so again after EventUnready; After is the time since its launch
	EventUnhealthy                          // it did not become ready in time, or is not alive, and is replaced; Err says why
	EventStopping                           // it was sent its stop signal; Reason says why
	EventKilled                             // all of it was sent SIGKILL; Reason says why, and how many processes there were
	EventSignaled                           // it was sent Signal, by command
	EventExited                             // the last of its processes ended; Exit of the first, Output, and Next unless a command ended it
	EventStopped                            // the replica stays down until it is started, by command
	EventFinished                           // it stays down, as its policy does not launch it again after such an exit
	EventFailed                             // it stays down, unless by EscalationRestartAll, as it exited too often; Reason says how often
	EventOutputLost                         // Lost lines of its output were dropped, as OnOutput took too long or Run ended
	EventGuardianLost                       // the guardian does not work any more, and another is started; Err says why
	EventUnready                            // the incarnation was ready and reports that it does not serve; Err says how
	EventDaemonized                         // its first process ended and left others running, for the first time with its settings; Reason
	EventStillStarting                      // it is not ready 10 s after its launch, or half of StartTimeout where that is less; Err says why
)

var kinds = [...]string{
	EventAdded: "added", EventChanged: "changed", EventRemoved: "removed", EventLaunched: "launched", EventLaunchFailed: "launch failed",
	EventReady: "ready", EventUnhealthy: "unhealthy", EventStopping: "stopping", EventKilled: "killed", EventSignaled: "signaled",
	EventExited: "exited", EventStopped: "stopped", EventFinished: "finished", EventFailed: "failed", EventOutputLost: "output lost",
	EventGuardianLost: "guardian lost", EventUnready: "unready", EventDaemonized: "daemonized",
	EventStillStarting: "still starting",
}

func (k EventKind) String() string {
	if k < 1 || int(k) >= len(kinds) {
		return fmt.Sprintf("EventKind(%d)", int(k))
	}
	return kinds[k]
}

// Event is something that happened to a replica, or to the guardian.
type Event struct {
	Sequence    uint64 // from 1, without a gap, in the order in which events are told
	Kind        EventKind
	Time        time.Time        // when it happened: for EventExited when the process ended, however late that is told
	Elapsed     time.Duration    // from the first event's Time to this one's, by the monotonic clock
	Replica     string           // its name; empty with EventGuardianLost
	Group       string           // its group's
	Incarnation int              // the launch it belongs to, from 1; zero: not launched yet, and with EventOutputLost
	PID         int              // process and process group; zero: there is no process, and with EventOutputLost
	Exit        restart.Exit     // with EventLaunchFailed, EventExited, EventFinished and EventFailed
	Next        restart.Decision // with EventLaunchFailed and EventExited
	After       time.Duration    // with Ready
	Signal      syscall.Signal   // with EventSignaled
	Reason      string           // with EventStopping, EventKilled, EventFinished, EventFailed and EventDaemonized
	Output      []string         // with EventExited: the last lines it wrote, at most 20 of at most 1 KiB each; see also Watch
	Lost        uint64           // with EventOutputLost: how many lines since the last such event
	Err         error            // with EventUnhealthy, EventUnready, EventStillStarting and EventGuardianLost
}
