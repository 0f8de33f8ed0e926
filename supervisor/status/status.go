// Package status describes the state of the replicas of a supervisor, as Supervisor.List and
// Supervisor.Get return it.
package status

import (
	"fmt"
	"time"

	"example.com/crashlab/supervisor/restart"
)

// State is a phase of a replica's lifecycle.
type State int

const (
	StateWaiting  State = iota + 1 // waiting for its launch, see Status.Next and Status.Blocker
	StateStarting                  // its process runs and is not ready yet
	StateReady                     // its process runs and is ready
	StateStopping                  // its process was sent a signal to end
	StateStopped                   // down, because a command stopped it
	StateFinished                  // down, because its policy does not relaunch it after such an exit
	StateFailed                    // down, because it exited too often
	StateUnready                   // its process runs and was ready, but now reports that it is not serving
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

// Status is the state of a replica at one point in time.
type Status struct {
	Replica     string // name of the replica
	Group       string // name of its group
	Addr        string // where its process serves, or where the next one will
	State       State
	Incarnation int       // number of the latest launch, from 1; zero: not launched yet
	PID         int       // zero: no process
	Launched    time.Time // when its process was launched; zero: no process
	Ready       time.Time // when its process first became ready; zero: not yet
	Answer      error     // why the latest probe of its process failed; nil: it succeeded, or there was none
	Next        time.Time // StateWaiting: when the launch is due; zero: it depends on Blocker
	// StateWaiting: the group that the launch waits for (see spec.Group.After); empty: none
	Blocker  string
	Restarts int            // launches after the first
	Exits    int            // exits that no command caused
	Failures int            // those of Exits without ever becoming ready, and failed launches
	Last     restart.Exit   // the latest exit; zero: none yet
	Exited   time.Time      // time of Last
	Lost     uint64         // lines of output that were dropped
	Policy   restart.Policy // restart policy of its group
}
