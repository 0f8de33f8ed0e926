package supervisor

import (
	"context"
	"syscall"

	"example.com/crashlab/supervisor/internal/replicas"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

// Errors returned by commands. They are wrapped in an error that names the replica or group, except
// that ErrClosed may be returned as it is.
var (
	ErrUnknown    = replicas.ErrUnknown    // there is no such replica or group
	ErrNotRunning = replicas.ErrNotRunning // Signal: the replica has no process
	ErrNotReady   = replicas.ErrNotReady   // RollingRestart, Apply: a restarted replica did not become ready
	ErrClosed     = replicas.ErrClosed     // Run was not called yet, or is already stopping the replicas
	ErrSuperseded = replicas.ErrSuperseded // a later command asked for the opposite
)

// Start launches replicas that are down, for whatever reason, and those that wait for a relaunch,
// and forgets their past exits. Replicas that have a process are left alone. Start does not wait
// for the launches. The names are of replicas or groups; without names it starts all.
func (s *Supervisor) Start(names ...string) error { return s.set.Start(names...) }

// Stop stops replicas, all at the same time, except that a group ends after the groups that depend
// on it (see [spec.Group.After]). Each replica gets its StopSignal, and SIGKILL after its
// StopTimeout, and stays down until it is started. Stop returns when the last one has ended. If ctx
// ends first, Stop returns its error, but the replicas are stopped nevertheless. The names are of
// replicas or groups; without names it stops all.
func (s *Supervisor) Stop(ctx context.Context, names ...string) error {
	return s.set.Stop(ctx, names...)
}

// Restart stops replicas, all at the same time, and launches each one without a delay as soon as it
// has ended. Replicas that are down are launched as well. Restart returns when all have been
// launched. If ctx ends first, it returns its error, but the replicas are restarted nevertheless.
// The names are of replicas or groups; without names it restarts all.
func (s *Supervisor) Restart(ctx context.Context, names ...string) error {
	return s.set.Restart(ctx, names...)
}

// RollingRestart restarts replicas one at a time, in order: the next one is stopped only when the
// one before is ready again. At the first replica that does not become ready it stops, with an
// error that wraps ErrNotReady: the replica exited, or took longer than its StartTimeout, or than 1
// minute if it has none. If ctx ends first, RollingRestart returns its error, but a replica that
// was stopped is launched again. Replicas that are down stay down, and those that wait for other
// groups keep waiting. The names are of replicas or groups; without names it restarts all.
func (s *Supervisor) RollingRestart(ctx context.Context, names ...string) error {
	return s.set.RollingRestart(ctx, names...)
}

// Signal sends a signal to the process groups of replicas. For replicas without a process the error
// wraps ErrNotRunning, and for those whose processes belong to another user EPERM; the others are
// sent the signal nevertheless. The names are of replicas or groups; without names it signals all.
func (s *Supervisor) Signal(sig syscall.Signal, names ...string) error {
	return s.set.Signal(sig, names...)
}

// List returns the status of all replicas, in the order of their groups and of their index in the
// group.
func (s *Supervisor) List() []status.Status { return s.set.List() }

// Get returns the status of a replica. If there is none of that name, the error wraps ErrUnknown.
func (s *Supervisor) Get(name string) (status.Status, error) { return s.set.Get(name) }

// Apply replaces the groups. It stops the replicas that are not in the new groups, launches those
// that are new, and leaves unchanged ones alone. Replicas whose command, environment, directory,
// address or limits differ are restarted one at a time, as by RollingRestart, and launched if they
// were given up; other changes need no restart.
//
// If the groups are not valid, Apply returns an error and changes nothing. Otherwise it returns
// when everything is done, when ctx ends, with its error, or when a restarted replica does not
// become ready, with an error that wraps ErrNotReady. Even then the new groups are in force;
// replicas that are still to be restarted are restarted by the next Apply.
func (s *Supervisor) Apply(ctx context.Context, groups []spec.Group) error {
	return s.set.Apply(ctx, groups)
}

// Scale changes the number of replicas of a group: it stops the last ones, or launches new ones. It
// returns when that is done. If ctx ends first, it returns its error, but the change is carried out
// nevertheless.
func (s *Supervisor) Scale(ctx context.Context, group string, count int) error {
	return s.set.ChangeGroup(ctx, group, func(g *spec.Group) { g.Count = count })
}

// SetPolicy replaces the restart policy of a group. A restart delay that is under way is changed
// accordingly.
func (s *Supervisor) SetPolicy(ctx context.Context, group string, p restart.Policy) error {
	return s.ChangePolicy(ctx, group, func(old *restart.Policy) { *old = p })
}

// ChangePolicy changes the restart policy of a group with a function, atomically with respect to
// other changes of the groups.
func (s *Supervisor) ChangePolicy(ctx context.Context, group string, change func(*restart.Policy)) error {
	return s.set.ChangeGroup(ctx, group, func(g *spec.Group) { change(&g.Policy) })
}

// Current returns the groups as the latest Apply, Scale or SetPolicy left them.
func (s *Supervisor) Current() []spec.Group { return s.set.Current() }
