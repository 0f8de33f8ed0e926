package replicas

import (
	"slices"
	"sync"

	"example.com/crashlab/supervisor/internal/lifecycle"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

// notifier announces that a replica is up now, or no longer up. The zero value is ready to use.
type notifier struct {
	mu   sync.Mutex
	next chan struct{} // closed at the next change; nil: no goroutine waits
}

// wait returns a channel that is closed at the next announcement.
func (n *notifier) wait() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next == nil {
		n.next = make(chan struct{})
	}
	return n.next
}

func (n *notifier) announce() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next != nil {
		close(n.next)
		n.next = nil
	}
}

// blocker returns a group that the given one comes after and that is not up, or "".
func (t *Set) blocker(group string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	needed := after(t.groups)[group]
	if len(needed) == 0 {
		return "" // often called, once for each launch and change of the others
	}
	for _, r := range t.runners {
		if s := r.now(); slices.Contains(needed, s.Group) && !up(s) {
			return s.Group
		}
	}
	return ""
}

// up reports whether replicas that come after this one may be started.
func up(s status.Status) bool {
	return s.State == status.StateFinished && s.Last.Success() || s.State == status.StateReady && s.Policy.Mode != restart.ModeNever
}

// after returns the After of each group by name.
func after(groups []spec.Group) map[string][]string {
	all := make(map[string][]string)
	for _, g := range groups {
		all[g.Name] = g.After
	}
	return all
}

// layers returns replicas in the order in which to stop them: first those of groups that no other
// group comes after.
func (t *Set) layers(runners []*runner) [][]*runner {
	var groups []string
	members := make(map[string][]*runner)
	for _, r := range runners {
		group := r.now().Group
		if members[group] == nil {
			groups = append(groups, group)
		}
		members[group] = append(members[group], r)
	}
	t.mu.Lock()
	sorted, _ := lifecycle.Layers(groups, after(t.groups)) // members has rejected cycles
	t.mu.Unlock()
	var all [][]*runner
	for _, names := range slices.Backward(sorted) {
		var layer []*runner
		for _, name := range names {
			layer = append(layer, members[name]...)
		}
		all = append(all, layer)
	}
	return all
}
