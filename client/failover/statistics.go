package failover

import (
	"sync/atomic"
)

// Statistics is a snapshot of what a connection has done so far. Each number is exact, but they are
// not read at the same instant.
type Statistics struct {
	// Calls is how many calls have begun, Succeeded how many have ended successfully.
	Calls, Succeeded int64
	// Failed counts the calls that have failed, by reason. It has an entry for every reason.
	Failed map[Reason]int64
	// Waiting is how many calls are waiting for a replica.
	Waiting int
	// Attempts counts the attempts that have ended, by outcome, including those at replicas that
	// are gone. It has an entry for every outcome.
	Attempts map[Outcome]int64
	// Hedges is how many attempts joined another attempt of their call, HedgesWon how many of those
	// won.
	Hedges, HedgesWon int64
	// Denied is how many repetitions Policy.Budget denied, plus how many hedges it or Hedge.Share
	// denied.
	Denied int64
	// Budget is how many tokens Policy.Budget holds now, including fractions; +Inf if there is no
	// bound.
	Budget float64
	// Ejections is how often a replica was ejected.
	Ejections int64
	// CrashRate is the learned probability, from 0 to 1, that an attempt ends in a crash of its
	// replica. It is 0 unless Policy.AdaptiveLimit is set.
	CrashRate float64
	// Limit is how many attempts may be in flight at one replica; zero means any number.
	Limit int
	// Replicas lists the resolver's latest replicas in its order. It is empty before the first
	// result, and kept when the connection is idle or closed.
	Replicas []ReplicaStatistics
}

// ReplicaStatistics is the state of one replica, and what the connection has done there.
type ReplicaStatistics struct {
	// Replica is the address, as the resolver returned it.
	Replica string
	// Ready reports whether there is a connection, Ejected whether the replica is ejected.
	Ready, Ejected bool
	// Err is why the last dial failed; nil if there is a connection or no dial has failed yet.
	Err error
	// InFlight is how many attempts are in flight.
	InFlight int
	// Attempts counts the attempts that have ended, by outcome. It has an entry for every outcome.
	Attempts map[Outcome]int64
}

// counters holds the counts of Statistics that do not belong to a replica.
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
	c.backends.mu.Lock() // counts that are being moved to past must not be missed
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
