package failover

import (
	"sync/atomic"
)

// Statistics is what a connection has done so far. Each number is exact, but they are not read at
// the same instant.
type Statistics struct {
	// Calls is how many calls have begun. Succeeded and Failed count those that have ended.
	Calls, Succeeded int64
	// Failed has every reason.
	Failed map[Reason]int64
	// Waiting is how many calls are waiting for a replica.
	Waiting int
	// Attempts counts the attempts by outcome, and has every outcome. It includes those at replicas
	// that are gone.
	Attempts map[Outcome]int64
	// Hedges is how many of them joined another attempt of their call that was on its way,
	// HedgesWon how many of those answered it.
	Hedges, HedgesWon int64
	// Denied is how many repetitions the budget did not grant, and how many hedges it or
	// Hedge.Share did not.
	Denied int64
	// Budget is how many repetitions Policy.Budget would grant now, also a fraction of one;
	// infinite where there is no bound.
	Budget float64
	// Ejections is how often a replica was ejected.
	Ejections int64
	// CrashRate is the share of attempts that lately ended in a crash of their replica, where
	// Policy.AdaptiveLimit is set.
	CrashRate float64
	// Limit is how many attempts may be in flight at a replica; zero means any number.
	Limit int
	// Replicas are those that the resolver names, in its order, or named last where the connection
	// is idle or closed. Empty before it has spoken.
	Replicas []ReplicaStatistics
}

// ReplicaStatistics is what a connection has done at one replica.
type ReplicaStatistics struct {
	// Replica is the address, as the resolver gave it.
	Replica string
	// Ready is whether there is a connection, Ejected whether the replica is ejected.
	Ready, Ejected bool
	// Err is why the last dial failed; nil while there is a connection, and before a dial has
	// failed.
	Err error
	// InFlight is how many attempts are in flight.
	InFlight int
	// Attempts counts those that have ended, by outcome, and has every outcome.
	Attempts map[Outcome]int64
}

// counters are what Statistics counts, beside what each backend does.
type counters struct {
	calls     atomic.Uint64
	succeeded atomic.Int64
	failed    [len(reasonNames)]atomic.Int64
	hedges    atomic.Int64
	hedgesWon atomic.Int64
	denied    atomic.Int64
	ejections atomic.Int64
}

func (c *client) statistics() Statistics {
	n := &c.counters
	s := Statistics{
		Calls: int64(n.calls.Load()), Succeeded: n.succeeded.Load(), Failed: map[Reason]int64{},
		Waiting: int(c.queue.n.Load()), Attempts: map[Outcome]int64{},
		Hedges: n.hedges.Load(), HedgesWon: n.hedgesWon.Load(), Denied: n.denied.Load(), Ejections: n.ejections.Load(),
		CrashRate: c.shared.CrashRate(), Limit: int(c.shared.Limit()), Budget: c.shared.BudgetLeft(c.now()),
	}
	for r := range n.failed {
		s.Failed[Reason(r)] = n.failed[r].Load()
	}
	c.backends.mu.Lock() // else what is being moved to the past would be missing
	defer c.backends.mu.Unlock()
	for o := range c.backends.past {
		s.Attempts[Outcome(o)] = c.backends.past[o].Load()
	}
	if t := c.backends.current.Load(); t != nil {
		for _, e := range t.entries {
			r := e.statistics()
			for o, n := range r.Attempts {
				s.Attempts[o] += n
			}
			s.Replicas = append(s.Replicas, r)
		}
	}
	return s
}

func (e entry) statistics() ReplicaStatistics {
	r := ReplicaStatistics{
		Replica: e.addr, Ready: e.replica.Ready(), Ejected: e.Ejected(), Err: e.replica.Err(), InFlight: e.InFlight(),
		Attempts: map[Outcome]int64{},
	}
	for o := range e.outcomes {
		r.Attempts[Outcome(o)] = e.outcomes[o].Load()
	}
	return r
}
