// Package status describes what the replicas of a supervisor are doing.
package status

import (
	"fmt"
	"time"

	"example.com/crashlab/supervisor/restart"
)

// State is a phase of a replica's lifecycle.
type State int

const (
	StateWaiting  State = iota + 1 // it waits for its launch, at Status.Next, or for its turn to start
	StateStarting                  // its process runs and is not ready yet
	StateReady                     // its process runs and is ready
	StateStopping                  // its process was sent a signal to end
	StateStopped                   // it has no process, as it was stopped by command
	StateFinished                  // it has no process, as its policy wants none after the last exit
	StateFailed                    // it has no process, as it exited too often
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

// Status describes a replica at one point in time.
type Status struct {
	Replica     string // its name
	Group       string // the name of its group
	Addr        string // where its process serves; without a process, where the next one will
	State       State
	Incarnation int            // the latest launch, from 1; zero: none yet
	PID         int            // zero: there is no process
	Launched    time.Time      // when the process was launched; zero: there is none
	Ready       time.Time      // when its process first became ready; zero: it has not
	Answer      error          // why the latest probe of its process failed; nil: it succeeded, or there was none
	Next        time.Time      // with StateWaiting: when its launch is due; zero: that depends on Blocker
	Blocker     string         // with StateWaiting: the group that it must wait for, see After in package spec; empty: none
	Restarts    int            // launches after the first
	Exits       int            // exits that no command asked for
	Failures    int            // of Exits, those of incarnations that never became ready; and launches that failed
	Last        restart.Exit   // the latest exit; zero: none yet
	Exited      time.Time      // when Last was
	Lost        uint64         // lines of output that were dropped
	Policy      restart.Policy // the policy of its group
}
