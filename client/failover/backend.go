package failover

import (
	"slices"
	"sync"
	"sync/atomic"

	"example.com/crashlab/client/failover/internal/core"
	"example.com/crashlab/client/failover/internal/replicas"
)

// backend is the state of a replica that outlives its connection: gRPC closes all connections when
// it goes idle. It is dropped when the resolver no longer returns the replica and no attempt is in
// flight there.
type backend struct {
	core.Replica

	addr     string
	outcomes [len(outcomeNames)]atomic.Int64
	gone     atomic.Bool
}

// entry is a replica in a table.
type entry struct {
	*backend
	replica *replicas.Replica
}

// table holds the replicas of one view.
type table struct {
	view    *replicas.View
	entries []entry
	members []core.Member // in the order of entries
	roster  *core.Roster
}

// backends holds the replicas of a connection.
type backends struct {
	current atomic.Pointer[table]

	mu   sync.Mutex // guards what follows
	byID map[string]*backend
	last uint32 // the last key assigned

	// past counts the outcomes of attempts at replicas that are gone.
	past [len(outcomeNames)]atomic.Int64
}

// table returns the table of the current view, or nil if there is none.
func (c *client) table() *table {
	b := &c.backends
	if t := b.current.Load(); t != nil && t.view == c.replicas.View() {
		return t
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	v := c.replicas.View()
	if v == nil {
		return nil
	}
	if t := b.current.Load(); t != nil && t.view == v {
		return t
	}
	t := b.renew(v)
	t.roster = c.shared.Use(t.members)
	b.current.Store(t)
	return t
}

// of returns the member of the replica, or all members if r is nil.
func (t *table) of(r *replicas.Replica) []core.Member {
	if r == nil {
		return t.members
	}
	i := slices.IndexFunc(t.entries, func(e entry) bool { return e.replica == r })
	if i < 0 {
		return nil // it is gone
	}
	return t.members[i : i+1]
}

// renew returns the table of a view. mu must be held.
func (b *backends) renew(v *replicas.View) *table {
	t, byID := &table{view: v}, map[string]*backend{}
	for _, r := range v.Replicas {
		x := b.byID[r.ID]
		if x == nil {
			b.last++
			x = &backend{Replica: core.Replica{Key: b.last}, addr: r.Addr}
		}
		x.gone.Store(false)
		byID[r.ID] = x
		t.entries = append(t.entries, entry{x, r})
		t.members = append(t.members, core.Member{Replica: &x.Replica, Link: r})
	}
	for id, x := range b.byID {
		if byID[id] == nil {
			x.gone.Store(true)
			b.fold(x)
			if x.InFlight() > 0 {
				byID[id] = x // it may come back
			}
		}
	}
	b.byID = byID
	return t
}

// count counts the outcome of an attempt.
func (b *backends) count(x *backend, o Outcome) {
	x.outcomes[o].Add(1)
	if x.gone.Load() {
		b.fold(x)
	}
}

// fold moves the counts of a replica that is gone to past. None is lost: an attempt counted after
// this finds the replica gone.
func (b *backends) fold(x *backend) {
	for o := range x.outcomes {
		if n := x.outcomes[o].Swap(0); n != 0 {
			b.past[o].Add(n)
		}
	}
}
