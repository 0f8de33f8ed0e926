// Package event defines the events that a supervisor reports about its replicas,
// their JSON form, and a journal that keeps the latest of them.
//
// Programs that embed package supervisor receive events by Config.OnEvent or
// Supervisor.Watch. Use this package alone to read events that were written as
// JSON lines, see [Event.UnmarshalJSON].
package event

import (
	"fmt"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/restart"
)

// Kind is what an [Event] reports.
type Kind int

// A replica's first event is KindAdded. Its last is KindRemoved, except that
// KindOutputLost may follow, as its output may be read a little longer. Each
// KindLaunched is followed by one KindExited of the same incarnation.
const (
	KindAdded         Kind = iota + 1 // the replica is in the set; Group
	KindChanged                       // its settings changed; its process is not touched
	KindRemoved                       // it left the set, or the supervisor ends; there is no process
	KindLaunched                      // a process runs; incarnation and PID are new
	KindLaunchFailed                  // no process could be started; Exit.Err says why, Next what follows
	KindReady                         // the incarnation is ready, or is so again after KindUnready; After is the time since its launch
	KindUnhealthy                     // it did not become ready in time, or is not alive, and is replaced; Err says why
	KindStopping                      // it was sent its stop signal; Reason says why
	KindKilled                        // all its processes were sent SIGKILL; Reason says why, and how many there were
	KindSignaled                      // it was sent Signal, by command
	KindExited                        // the last of its processes ended; Exit is that of the first; Output; Next, unless a command ended it
	KindStopped                       // the replica stays down until a command starts it
	KindFinished                      // it stays down, as its policy does not launch it again after such an exit
	KindFailed                        // it exited too often and stays down, unless its group is restarted by EscalationRestartAll; Reason says how often
	KindOutputLost                    // Lost lines of its output were dropped, as Config.OnOutput took too long or the supervisor ended
	KindGuardianLost                  // the guardian ended or hangs, and another is started; Err says why
	KindUnready                       // the incarnation was ready and reports that it does not serve; Err says how
	KindDaemonized                    // its first process ended and left others running, for the first time with its settings; Reason
	KindStillStarting                 // it is not ready 10 s after its launch, or half of StartTimeout where that is less; Err says why
)

var kinds = [...]string{
	KindAdded: "added", KindChanged: "changed", KindRemoved: "removed", KindLaunched: "launched", KindLaunchFailed: "launch failed",
	KindReady: "ready", KindUnhealthy: "unhealthy", KindStopping: "stopping", KindKilled: "killed", KindSignaled: "signaled",
	KindExited: "exited", KindStopped: "stopped", KindFinished: "finished", KindFailed: "failed", KindOutputLost: "output lost",
	KindGuardianLost: "guardian lost", KindUnready: "unready", KindDaemonized: "daemonized",
	KindStillStarting: "still starting",
}

func (k Kind) String() string {
	if k < 1 || int(k) >= len(kinds) {
		return fmt.Sprintf("Kind(%d)", int(k))
	}
	return kinds[k]
}

// Event is something that happened to a replica, or to the guardian.
type Event struct {
	Sequence    uint64 // from 1, without a gap, in the order in which events are reported
	Kind        Kind
	Time        time.Time        // when it happened: for KindExited when the process ended, however late that is reported
	Elapsed     time.Duration    // from the first event's Time to this one's, by the monotonic clock
	Replica     string           // name; empty with KindGuardianLost
	Group       string           // name of its group
	Incarnation int              // the launch it belongs to, from 1; zero: not launched yet, and with KindOutputLost
	PID         int              // process and process group; zero: there is no process, and with KindOutputLost
	Exit        restart.Exit     // with KindLaunchFailed, KindExited, KindFinished and KindFailed
	Next        restart.Decision // with KindLaunchFailed and KindExited
	After       time.Duration    // with KindReady
	Signal      syscall.Signal   // with KindSignaled
	Reason      string           // with KindStopping, KindKilled, KindFinished, KindFailed and KindDaemonized
	Output      []string         // with KindExited: the last lines it wrote, at most 20 of at most 1 KiB each; a journal drops old ones
	Lost        uint64           // with KindOutputLost: how many lines since the last such event
	Err         error            // with KindUnhealthy, KindUnready, KindStillStarting and KindGuardianLost
}
