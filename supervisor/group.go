package supervisor

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/internal/process"
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

	// Overflow says what happens to lines for which [Config.OnOutput] is too
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

// Check returns an error for what is out of range or not supported on this system,
// as New and Apply do. It does not look up the user.
func (l Limits) Check() error { return l.process().Check() }

func (l Limits) process() process.Limits {
	p := process.Limits{Nice: l.Nice, User: l.User}
	for name, r := range l.Rlimits {
		if p.Rlimits == nil {
			p.Rlimits = make(map[string]process.Rlimit)
		}
		p.Rlimits[name] = process.Rlimit(r)
	}
	return p
}

// Rlimit is one resource limit, in the unit of setrlimit(2), or Unlimited.
type Rlimit struct{ Soft, Hard uint64 }

// Unlimited is the value of an [Rlimit] that does not limit.
const Unlimited = ^uint64(0)

// settings returns the settings for package lifecycle.
func (m member) settings() lifecycle.Settings {
	s := lifecycle.Settings{
		Policy: m.policy, Ready: m.Ready.core(readyPeriod), Alive: m.Alive.core(alivePeriod),
		StartTimeout: m.StartTimeout, StopTimeout: m.stopTimeout(), Question: [2]question{m.Ready.question(), m.Alive.question()},
	}
	// Only these can report that they do not serve any more.
	if (m.Ready.Kind == ProbeGRPC || m.Ready.Kind == ProbeHTTP) && m.Ready.question() != m.Alive.question() {
		s.Ready.Watch = max(m.Ready.Period, alivePeriod)
	}
	return s
}

func (r Replica) stopTimeout() time.Duration {
	if r.StopTimeout == 0 {
		return defaultStopTimeout
	}
	return r.StopTimeout
}

func (r Replica) stopSignal() syscall.Signal { return cmp.Or(r.StopSignal, syscall.SIGTERM) }

// sameProcess reports whether a process of r need not be restarted for other.
func (r Replica) sameProcess(other Replica) bool {
	return reflect.DeepEqual(r.ofProcess(), other.ofProcess())
}

// ofProcess returns the part of r that takes a restart to change.
func (r Replica) ofProcess() Replica {
	p := Replica{Name: r.Name, Args: r.Args, Env: r.Env, Dir: r.Dir, Addr: r.Addr, Limits: r.Limits}
	if r.Ready.Kind == ProbeNotify { // which gives its process a NOTIFY_SOCKET
		p.Ready.Kind = ProbeNotify
	}
	return p
}

func (r Replica) check(health bool) error {
	if err := r.Ready.check(r.Addr, false, health); err != nil {
		return fmt.Errorf("replica %q: ready: %w", r.Name, err)
	}
	if err := r.Alive.check(r.Addr, true, health); err != nil {
		return fmt.Errorf("replica %q: alive: %w", r.Name, err)
	}
	if err := r.Limits.Check(); err != nil {
		return fmt.Errorf("replica %q: %w", r.Name, err)
	}
	switch {
	case len(r.Args) == 0:
		return fmt.Errorf("replica %q has no command", r.Name)
	case r.Overflow != OverflowBlock && r.Overflow != OverflowDrop:
		return fmt.Errorf("replica %q: overflow %d: want OverflowBlock or OverflowDrop", r.Name, int(r.Overflow))
	case r.StopTimeout < 0:
		return fmt.Errorf("replica %q: stop timeout %v: want 0 (the default, %v) or more", r.Name, r.StopTimeout, defaultStopTimeout)
	case r.StopSignal < 0 || r.StopTo < StopGroup || r.StopTo > StopLeader:
		return fmt.Errorf("replica %q: stop signal %d to %d: want a signal, to the group or its leader", r.Name, r.StopSignal, r.StopTo)
	case r.StartTimeout < 0:
		return fmt.Errorf("replica %q: start timeout %v: want 0 (none) or more", r.Name, r.StartTimeout)
	}
	return nil
}

// member is a replica with the settings of its group.
type member struct {
	Replica
	group  string
	policy restart.Policy
}

// members checks groups and returns their replicas in order. Health says whether
// there is a Config.Health.
func members(groups []Group, health bool) ([]member, error) {
	var all []member
	names, groupNames := make(map[string]bool), make(map[string]bool)
	for _, g := range groups {
		switch {
		case groupNames[g.Name]:
			return nil, fmt.Errorf("group name %q is used twice", g.Name)
		case g.Count < 0:
			return nil, fmt.Errorf("group %q: %d replicas: want 0 or more", g.Name, g.Count)
		case g.Max < 0:
			return nil, fmt.Errorf("group %q: max %d: want 0 (none) or more", g.Name, g.Max)
		case g.Max > 0 && g.Count > g.Max:
			return nil, fmt.Errorf("group %q: %d replicas: want %d or less", g.Name, g.Count, g.Max)
		case g.Replica == nil:
			return nil, fmt.Errorf("group %q has no Replica", g.Name)
		}
		groupNames[g.Name] = true
		if err := g.Policy.Check(); err != nil {
			return nil, fmt.Errorf("group %q: %w", g.Name, err)
		}
		for i := range g.Count {
			r := g.Replica(i)
			switch {
			case r.Name == "":
				return nil, fmt.Errorf("group %q: replica %d has no name", g.Name, i)
			case names[r.Name]:
				return nil, fmt.Errorf("replica name %q is used twice", r.Name)
			}
			names[r.Name] = true
			if err := r.check(health); err != nil {
				return nil, err
			}
			all = append(all, member{r, g.Name, g.Policy})
		}
	}
	return all, checkAfter(groups)
}

// checkAfter returns an error if there is no order in which to start groups.
func checkAfter(groups []Group) error {
	var names []string
	for _, g := range groups {
		names = append(names, g.Name)
	}
	for _, g := range groups {
		for _, name := range g.After {
			if !slices.Contains(names, name) {
				return fmt.Errorf("group %q: after %q: want one of the groups %s", g.Name, name, strings.Join(names, ", "))
			}
		}
	}
	switch _, circle := lifecycle.Layers(names, after(groups)); len(circle) {
	case 0:
	case 1:
		return fmt.Errorf("group %q: after: want others than itself", circle[0])
	default:
		return fmt.Errorf("groups %s: after: each comes after another of them", strings.Join(circle, ", "))
	}
	return nil
}
