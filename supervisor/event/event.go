// Package event defines the events that a supervisor reports about its replicas, their JSON form,
// and a journal that keeps the latest of them.
//
// Programs that embed package supervisor receive events through Config.OnEvent or Supervisor.Watch.
// Use this package by itself to read events that were written as JSON lines, such as those of
// `supervisor --events FILE`, see [Event.UnmarshalJSON].
package event

import (
	"fmt"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/restart"
)

// Kind is what an [Event] reports.
type Kind int

// The first event of a replica is KindAdded. The last one is KindRemoved, which only KindOutputLost
// can follow, because output may be read a little longer. Each KindLaunched is followed by exactly
// one KindExited of the same incarnation.
const (
	KindAdded   Kind = iota + 1 // the replica is part of a group now
	KindChanged                 // its settings changed; its process is not affected by the change itself
	// It left its group or, if Reason is ReasonEnd, the supervisor ends. It has no process.
	KindRemoved
	KindLaunched     // a process was started; Incarnation and PID are new
	KindLaunchFailed // no process could be started; Exit.Err says why, Next what follows
	// The incarnation is ready, or is ready again after KindUnready. After is the time since its
	// launch.
	KindReady
	// It did not become ready in time, or is not alive, and is about to be stopped or killed. Err
	// says why.
	KindUnhealthy
	KindStopping // it was sent its stop signal; Reason says why
	// All its processes were sent SIGKILL. Reason says why, how many there were, and whether some
	// may not be killed.
	KindKilled
	KindSignaled // a command sent it Signal
	// The last of its processes has ended. Exit is that of the first process, Output has the last
	// lines, and Next says what follows, unless a command caused the exit.
	KindExited
	KindStopped  // it stays down until a command starts it
	KindFinished // it stays down, because its policy does not relaunch it after such an exit
	// It exited too often, as Reason says, and stays down, unless EscalationRestartAll restarts its
	// group.
	KindFailed
	// Lost lines of its output were dropped, because Config.OnOutput took too long or the
	// supervisor ended.
	KindOutputLost
	KindGuardianLost // the guardian ended or hangs, and is replaced; Err says why
	KindUnready      // the incarnation was ready, but now reports that it is not serving; Err says how
	// Its first process ended and left others running. This is reported once, until its settings
	// change.
	KindDaemonized
	// It is not ready 10 s after its launch, or after half of StartTimeout if that is less; Err
	// says why.
	KindStillStarting
)

// ReasonEnd is the Reason of KindStopping and KindRemoved if the supervisor ends.
const ReasonEnd = "the supervisor ends"

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

// Event is something that happened to a replica, or to the guardian. Fields that a kind does not
// mention are zero.
type Event struct {
	Sequence    uint64 // 1 for the first event, and 1 more for each one after it
	Kind        Kind
	Time        time.Time        // when it happened; KindExited: when the process ended, however late that is reported
	Elapsed     time.Duration    // monotonic time from the first event's Time to this one's
	Replica     string           // name of the replica; KindGuardianLost: empty
	Group       string           // name of its group
	Incarnation int              // number of the launch, from 1; zero: not launched yet, and for KindOutputLost
	PID         int              // process and process group; zero: no process, and for KindOutputLost
	Exit        restart.Exit     // KindLaunchFailed, KindExited, KindFinished and KindFailed
	Next        restart.Decision // KindLaunchFailed and KindExited
	After       time.Duration    // KindReady
	Signal      syscall.Signal   // KindSignaled
	Reason      string           // KindRemoved, KindStopping, KindKilled, KindFinished, KindFailed and KindDaemonized
	// Output has the last lines of an incarnation (KindExited): at most 20, each cut to 1 KiB. A
	// [Journal] drops those of old events.
	Output []string
	Lost   uint64 // KindOutputLost: lines lost since the last such event
	Err    error  // KindUnhealthy, KindUnready, KindStillStarting and KindGuardianLost
}
