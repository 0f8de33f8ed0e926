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

// set is the replicas of a running supervisor. The zero value is closed.
type set struct {
	supervisor   *Supervisor
	ctx          context.Context // ends when nothing may be launched any more
	sys          system
	turns        chan struct{} // holds an element per replica that starts
	commandTurns chan struct{} // the same, for launches that a command asked for
	idled        chan struct{} // has an element when the last replica may have become idle
	changing     chan struct{} // holds an element while the set is changed
	rolling      chan struct{} // holds an element while replicas are restarted one at a time
	escalations  sync.WaitGroup
	news         news

	mu      sync.Mutex
	groups  []Group
	runners []*runner // in the order of the groups
	isOpen  bool
}

// open makes the set run its first groups, and returns when all were launched, or
// ctx has ended. Changes of the set wait until then.
func (t *set) open(ctx context.Context, s *Supervisor, sys system) {
	turns := s.config.MaxStarting
	if turns == 0 {
		turns = defaultMaxStarting
	}
	t.mu.Lock()
	t.supervisor, t.ctx, t.sys, t.isOpen = s, ctx, sys, true
	t.turns, t.commandTurns = make(chan struct{}, turns), make(chan struct{}, turns)
	t.idled, t.changing, t.rolling = make(chan struct{}, 1), make(chan struct{}, 1), make(chan struct{}, 1)
	t.changing <- struct{}{}
	t.mu.Unlock()
	all, _ := members(s.config.Groups, true) // New has checked them
	t.launch(ctx, t.admit(s.config.Groups, all))
	<-t.changing
}

// admit makes groups, whose replicas are all, those of the set, and returns the new
// runners, which are yet to be launched.
func (t *set) admit(groups []Group, all []member) []*runner {
	t.mu.Lock()
	defer t.mu.Unlock()
	have, place := make(map[string]bool), make(map[string]int)
	for _, r := range t.runners {
		have[r.name] = true
		place[r.name] = len(all) // those that leave come last
	}
	var fresh []*runner
	for i, p := range all {
		place[p.Name] = i
		if !have[p.Name] && t.isOpen {
			fresh = append(fresh, newRunner(t, p))
		}
	}
	t.groups, t.runners = slices.Clone(groups), append(t.runners, fresh...)
	t.news.announce()
	slices.SortStableFunc(t.runners, func(a, b *runner) int { return place[a.name] - place[b.name] })
	for _, r := range fresh {
		r.emit(event.Event{Kind: event.KindAdded})
		r.publish()
		go r.run()
	}
	return fresh
}

// launch launches new replicas in their order. It returns when each launch was tried
// or waits for other groups, or when ctx ends.
func (t *set) launch(ctx context.Context, fresh []*runner) {
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

// remove takes replicas out of the set, and returns when they are gone, or when ctx
// ends, with its error.
func (t *set) remove(ctx context.Context, runners []*runner, reason string) (err error) {
	for _, layer := range t.layers(runners) {
		for _, r := range layer {
			r.do(func() { r.command(lifecycle.InputLeave, reason) })
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

// forget is called by a runner when its replica is gone.
func (t *set) forget(r *runner) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.runners = slices.DeleteFunc(t.runners, func(other *runner) bool { return other == r })
	t.news.announce()
	t.idle()
}

// close stops all replicas, and returns when they are gone.
func (t *set) close() {
	t.mu.Lock()
	t.isOpen = false
	runners := slices.Clone(t.runners)
	t.mu.Unlock()
	_ = t.remove(context.Background(), runners, "the supervisor ends") // its context does not end
	t.escalations.Wait()
}

// all returns the present runners.
func (t *set) all() []*runner {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.runners)
}

func (t *set) find(name string) *runner {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, r := range t.runners {
		if r.name == name {
			return r
		}
	}
	return nil
}

// named returns the replicas with these names, or in groups with these names, in
// their order. No name: all. A group may have no replicas.
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

// change waits for other changes of the set, and holds off the next ones until
// release is called.
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
		if err := ctx.Err(); err != nil { // ctx had ended too: the caller wants no change any more
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

// idle is called when a replica has nothing more to do, or a change of the set is
// over.
func (t *set) idle() {
	select {
	case t.idled <- struct{}{}:
	default:
	}
}

// busy reports whether a replica runs or will run. With stay, all will but those
// that are finished.
func (t *set) busy(stay bool) bool {
	if len(t.changing) > 0 {
		return true // idle is called when that is over
	}
	runners := t.all()
	for _, r := range runners {
		switch s := r.now(); s.State {
		case StateFinished:
		case StateStopped, StateFailed:
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

// escalate stops or restarts the others in the group of a replica that was given
// up. Those that were stopped by command stay stopped.
func (t *set) escalate(failed *runner, then restart.Escalation) {
	group, command := failed.wanted.group, lifecycle.InputStop
	if then == restart.EscalationRestartAll {
		command = lifecycle.InputRestart
	}
	t.escalations.Go(func() {
		for _, r := range t.all() {
			if r == failed {
				continue
			}
			r.do(func() {
				if r.wanted.group == group && r.core.Intent() != lifecycle.IntentDown {
					r.command(command, failed.name+" has failed")
				}
			})
		}
	})
}
