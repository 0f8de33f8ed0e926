package replicas

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/spec"
)

// Apply implements supervisor.Supervisor.Apply.
func (t *Set) Apply(ctx context.Context, groups []spec.Group) error {
	release, err := t.change(ctx)
	if err != nil {
		return err
	}
	defer release()
	return t.apply(ctx, groups)
}

// ChangeGroup applies change to a group. No other change of the groups comes in between.
func (t *Set) ChangeGroup(ctx context.Context, name string, change func(*spec.Group)) error {
	release, err := t.change(ctx)
	if err != nil {
		return err
	}
	defer release()
	groups := t.Current()
	i := slices.IndexFunc(groups, func(g spec.Group) bool { return g.Name == name })
	if i < 0 {
		return fmt.Errorf("group %q: %w", name, ErrUnknown)
	}
	change(&groups[i])
	return t.apply(ctx, groups)
}

// Current implements supervisor.Supervisor.Current.
func (t *Set) Current() []spec.Group {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.groups)
}

// apply is Apply for callers of change.
func (t *Set) apply(ctx context.Context, groups []spec.Group) error {
	all, err := members(groups, t.config.Prober.Health != nil)
	if err != nil {
		return err
	}
	wanted := make(map[string]Member)
	for _, p := range all {
		wanted[p.Name] = p
	}
	var leaving, restarting []*runner
	var occupied []string // addresses of replicas that are to be restarted
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
				occupied = append(occupied, r.launched.Addr)
			}
		})
	}
	slices.Reverse(leaving) // stop the last ones first
	failed := []error{t.remove(ctx, leaving, "it was removed")}
	var first, later []*runner
	for _, r := range t.admit(groups, all) {
		addr := r.now().Addr
		if slices.ContainsFunc(occupied, func(other string) bool { return lifecycle.Clash(other, addr) }) {
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

// adapt changes the settings of the replica, and reports whether its process must be restarted to
// use them. A launch that has yet to come uses them anyway.
func (r *runner) adapt(m Member) bool {
	if !reflect.DeepEqual(r.wanted, m) {
		r.configure(m)
	}
	if r.core.Intent() == lifecycle.IntentLeave && r.set.ctx.Err() == nil {
		r.command(lifecycle.InputReturn, "") // it had been removed for a while
		return true
	}
	return !r.mustWait && !sameProcess(r.launched, m.Replica)
}
