package failover

import (
	"sync"
	"sync/atomic"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"example.com/crashlab/client/failover/internal/replicas"
)

// backend is what is known of a replica beside its connection, which it outlives: gRPC ends all connections when it
// goes idle. It is dropped when the resolver no longer names the replica and no attempt is in flight there.
type backend struct {
	key  uint32 // from 1, never used again
	addr string

	inFlight atomic.Int32
	outcomes [len(outcomeNames)]atomic.Int64
	gone     atomic.Bool

	// ramp bounds the attempts of calls that wait, when a connection is new that they have waited for. ramped is the last one.
	ramp   core.Ramp
	ramped atomic.Pointer[connection]

	// crash is the connection whose loss was last taken for a crash: its replica and epoch.
	crash atomic.Pointer[connection]

	// loss is the last attempt that was lost.
	loss atomic.Pointer[loss]

	suspect atomic.Bool  // has failed since its last success, or is left out: a success is news
	ejected atomic.Bool  // is left out
	trial   atomic.Bool  // is left out, but one call may try it
	doubt   atomic.Int32 // of standing
	took    atomic.Int64 // what its last answer took; zero before the first

	unproven atomic.Bool // has come back after a failed dial or a lost connection, and has not answered since

	answers atomic.Int64 // how many there were
	waiting atomic.Int32 // attempts in flight that have begun since the last
	first   atomic.Int64 // when the first of those began

	mu       sync.Mutex // guards what follows
	standing core.Standing
	since    time.Duration // when it was last left out, or taken back: attempts that began before are no news
	left     connection    // the one that it was left out with
	probe    *probe        // the one that looks after it
}

// connection names one connection to a replica.
type connection struct {
	replica *replicas.Replica
	epoch   uint64
}

// loss is an attempt that was lost: with which connection, and when.
type loss struct {
	connection
	at time.Time
}

// lossTime is how long an attempt that was lost outweighs the state of the replica's connection. gRPC tells the attempt a
// moment before it tells the state, and the next call is not to fail by that. But a connection may outlive the loss.
const lossTime = time.Second

// justLost reports whether an attempt was lost just now with the connection that the replica still seems to have.
func (e entry) justLost() bool {
	l := e.loss.Load()
	return l != nil && l.connection == e.connection() && time.Since(l.at) < lossTime
}

// entry is a replica in a table.
type entry struct {
	*backend
	replica *replicas.Replica
}

func (e entry) connection() connection { return connection{e.replica, e.replica.Epoch()} }

// table is the replicas of one view.
type table struct {
	view    *replicas.View
	entries []entry
}

// backends are the replicas of a connection.
type backends struct {
	current atomic.Pointer[table]

	mu   sync.Mutex // guards what follows
	byID map[string]*backend
	last uint32 // key

	// past are the outcomes of attempts at replicas that are gone.
	past [len(outcomeNames)]atomic.Int64
}

// table returns the table of the view in force, or nil when there is none.
func (b *backends) table(set *replicas.Set) *table {
	if t := b.current.Load(); t != nil && t.view == set.View() {
		return t
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	v := set.View()
	if v == nil {
		return nil
	}
	if t := b.current.Load(); t != nil && t.view == v {
		return t
	}
	t, byID := &table{view: v}, map[string]*backend{}
	for _, r := range v.Replicas {
		x := b.byID[r.ID]
		if x == nil {
			b.last++
			x = &backend{key: b.last, addr: r.Addr}
		}
		x.gone.Store(false)
		byID[r.ID] = x
		t.entries = append(t.entries, entry{x, r})
	}
	for id, x := range b.byID {
		if byID[id] == nil {
			x.gone.Store(true)
			b.fold(x)
			if x.inFlight.Load() > 0 {
				byID[id] = x // for it may come back
			}
		}
	}
	b.byID = byID
	b.current.Store(t)
	return t
}

// count notes the outcome of an attempt.
func (b *backends) count(x *backend, o Outcome) {
	x.outcomes[o].Add(1)
	if x.gone.Load() {
		b.fold(x)
	}
}

// fold moves the outcomes of a replica that is gone to the past. None is lost: who notes one after this finds it gone.
func (b *backends) fold(x *backend) {
	for o := range x.outcomes {
		if n := x.outcomes[o].Swap(0); n != 0 {
			b.past[o].Add(n)
		}
	}
}

// candidates are what a decision needs to know of the replicas, for calls that wait or do not.
func (t *table) candidates(to []core.Candidate, limit int32, wait bool, after int, now time.Duration) []core.Candidate {
	usual := time.Duration(-1) // not looked up yet
	for i := range t.entries {
		e := &t.entries[i]
		n, most := e.inFlight.Load(), limit
		doubt := int(e.doubt.Load())
		waiting := int(e.waiting.Load())
		if waiting >= after {
			if usual < 0 {
				usual = t.usual()
			}
			if core.Stuck(waiting, after, now-time.Duration(e.first.Load()), usual) {
				doubt = max(doubt, 1)
			}
		}
		if waiting > 0 && e.unproven.Load() {
			doubt = max(doubt, 1) // the first call finds out
		}
		if wait {
			most = e.ramp.Limit(limit, now)
		}
		to = append(to, core.Candidate{
			Key:      e.key,
			InFlight: n,
			Ready:    e.replica.Ready(),
			Dialing:  e.replica.Dialing(),
			Lost:     e.justLost(),
			Ejected:  e.ejected.Load() && !e.trial.Load(),
			Doubt:    doubt,
			Full:     most > 0 && n >= most,
		})
	}
	return to
}

// usual is the longest that a replica's last answer took.
func (t *table) usual() (d time.Duration) {
	for _, e := range t.entries {
		d = max(d, time.Duration(e.took.Load()))
	}
	return d
}

// begins takes note that an attempt begins, and returns how many answers there were before.
func (b *backend) begins(now time.Duration) int64 {
	if b.waiting.Add(1) <= 1 {
		b.first.Store(int64(now))
	}
	return b.answers.Load()
}

// ends takes note that an attempt has ended which began after so many answers.
func (b *backend) ends(answers int64, answered bool) {
	switch {
	case answered:
		b.answers.Add(1)
		b.waiting.Store(0)
	case answers == b.answers.Load():
		b.waiting.Add(-1)
	}
}

// candidates are what a decision about the call needs to know of the replicas.
func (p *plan) candidates(to []core.Candidate, t *table, limit int32) []core.Candidate {
	return t.candidates(to, limit, p.rules.Wait, p.stuckAfter, p.now())
}

// acquire takes a place at a replica for an attempt of the call.
func (p *plan) acquire(e entry, limit int32, leftOut bool) bool {
	if p.rules.Wait {
		limit = e.ramp.Limit(limit, p.now())
	}
	return e.acquire(limit, leftOut)
}

// acquire takes a place among the attempts in flight, of which there may be limit; zero means any number. It returns
// false when there is none, or when the replica is left out and its trial, on which the choice relied, is another call's.
// leftOut says that the choice knew.
func (b *backend) acquire(limit int32, leftOut bool) bool {
	if !b.enter(limit) {
		return false
	}
	if b.ejected.Load() && !leftOut && !b.trial.CompareAndSwap(true, false) && b.ejected.Load() {
		b.inFlight.Add(-1)
		return false
	}
	return true
}

func (b *backend) enter(limit int32) bool {
	if limit == 0 {
		b.inFlight.Add(1)
		return true
	}
	for n := b.inFlight.Load(); n < limit; n = b.inFlight.Load() {
		if b.inFlight.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}
