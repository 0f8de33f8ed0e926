package failover

import (
	"slices"
	"time"
)

// call is the pure core of the package: what one call has tried so far, and from it what to do next. It has no clock,
// no goroutine and no connection; the interceptor drives it in real time.
type call struct {
	policy *Policy
	start  uint64 // where a round begins in the order of replicas

	round int     // the round in hand, from 1
	tried idSet   // the replicas tried in it
	last  Outcome // of the last attempt; meaningful once there was one
}

// candidate is what a decision needs to know of a replica.
type candidate struct {
	id    string
	ready bool
}

// action is what a call does next.
type action int

const (
	try    action = iota // try the replica at the decision's index
	pause                // wait, then ask again
	giveUp               // the call has failed for good
)

// decision is one answer of next.
type decision struct {
	action action
	index  int           // of the candidate to try
	wait   time.Duration // length of a pause
}

func newCall(p *Policy, start uint64) call { return call{policy: p, start: start, round: 1} }

// next decides what to do now that the replicas are as given. A replica is known by its id, never by its place, for
// replicas come and go while a call is on its way. It notes what it decides: a try counts as tried.
func (c *call) next(replicas []candidate) decision {
	if c.last == Rejected {
		return decision{action: giveUp}
	}
	if i := c.choose(replicas); i >= 0 {
		c.tried.add(replicas[i].id)
		return decision{action: try, index: i}
	}
	if c.round >= c.policy.rounds() {
		return decision{action: giveUp}
	}
	c.round++
	c.tried = idSet{}
	return decision{action: pause, wait: c.policy.Pause}
}

// note takes the outcome of the attempt that next asked for.
func (c *call) note(o Outcome) { c.last = o }

// choose returns the index of the replica to try: of those not yet tried in this round, the first that is ready, else
// the first; -1 when all have been tried.
func (c *call) choose(replicas []candidate) int {
	fallback := -1
	for k := range replicas {
		i := int((c.start + uint64(k)) % uint64(len(replicas)))
		switch r := replicas[i]; {
		case c.tried.has(r.id):
		case r.ready:
			return i
		case fallback < 0:
			fallback = i
		}
	}
	return fallback
}

// idSet is a small set of ids. Up to eight of them cost no allocation.
type idSet struct {
	few  [8]string
	n    int
	more []string
}

func (s *idSet) add(id string) {
	if s.n == len(s.few) {
		s.more = append(s.more, id)
		return
	}
	s.few[s.n] = id
	s.n++
}

func (s *idSet) has(id string) bool {
	return slices.Contains(s.few[:s.n], id) || slices.Contains(s.more, id)
}
