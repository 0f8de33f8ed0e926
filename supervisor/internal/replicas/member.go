package replicas

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/internal/probe"
	"example.com/crashlab/supervisor/internal/process"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// Member is a replica with the settings of its group.
type Member struct {
	spec.Replica
	Group  string
	Policy restart.Policy
}

// settings returns the settings for package lifecycle.
func (m Member) settings() lifecycle.Settings {
	s := lifecycle.Settings{
		Policy: m.Policy, Ready: probe.For(m.Ready, false), Alive: probe.For(m.Alive, true),
		StartTimeout: m.StartTimeout, StopTimeout: m.stopTimeout(),
		Question: [2]probe.Question{probe.QuestionOf(m.Ready), probe.QuestionOf(m.Alive)},
	}
	s.Ready.Watch = probe.WatchPeriod(m.Ready, m.Alive)
	return s
}

func (m Member) stopTimeout() time.Duration {
	return cmp.Or(m.StopTimeout, lifecycle.DefaultStopTimeout)
}

func (m Member) stopSignal() syscall.Signal { return cmp.Or(m.StopSignal, syscall.SIGTERM) }

// sameProcess reports whether a process launched for one can keep running for other.
func sameProcess(one, other spec.Replica) bool {
	return reflect.DeepEqual(ofProcess(one), ofProcess(other))
}

// ofProcess returns the part of r that only a restart can change.
func ofProcess(r spec.Replica) spec.Replica {
	p := spec.Replica{Name: r.Name, Args: r.Args, Env: r.Env, Dir: r.Dir, Addr: r.Addr, Limits: r.Limits}
	if r.Ready.Kind == spec.ProbeNotify { // its process has a NOTIFY_SOCKET
		p.Ready.Kind = spec.ProbeNotify
	}
	return p
}

func checkReplica(r spec.Replica, health bool) error {
	if err := probe.Check(r.Ready, r.Addr, false, health); err != nil {
		return fmt.Errorf("replica %q: ready: %w", r.Name, err)
	}
	if err := probe.Check(r.Alive, r.Addr, true, health); err != nil {
		return fmt.Errorf("replica %q: alive: %w", r.Name, err)
	}
	if err := process.CheckLimits(r.Limits); err != nil {
		return fmt.Errorf("replica %q: %w", r.Name, err)
	}
	switch {
	case len(r.Args) == 0:
		return fmt.Errorf("replica %q has no command", r.Name)
	case r.Overflow != spec.OverflowBlock && r.Overflow != spec.OverflowDrop:
		return fmt.Errorf("replica %q: overflow %d: want OverflowBlock or OverflowDrop", r.Name, int(r.Overflow))
	case r.StopTimeout < 0:
		return fmt.Errorf("replica %q: stop timeout %v: want 0 (the default, %v) or more", r.Name, r.StopTimeout, lifecycle.DefaultStopTimeout)
	case r.StopSignal < 0 || r.StopTo < spec.StopGroup || r.StopTo > spec.StopLeader:
		return fmt.Errorf("replica %q: stop signal %d to %d: want a signal, to the group or its leader", r.Name, r.StopSignal, r.StopTo)
	case r.StartTimeout < 0:
		return fmt.Errorf("replica %q: start timeout %v: want 0 (none) or more", r.Name, r.StartTimeout)
	}
	return nil
}

// Check returns an error if the groups cannot be run. Health reports whether there is a
// Config.Health.
func Check(groups []spec.Group, health bool) error {
	_, err := members(groups, health)
	return err
}

// members checks groups and returns their replicas in order.
func members(groups []spec.Group, health bool) ([]Member, error) {
	var all []Member
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
			if err := checkReplica(r, health); err != nil {
				return nil, err
			}
			all = append(all, Member{r, g.Name, g.Policy})
		}
	}
	for _, m := range all { // otherwise a command by that name would concern more than one of them
		if groupNames[m.Name] && m.Name != m.Group {
			return nil, fmt.Errorf("group name %q is also that of a replica of group %q", m.Name, m.Group)
		}
	}
	return all, checkAfter(groups)
}

// checkAfter returns an error if there is no order in which the groups can be started.
func checkAfter(groups []spec.Group) error {
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
