package supervisor

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/restart"
)

// set is the replicas of a supervisor that runs. The zero value is closed.
type set struct {
	supervisor  *Supervisor
	ctx         context.Context // ends when nothing may be launched any more
	sys         system
	turns       chan struct{}
	extra       chan struct{}
	idled       chan struct{} // has an element when a replica may have been the last to become idle
	changing    chan struct{} // holds an element while the set is changed
	rolling     chan struct{} // holds an element while replicas are restarted one at a time
	escalations sync.WaitGroup
	news        news

	mu     sync.Mutex
	groups []Group
	units  []*runner // in the order of the groups
	isOpen bool
}

// open has the set run its first groups, and returns when all were launched,
// or ctx has ended. Who wants to change the set waits until then.
func (t *set) open(ctx context.Context, s *Supervisor, sys system) {
	turns := s.config.MaxStarting
	if turns == 0 {
		turns = defaultMaxStarting
	}
	t.mu.Lock()
	t.supervisor, t.ctx, t.sys, t.isOpen = s, ctx, sys, true
	t.turns, t.extra = make(chan struct{}, turns), make(chan struct{}, turns)
	t.idled, t.changing, t.rolling = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	t.changing <- struct{}{}
	t.mu.Unlock()
	all, _ := place(s.config.Groups, true) // New has checked them
	t.launch(ctx, t.admit(s.config.Groups, all))
	<-t.changing
}

// admit makes groups, whose replicas are all, the ones that are seen. It
// returns the units that are new, which are yet to be launched.
func (t *set) admit(groups []Group, all []placed) []*runner {
	t.mu.Lock()
	defer t.mu.Unlock()
	have, place := make(map[string]bool), make(map[string]int)
	for _, u := range t.units {
		have[u.name] = true
		place[u.name] = len(all) // those that leave come last
	}
	var fresh []*runner
	for i, p := range all {
		place[p.Name] = i
		if !have[p.Name] && t.isOpen {
			fresh = append(fresh, newRunner(t, p))
		}
	}
	t.groups, t.units = slices.Clone(groups), append(t.units, fresh...)
	t.news.announce()
	slices.SortStableFunc(t.units, func(a, b *runner) int { return place[a.name] - place[b.name] })
	for _, u := range fresh {
		u.emit(event.Event{Kind: event.KindAdded})
		u.publish()
		go u.run()
	}
	return fresh
}

// launch launches replicas that are new in their order, and returns when the
// last launch was tried, but for those that wait for others. When ctx ends it
// does not wait for that.
func (t *set) launch(ctx context.Context, fresh []*runner) {
	for _, u := range fresh {
		tried := u.await(ctx, func() func() (bool, error) {
			u.start(lifecycle.InputBegin)
			return func() (bool, error) {
				queued, _ := u.core.Queued()
				return !queued || u.blockedBy() != "", nil
			}
		})
		select {
		case <-tried:
		case <-ctx.Done():
		}
	}
}

// remove takes replicas out of the set, and returns when they are gone. When ctx
// ends it does not wait for that.
func (t *set) remove(ctx context.Context, units []*runner, reason string) (err error) {
	for _, layer := range t.layers(units) {
		for _, u := range layer {
			u.do(func() { u.command(lifecycle.InputLeave, reason) })
		}
		for _, u := range layer {
			select {
			case <-u.gone:
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
	}
	return err
}

// forget is told by a replica that is gone.
func (t *set) forget(u *runner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.units = slices.DeleteFunc(t.units, func(other *runner) bool { return other == u })
	t.news.announce()
	t.idle()
}

// close stops all replicas, and returns when they are gone.
func (t *set) close() {
	t.mu.Lock()
	t.isOpen = false
	units := slices.Clone(t.units)
	t.mu.Unlock()
	_ = t.remove(context.Background(), units, "the supervisor ends") // it waits for all
	t.escalations.Wait()
}

// all returns the units as they are now.
func (t *set) all() []*runner {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.units)
}

func (t *set) find(name string) *runner {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, u := range t.units {
		if u.name == name {
			return u
		}
	}
	return nil
}

// named returns the replicas with these names, or in groups with these names,
// in their order. No name: all. A group may have no replica just now.
func (t *set) named(names ...string) ([]*runner, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.isOpen {
		return nil, ErrClosed
	}
	wanted, known := make(map[string]bool), make(map[string]bool)
	for _, name := range names {
		wanted[name] = true
	}
	var units []*runner
	var have, groups []string
	for _, g := range t.groups {
		if g.Name != "" {
			known[g.Name] = true
			groups = append(groups, g.Name)
		}
	}
	for _, u := range t.units {
		group := u.now().Group
		known[u.name] = true
		have = append(have, u.name)
		if len(names) == 0 || wanted[u.name] || group != "" && wanted[group] {
			units = append(units, u)
		}
	}
	for _, name := range names {
		if !known[name] {
			return nil, fmt.Errorf("%q: %w: want one of %s", name, ErrUnknown, strings.Join(append(have, groups...), ", "))
		}
	}
	return units, nil
}

// change holds off others who would change the set, until release is called.
func (t *set) change(ctx context.Context) (release func(), err error) {
	t.mu.Lock()
	changing, isOpen := t.changing, t.isOpen
	t.mu.Unlock()
	if !isOpen {
		return nil, ErrClosed
	}
	select {
	case changing <- struct{}{}:
		release = func() { <-changing; t.idle() }
		if err := ctx.Err(); err != nil { // both were true: whoever gave up wants no change any more
			release()
			return nil, err
		}
		return release, nil
	case <-t.ctx.Done():
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// idle is told by a replica that has nothing more to do.
func (t *set) idle() {
	select {
	case t.idled <- struct{}{}:
	default:
	}
}

// busy reports whether a replica runs, or will. With stay, only one that is
// done will not.
func (t *set) busy(stay bool) bool {
	if len(t.changing) > 0 {
		return true // it is told when that is over
	}
	units := t.all()
	for _, u := range units {
		switch u.now().State {
		case StateFinished:
		case StateStopped, StateFailed:
			if stay {
				return true
			}
		default:
			if s := u.now(); stay || s.Blocker == "" || t.blocker(s.Group) == "" {
				return true
			}
		}
	}
	return len(units) == 0 && stay
}

// escalate does what is to become of the others in the group of a replica that
// was given up. Those that were stopped by command stay so.
func (t *set) escalate(failed *runner, then restart.Escalation) {
	group, command := failed.placed.group, lifecycle.InputStop
	if then == restart.EscalationRestartAll {
		command = lifecycle.InputRestart
	}
	t.escalations.Go(func() {
		for _, u := range t.all() {
			if u == failed {
				continue
			}
			u.do(func() {
				if u.placed.group == group && u.core.Intent() != lifecycle.IntentDown {
					u.command(command, failed.name+" has failed")
				}
			})
		}
	})
}
