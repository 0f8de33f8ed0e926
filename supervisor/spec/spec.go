// Package spec describes what a supervisor runs: groups of replicas, and how each replica is
// launched, probed, limited and stopped. It contains only values. Package supervisor checks them,
// in New and Apply.
package spec

import (
	"fmt"
	"strconv"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/restart"
)

// MaxCount is the largest Group.Count that cluster files and clients of the control service can ask
// for. No machine has the ports and processes for more.
const MaxCount = 1000

// Group is a set of replicas that run the same command under the same restart policy.
type Group struct {
	Name   string         // unique, and not that of another group's replica; may be empty
	Count  int            // number of replicas; zero is allowed
	Max    int            // highest Count, also for Scale; zero: no limit
	Policy restart.Policy // what follows an exit; zero: always relaunch at once

	// After names groups that this group depends on. When Run begins, and when a command starts its
	// replicas, they are launched only once all replicas of those groups are ready or, under a
	// Policy.Mode of ModeNever, have exited with code 0. When both groups are stopped, this one
	// ends first. Relaunches and restarts do not wait.
	After []string

	// Replica returns the i-th replica, counted from 0. It must always return the same for the same
	// i. The name must be unique within the Supervisor.
	Replica func(i int) Replica
}

// Replica is a command to keep running, as one process at a time.
//
// The supervisor adds these variables to its environment:
//
//   - CRASHLAB_INCARNATION is the number of the launch, from 1.
//   - SUPERVISOR_ID identifies the processes of the replica, which must not clear it.
//   - NOTIFY_SOCKET is set if Ready is a ProbeNotify. The socket accepts messages from any process
//     of the replica's user, of the supervisor's user and of root.
type Replica struct {
	Name string   // unique within a Supervisor; not empty
	Args []string // the program, which is looked up in PATH unless it contains a slash, and its arguments
	Env  []string // "KEY=value" each; nil: inherit all but NOTIFY_SOCKET; empty but not nil: none
	Dir  string   // working directory, to which a program with a slash is relative; empty: the supervisor's
	Addr string   // address at which it serves, for probes and Status; may be empty

	// StopTimeout is the time from StopSignal until SIGKILL ends what is left of the replica. Zero
	// means 5 s; a negative value is an error.
	StopTimeout time.Duration
	StopSignal  syscall.Signal // asks the replica to end; zero: SIGTERM
	StopTo      StopTarget     // which processes get StopSignal

	// Ready determines when a launched process is ready. The zero value means at once.
	Ready Probe
	// StartTimeout is the longest time from launch to ready. A process that exceeds it is killed,
	// and counted as one that failed to start. Zero means no limit.
	StartTimeout time.Duration
	// Alive checks processes that are ready. A process that fails Threshold checks in a row is
	// killed. The zero value means no checks.
	Alive Probe

	// Limits are resource limits and the user of the process. The zero value sets none.
	Limits Limits

	// Overflow determines what happens to lines for which Config.OnOutput is too slow. A change
	// takes effect at the next launch.
	Overflow Overflow
}

// Overflow determines what happens to lines of output that do not fit into the queue.
type Overflow int

const (
	OverflowBlock Overflow = iota // the replica blocks as it writes; its exit is never delayed
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

// StopTarget determines which processes of a replica get its StopSignal.
type StopTarget int

const (
	StopGroup  StopTarget = iota // the whole process group
	StopLeader                   // only the first process, while it runs; it is expected to stop the others
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

// Limits are in force from the first instruction of a launched process, and are inherited by the
// processes that it starts. A launch fails if the system refuses one.
//
// Rlimits and Nice are an error on systems other than Linux. They require that the supervisor may
// trace its children, which is the default (see Yama and seccomp). Unless the supervisor runs as
// root, a program's set-user-ID bit and file capabilities then have no effect.
type Limits struct {
	Rlimits map[string]Rlimit // by name in lower case, without RLIMIT_: nofile, core, as, ...
	Nice    int               // added to the supervisor's own nice value, -20 to 19

	// User is the user to run as, by name or number, or USER:GROUP for another primary group. The
	// process also gets the user's supplementary groups; a number without a user gets the group of
	// that number. Another user than the supervisor's own requires root. HOME, USER and LOGNAME are
	// set to match unless Env sets them. Empty means the supervisor's user.
	User string
}

// Rlimit is a resource limit, in the unit of setrlimit(2), or Unlimited.
type Rlimit struct{ Soft, Hard uint64 }

// String returns the limit as a cluster file has it: NUMBER or SOFT:HARD, with unlimited for a
// number.
func (l Rlimit) String() string {
	if l.Soft == l.Hard {
		return limitText(l.Soft)
	}
	return limitText(l.Soft) + ":" + limitText(l.Hard)
}

func limitText(n uint64) string {
	if n == Unlimited {
		return "unlimited"
	}
	return strconv.FormatUint(n, 10)
}

// Unlimited is the value of an [Rlimit] without a limit.
const Unlimited = ^uint64(0)
