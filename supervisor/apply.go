package supervisor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/restart"
)

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
func (s *Supervisor) Apply(ctx context.Context, groups []Group) error {
	release, err := s.set.change(ctx)
	if err != nil {
		return err
	}
	defer release()
	return s.set.apply(ctx, groups, s.config.Health != nil)
}

// Scale changes the number of replicas of a group: the last ones are stopped, or
// new ones launched. It returns when that is done, or with ctx's error when that
// ends, but the replicas are stopped or launched all the same.
func (s *Supervisor) Scale(ctx context.Context, group string, count int) error {
	return s.changeGroup(ctx, group, func(g *Group) { g.Count = count })
}

// SetPolicy changes the policy of a group. If a restart delay is running, it is
// changed accordingly.
func (s *Supervisor) SetPolicy(ctx context.Context, group string, p restart.Policy) error {
	return s.ChangePolicy(ctx, group, func(old *restart.Policy) { *old = p })
}

// ChangePolicy is SetPolicy with a function that changes the present policy. No
// other change of the groups comes in between.
func (s *Supervisor) ChangePolicy(ctx context.Context, group string, change func(*restart.Policy)) error {
	return s.changeGroup(ctx, group, func(g *Group) { change(&g.Policy) })
}

func (s *Supervisor) changeGroup(ctx context.Context, name string, change func(*Group)) error {
	release, err := s.set.change(ctx)
	if err != nil {
		return err
	}
	defer release()
	groups := s.Current()
	i := slices.IndexFunc(groups, func(g Group) bool { return g.Name == name })
	if i < 0 {
		return fmt.Errorf("group %q: %w", name, ErrUnknown)
	}
	change(&groups[i])
	return s.set.apply(ctx, groups, s.config.Health != nil)
}

// Current returns the groups as Apply, Scale and SetPolicy have left them.
func (s *Supervisor) Current() []Group {
	s.set.mu.Lock()
	defer s.set.mu.Unlock()
	return slices.Clone(s.set.groups)
}

// apply is Apply for callers that hold off other changes.
func (t *set) apply(ctx context.Context, groups []Group, health bool) error {
	all, err := members(groups, health)
	if err != nil {
		return err
	}
	wanted := make(map[string]member)
	for _, p := range all {
		wanted[p.Name] = p
	}
	var leaving, restarting []*runner
	held := make(map[string]bool) // addresses of those that are to be restarted
	for _, r := range t.all() {
		m, ok := wanted[r.name]
		if !ok {
			leaving = append(leaving, r)
			continue
		}
		r.do(func() {
			if !r.adapt(m) {
				return
			}
			if restarting = append(restarting, r); r.process != nil {
				held[r.launched.Addr] = r.launched.Addr != ""
			}
		})
	}
	slices.Reverse(leaving) // stop the last ones first
	failed := []error{t.remove(ctx, leaving, "it is not wanted any more")}
	var first, later []*runner
	for _, r := range t.admit(groups, all) {
		if held[r.now().Addr] {
			later = append(later, r)
		} else {
			first = append(first, r)
		}
	}
	t.launch(ctx, first)
	failed = append(failed, t.roll(ctx, restarting, "its settings have changed"))
	t.launch(ctx, later)
	return errors.Join(failed...)
}

// adapt gives the replica its settings, and reports whether its process must be
// restarted for them. A start that is yet to come has them without.
func (r *runner) adapt(m member) bool {
	if !reflect.DeepEqual(r.wanted, m) {
		r.configure(m)
	}
	if r.core.Intent() == lifecycle.IntentLeave && r.set.ctx.Err() == nil {
		r.command(lifecycle.InputReturn, "") // it was not wanted for a while
		return true
	}
	return !r.held && !r.launched.sameProcess(m.Replica)
}
