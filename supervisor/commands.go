package supervisor

import (
	"context"
	"syscall"

	"example.com/crashlab/supervisor/internal/replicas"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

// Errors of commands. They are wrapped in errors that name the replica or group;
// ErrClosed may come alone.
var (
	ErrUnknown    = replicas.ErrUnknown
	ErrNotRunning = replicas.ErrNotRunning // from Signal
	ErrNotReady   = replicas.ErrNotReady   // from RollingRestart and Apply
	ErrClosed     = replicas.ErrClosed     // before Run, and once Run stops its replicas
	ErrSuperseded = replicas.ErrSuperseded // and asked for the opposite
)

// Start launches replicas that are down, for whatever reason, and those that wait
// for a relaunch. Their past exits are forgotten. Replicas that have a process are
// left alone. Start does not wait until they are launched. Names are of replicas
// or groups; none: all.
func (s *Supervisor) Start(names ...string) error { return s.set.Start(names...) }

// Stop stops replicas, all at the same time, except that those that others come
// after (see [spec.Group.After]) end last. Each gets its StopSignal, and SIGKILL after
// its StopTimeout, and stays down until it is started. Stop returns when the last
// has ended. If ctx ends before, Stop returns its error, but the replicas are
// stopped all the same. Names are of replicas or groups; none: all.
func (s *Supervisor) Stop(ctx context.Context, names ...string) error {
	return s.set.Stop(ctx, names...)
}

// Restart stops replicas, all at the same time, and launches each as soon as it
// has ended, without a delay. Those that were down are launched. It returns when
// all were launched. If ctx ends before, it returns its error, but the replicas
// are restarted all the same. Names are of replicas or groups; none: all.
func (s *Supervisor) Restart(ctx context.Context, names ...string) error {
	return s.set.Restart(ctx, names...)
}

// RollingRestart restarts replicas one at a time, in their order: the next is
// stopped only when the one before is ready again. It returns an error that wraps
// ErrNotReady at the first replica that does not become ready: it exited, or took
// longer than its StartTimeout, or 1 minute if it has none. If ctx ends, it returns
// its error, but the replica that was stopped is still launched. Replicas that are
// down stay down, and those that wait for other groups go on waiting. Names are
// of replicas or groups; none: all.
func (s *Supervisor) RollingRestart(ctx context.Context, names ...string) error {
	return s.set.RollingRestart(ctx, names...)
}

// Signal sends a signal to the process groups of replicas. For replicas without a
// process the error wraps ErrNotRunning; the others get the signal all the same.
// Names are of replicas or groups; none: all.
func (s *Supervisor) Signal(sig syscall.Signal, names ...string) error {
	return s.set.Signal(sig, names...)
}

// List returns the status of all replicas, in their order: that of the groups, and
// in each from 0 on.
func (s *Supervisor) List() []status.Status { return s.set.List() }

// Get returns the status of a replica. The error wraps ErrUnknown.
func (s *Supervisor) Get(name string) (status.Status, error) { return s.set.Get(name) }

// Apply replaces the groups: it stops the replicas that are not in the new ones,
// launches those that are new, and leaves alone those that are the same. Replicas
// whose command, environment, directory, address or limits differ are restarted
// one at a time, as by RollingRestart; other changes need no restart.
//
// If the groups are not valid, Apply returns an error and changes nothing. It
// returns when all is done, when ctx ends, with its error, or when a restarted
// replica does not become ready, with an error that wraps ErrNotReady. All changes
// are in force then, except that replicas that were not restarted yet are restarted
// by the next Apply.
func (s *Supervisor) Apply(ctx context.Context, groups []spec.Group) error {
	return s.set.Apply(ctx, groups)
}

// Scale changes the number of replicas of a group: the last ones are stopped, or
// new ones launched. It returns when that is done, or with ctx's error when that
// ends, but the replicas are stopped or launched all the same.
func (s *Supervisor) Scale(ctx context.Context, group string, count int) error {
	return s.set.ChangeGroup(ctx, group, func(g *spec.Group) { g.Count = count })
}

// SetPolicy changes the policy of a group. If a restart delay is running, it is
// changed accordingly.
func (s *Supervisor) SetPolicy(ctx context.Context, group string, p restart.Policy) error {
	return s.ChangePolicy(ctx, group, func(old *restart.Policy) { *old = p })
}

// ChangePolicy is SetPolicy with a function that changes the present policy. No
// other change of the groups comes in between.
func (s *Supervisor) ChangePolicy(ctx context.Context, group string, change func(*restart.Policy)) error {
	return s.set.ChangeGroup(ctx, group, func(g *spec.Group) { change(&g.Policy) })
}

// Current returns the groups as Apply, Scale and SetPolicy have left them.
func (s *Supervisor) Current() []spec.Group { return s.set.Current() }
