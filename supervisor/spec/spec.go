// Package spec describes what a supervisor is to run: groups of replicas, how each
// is launched, probed, limited and stopped. It holds values only; New and Apply of
// package supervisor check them.
package spec

import (
	"fmt"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/restart"
)

// Group is replicas that are launched from one command and restarted by one
// policy.
type Group struct {
	Name   string         // unique within a Supervisor; may be empty
	Count  int            // number of replicas, 0 or more
	Max    int            // highest Count, also for Scale; zero: no limit
	Policy restart.Policy // what follows an exit; zero: relaunch always, at once

	// After names groups that this one needs. Its replicas are started, by a
	// command or when Run begins, once all replicas of those groups are ready or,
	// if their Policy.Mode is ModeNever, have exited with code 0. When both are
	// stopped, those of this group end first. A relaunch or restart does not wait.
	After []string

	// Replica returns the i-th replica, from 0. It must return the same for the
	// same i. The name must be unique within the Supervisor.
	Replica func(i int) Replica
}

// Replica is one command to keep running, as one process at a time.
//
// These variables are added to its environment: CRASHLAB_INCARNATION is the number
// of the launch, from 1. SUPERVISOR_ID identifies its processes, which must not
// clear it. NOTIFY_SOCKET is set if Ready is a ProbeNotify: the socket takes
// messages from any process of the replica's user, our own or root.
type Replica struct {
	Name string   // unique within a Supervisor, not empty
	Args []string // the program, looked up in PATH unless it has a slash, then its arguments
	Env  []string // "KEY=value" each, see above for what is added; nil: inherit all but NOTIFY_SOCKET; empty: none
	Dir  string   // working directory, also for a relative path of the program; empty: inherit
	Addr string   // where it serves, for probes and Status; may be empty

	// StopTimeout is the time from StopSignal until SIGKILL ends whatever is
	// left of the replica. Zero: 5 s. Negative: an error.
	StopTimeout time.Duration
	StopSignal  syscall.Signal // asks the replica to end; zero: SIGTERM
	StopTo      StopTarget     // which processes get StopSignal

	// Ready says when an incarnation that was launched is ready. Zero: at once.
	Ready Probe
	// StartTimeout is the longest time from launch to ready. An incarnation that
	// exceeds it is killed, and counts as one that failed to start. Zero: none.
	StartTimeout time.Duration
	// Alive is asked of incarnations that are ready. One that fails Threshold
	// times in a row is killed. Zero: nothing is asked.
	Alive Probe

	// Limits bound what the replica may use. The zero value does not.
	Limits Limits

	// Overflow says what happens to lines for which Config.OnOutput is too
	// slow. A change applies from the next launch on.
	Overflow Overflow
}

// Overflow is what happens to lines for which there is no room.
type Overflow int

const (
	OverflowBlock Overflow = iota // the replica blocks when it writes; its exit is never held up
	OverflowDrop                  // lines are dropped and counted
)

func (o Overflow) String() string {
	switch o {
	case OverflowBlock:
		return "block"
	case OverflowDrop:
		return "drop"
	}
	return fmt.Sprintf("Overflow(%d)", int(o))
}

// StopTarget says which processes of a replica get its StopSignal.
type StopTarget int

const (
	StopGroup  StopTarget = iota // the whole process group
	StopLeader                   // only the first process, while it runs: it stops the others itself
)

func (t StopTarget) String() string {
	switch t {
	case StopGroup:
		return "group"
	case StopLeader:
		return "leader"
	}
	return fmt.Sprintf("StopTarget(%d)", int(t))
}

// Limits bound what an incarnation may use, from its first instruction on, and what
// the processes that it starts may use. A launch fails if the system refuses them.
//
// Rlimits and Nice are for Linux; on other systems they are an error. With them a
// program's set-user-ID bit and file capabilities have no effect, unless we are
// root, and the system must let us trace our children, as it does by default (see
// Yama and seccomp).
type Limits struct {
	Rlimits map[string]Rlimit // by name, without RLIMIT_ and in lower case: nofile, core, as …
	Nice    int               // added to that of our process, -20 to 19

	// User is the name or number of the user to run as, or USER:GROUP for another
	// primary group. The process also gets the user's other groups; a number that
	// no user has gets the group of that number. To run as another user than ours
	// takes root. HOME, USER and LOGNAME are set to the user's unless Env sets
	// them. Empty: ours.
	User string
}

// Rlimit is one resource limit, in the unit of setrlimit(2), or Unlimited.
type Rlimit struct{ Soft, Hard uint64 }

// Unlimited is the value of an [Rlimit] that does not limit.
const Unlimited = ^uint64(0)
