// Package replicas runs the replicas of one supervisor. Each replica has a runner, a goroutine that
// passes inputs to lifecycle.Replica and carries out the effects. A [Set] holds the runners, gives
// them commands, and adds and removes them.
package replicas

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/internal/probe"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

// Config has what a [Set] works with.
type Config struct {
	System      System
	MaxStarting int // replicas between launch and ready at a time
	Prober      *probe.Prober
	Emit        func(event.Event)
	Killed      context.Context // when it has ended, processes are killed and none is launched
}

// Set is the replicas of one supervisor. The zero value is closed; Open opens it.
type Set struct {
	config       Config
	ctx          context.Context // ends when nothing may be launched any more
	slots        chan struct{}   // has an element for each replica that is starting
	commandSlots chan struct{}   // the same for launches requested by commands
	idled        chan struct{}   // has an element when the last replica may have become idle
	changing     chan struct{}   // has an element while the set is changed
	rolling      chan struct{}   // has an element while replicas are restarted one at a time
	escalations  sync.WaitGroup
	changes      notifier

	mu      sync.Mutex
	groups  []spec.Group
	runners []*runner // in the order of the groups
	isOpen  bool
}

// Open makes the set run its first groups, which must have passed Check. It returns when each
// launch was tried, or when ctx has ended; after that the set launches nothing. Changes of the set
// wait until Open has returned.
func (t *Set) Open(ctx context.Context, c Config, groups []spec.Group) {
	t.mu.Lock()
	t.config, t.ctx, t.isOpen = c, ctx, true
	t.slots, t.commandSlots = make(chan struct{}, c.MaxStarting), make(chan struct{}, c.MaxStarting)
	t.idled, t.changing, t.rolling = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	t.changing <- struct{}{}
	t.mu.Unlock()
	all, _ := members(groups, true)
	t.launch(ctx, t.admit(groups, all))
	<-t.changing
}

// admit sets the groups, whose replicas are all, and returns the runners of new replicas, which are
// still to be launched.
func (t *Set) admit(groups []spec.Group, all []Member) []*runner {
	t.mu.Lock()
	defer t.mu.Unlock()
	have, position := make(map[string]bool), make(map[string]int)
	for _, r := range t.runners {
		have[r.name] = true
		position[r.name] = len(all) // leaving ones come last
	}
	var fresh []*runner
	for i, p := range all {
		position[p.Name] = i
		if !have[p.Name] && t.isOpen {
			fresh = append(fresh, newRunner(t, p))
		}
	}
	t.groups, t.runners = slices.Clone(groups), append(t.runners, fresh...)
	t.changes.announce()
	slices.SortStableFunc(t.runners, func(a, b *runner) int { return position[a.name] - position[b.name] })
	for _, r := range fresh {
		r.emit(event.Event{Kind: event.KindAdded})
		r.publish()
		go r.run()
	}
	return fresh
}

// launch launches new replicas in order. It returns when each launch was tried or waits for other
// groups, or when ctx ends.
func (t *Set) launch(ctx context.Context, fresh []*runner) {
	for _, r := range fresh {
		tried := r.await(ctx, func() func() (bool, error) {
			r.start(lifecycle.InputBegin)
			return func() (bool, error) {
				queued, _ := r.core.Queued()
				return !queued || r.blockedBy() != "", nil
			}
		})
		select {
		case <-tried:
		case <-ctx.Done():
		}
	}
}

// remove removes replicas from the set. It returns when they are gone, or with ctx's error when ctx
// ends.
func (t *Set) remove(ctx context.Context, runners []*runner, reason string) (err error) {
	for _, layer := range t.layers(runners) {
		for _, r := range layer {
			r.do(func() {
				r.leaving = reason
				r.command(lifecycle.InputLeave, reason)
			})
		}
		for _, r := range layer {
			select {
			case <-r.gone:
			case <-ctx.Done():
				err = ctx.Err()
			}
		}
	}
	return err
}

// forget removes the runner of a replica that is gone.
func (t *Set) forget(r *runner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.runners = slices.DeleteFunc(t.runners, func(other *runner) bool { return other == r })
	t.changes.announce()
	t.idle()
}

