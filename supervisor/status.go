package supervisor

import (
	"fmt"
	"time"

	"example.com/crashlab/supervisor/internal/process/tree"
	"example.com/crashlab/supervisor/restart"
)

// State is a phase of a replica's lifecycle.
type State int

// In the order of package lifecycle.
const (
	StateWaiting  State = iota + 1 // it will be launched, at Status.Next: its restart delay runs, or others are starting
	StateStarting                  // its process runs, and is not ready yet
	StateReady                     // its process runs, and is ready
	StateStopping                  // its process was sent a signal to end
	StateStopped                   // there is no process, by command
	StateFinished                  // there is no process: its policy wants none after the last exit
	StateFailed                    // there is no process: it exited too often
	StateUnready                   // its process runs, was ready, and reports that it does not serve
)

var states = [...]string{
	StateWaiting: "waiting", StateStarting: "starting", StateReady: "ready", StateStopping: "stopping",
	StateStopped: "stopped", StateFinished: "finished", StateFailed: "failed",
	StateUnready: "unready",
}

func (s State) String() string {
	if s < 1 || int(s) >= len(states) {
		return fmt.Sprintf("State(%d)", int(s))
	}
	return states[s]
}

// Status is how a replica is at one time.
type Status struct {
	Replica     string
	Group       string
	Addr        string
	State       State
	Incarnation int            // the latest launch, from 1; zero: none yet
	PID         int            // zero: there is no process
	Launched    time.Time      // when the process was launched; zero: there is none
	Ready       time.Time      // when it became ready first; zero: it has not
	Answer      error          // the latest answer of its process to a probe, if it was bad; nil: it was good, or there was none
	Next        time.Time      // with StateWaiting: when it will be launched; zero: that depends on Blocker
	Blocker     string         // with StateWaiting: the group, not up yet, that its start comes after; empty: none
	Restarts    int            // launches after the first
	Exits       int            // ends of processes that nobody asked for
	Failures    int            // of those, the ones that were of no use (see Limit); and launches that failed
	Last        restart.Exit   // the latest exit; zero: none yet
	Exited      time.Time      // when that was
	Lost        uint64         // lines of output that were dropped
	Policy      restart.Policy // its group's
}

// Usage is what a replica's processes use.
type Usage struct {
	CPU    time.Duration // user and system time of those that run, and of those that they have waited for
	Memory uint64        // resident, in bytes; what processes share counts for each
}

// Usage returns what the replica's process and its descendants use now. It
// returns false if the process has ended, or where this cannot be known.
func (s Status) Usage() (Usage, bool) {
	if s.PID == 0 {
		return Usage{}, false
	}
	u, ok := tree.UsageOf(s.PID)
	return Usage(u), ok
}