// Close stops all replicas, and returns when they are gone.
func (t *Set) Close() {
	t.mu.Lock()
	t.isOpen = false
	runners := slices.Clone(t.runners)
	t.mu.Unlock()
	_ = t.remove(context.Background(), runners, event.ReasonEnd) // its context does not end
	t.escalations.Wait()
}

// Pending returns how many commands wait and how many slots are taken, for tests. It is 0 when all
// commands have returned and all replicas are ready.
func (t *Set) Pending() int {
	n := len(t.slots) + len(t.commandSlots) + len(t.changing) + len(t.rolling)
	for _, r := range t.all() {
		r.do(func() { n += len(r.waiters) })
	}
	return n
}

// all returns the runners.
func (t *Set) all() []*runner {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.runners)
}

// Has reports whether there is a replica of that name.
func (t *Set) Has(name string) bool { return t.find(name) != nil }

// Lost counts dropped lines of a replica if it still exists.
func (t *Set) Lost(name string, lines uint64) {
	if r := t.find(name); r != nil {
		r.lost.Add(lines)
	}
}

func (t *Set) find(name string) *runner {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.runners {
		if r.name == name {
			return r
		}
	}
	return nil
}

// named returns the replicas with these names, or in groups with these names, in order. Without
// names it returns all. A group may have no replicas.
func (t *Set) named(names ...string) ([]*runner, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.isOpen {
		return nil, ErrClosed
	}
	wanted, known := make(map[string]bool), make(map[string]bool)
	for _, name := range names {
		wanted[name] = true
	}
	var runners []*runner
	var have, groups []string
	for _, g := range t.groups {
		if g.Name != "" {
			known[g.Name] = true
			groups = append(groups, g.Name)
		}
	}
	for _, r := range t.runners {
		group := r.now().Group
		known[r.name] = true
		have = append(have, r.name)
		if len(names) == 0 || wanted[r.name] || group != "" && wanted[group] {
			runners = append(runners, r)
		}
	}
	for _, name := range names {
		if !known[name] {
			return nil, fmt.Errorf("%q: %w: want one of %s", name, ErrUnknown, strings.Join(append(have, groups...), ", "))
		}
	}
	return runners, nil
}

// change waits until no other change of the set is under way, and keeps further ones waiting until
// release is called.
func (t *Set) change(ctx context.Context) (release func(), err error) {
	t.mu.Lock()
	changing, isOpen := t.changing, t.isOpen
	t.mu.Unlock()
	if !isOpen {
		return nil, ErrClosed
	}
	select {
	case changing <- struct{}{}:
		release = func() { <-changing; t.idle() }
		if err := ctx.Err(); err != nil { // both were possible: the caller no longer wants the change
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

// idle announces that a replica has nothing more to do, or that a change of the set is over.
func (t *Set) idle() {
	select {
	case t.idled <- struct{}{}:
	default:
	}
}

// Idled delivers an element when the last replica may have become idle, so that it is time to call
// Busy.
func (t *Set) Idled() <-chan struct{} { return t.idled }

// Busy reports whether a replica runs or will run. With stay it counts all replicas that are not
// finished.
func (t *Set) Busy(stay bool) bool {
	if len(t.changing) > 0 {
		return true // idle is called when that is over
	}
	runners := t.all()
	for _, r := range runners {
		switch s := r.now(); s.State {
		case status.StateFinished:
		case status.StateStopped, status.StateFailed:
			if stay {
				return true
			}
		default:
			if stay || s.Blocker == "" || t.blocker(s.Group) == "" {
				return true
			}
		}
	}
	return len(runners) == 0 && stay
}

// escalate stops or restarts the rest of the group of a replica that was given up, except for
// replicas that a command stopped.
func (t *Set) escalate(failed *runner, then restart.Escalation) {
	group, command := failed.wanted.Group, lifecycle.InputStop
	if then == restart.EscalationRestartAll {
		command = lifecycle.InputRestart
	}
	t.escalations.Go(func() {
		for _, r := range t.all() {
			if r == failed {
				continue
			}
			r.do(func() {
				if r.wanted.Group == group && r.core.Intent() != lifecycle.IntentDown {
					r.command(command, failed.name+" has failed")
				}
			})
		}
	})
}
