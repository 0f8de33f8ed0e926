package core

import (
	"math"
	"slices"
)

// Ranks of replicas, the best of which is 0. Those of replicas that are in doubt lie between two of them.
const (
	step    = 1 << 20     // from a replica that was tried so often to one that was tried once more
	down    = 1 * step    // no connection, or hardly
	leftOut = 2 * step    // ejected
	unfit   = math.MaxInt // may not be tried
)

// choose returns the index of the replica to try next, or -1: of those of the least rank, the one that the order says.
func (c *Call) choose(r *Rules, m Moment, replicas []Candidate) int {
	alone := r.Wait && c.onlyLeftOut(r, replicas)
	least, n := unfit, 0
	for i := range replicas {
		rank := c.rank(r, &replicas[i], alone)
		switch {
		case rank < least:
			least, n = rank, 1
			if least == 0 && r.Order == First {
				return i
			}
		case rank == least:
			n++
		}
	}
	if least == unfit {
		return -1
	}
	// nth is the index of the k-th replica of the least rank, counted from the place.
	nth := func(k, from int) int {
		if n == len(replicas) { // as when all is well
			return (from + k) % n
		}
		for ahead := range replicas {
			i := (from + ahead) % len(replicas)
			if c.rank(r, &replicas[i], alone) != least {
				continue
			}
			if k == 0 {
				return i
			}
			k--
		}
		return -1
	}
	switch r.Order {
	case RoundRobin:
		all := uint64(len(replicas))
		if n == len(replicas) {
			return nth(0, int(m.Start%all))
		}
		// The share of one that cannot be tried goes to all the others in turn, not to the next in the list.
		return nth(int(m.Start/all%uint64(n)), int(m.Start%all))
	case Random:
		return nth(int(m.Dice%uint64(n)), 0)
	case LeastInFlight:
		a := int(m.Dice % uint64(n))
		b := a
		if n > 1 {
			b = (a + 1 + int(m.Dice>>32%uint64(n-1))) % n
		}
		a, b = nth(a, 0), nth(b, 0)
		if replicas[b].InFlight < replicas[a].InFlight {
			return b
		}
		return a
	case Sticky:
		for i := range replicas {
			if replicas[i].Key == m.Last && c.rank(r, &replicas[i], alone) == least {
				return i
			}
		}
	}
	return nth(0, 0)
}

// Better reports whether a call whose attempt at the replica of that key cannot begin yet, for want of a connection, is
// better made elsewhere now.
func (c Call) Better(r *Rules, m Moment, replicas []Candidate, key uint32) bool {
	c.Untry(key)
	i := c.choose(r, m, replicas)
	return i >= 0 && replicas[i].Key != key && replicas[i].available() && !replicas[i].Lost
}

// rank says how good a replica is to try next; the least is the best.
//
// A call that waits tries only what is available, that which it has tried least first. Another tries each replica once a
// round: those that are available, then those that are down or about to be, then those left out. Who waits need not know
// of these: an attempt without a connection costs nothing then.
func (c *Call) rank(r *Rules, x *Candidate, alone bool) int {
	tried := c.tried.of(x.Key)
	switch {
	case x.Full:
		return unfit
	case r.Wait && tried < r.Rounds && (x.available() || alone && x.Ready):
		return tried*step + min(x.Doubt, step-1)
	case r.Wait || tried > c.rounds:
		return unfit
	case x.available() && !x.Lost:
		return min(x.Doubt, step-1)
	case !x.Ejected:
		return down
	default:
		return leftOut
	}
}

func (x *Candidate) available() bool { return x.Ready && !x.Ejected && !x.Full }

// onlyLeftOut reports whether all replicas that are ready, of those that the call may still try, have been left out.
// Then they are used as if they were not.
func (c *Call) onlyLeftOut(r *Rules, replicas []Candidate) bool {
	for i := range replicas {
		if x := &replicas[i]; x.Ready && !x.Ejected && c.tried.of(x.Key) < r.Rounds {
			return false
		}
	}
	return true
}

// marks is a small map from a replica's key to a number that is zero at first. Up to eight keys cost no allocation.
type marks struct {
	n    int
	few  [8]mark
	more []mark
}

type mark struct {
	key   uint32
	value int32
}

func (s *marks) of(key uint32) int {
	if m := s.find(key); m != nil {
		return int(m.value)
	}
	return 0
}

func (s *marks) set(key uint32, value int) {
	m := s.find(key)
	switch {
	case m == nil && s.n < len(s.few):
		s.few[s.n] = mark{key: key}
		m = &s.few[s.n]
		s.n++
	case m == nil:
		s.more = append(slices.Clone(s.more), mark{key: key})
		m = &s.more[len(s.more)-1]
	case len(s.more) > 0: // a copy of s has the same ones, and is not to see the change
		s.more = slices.Clone(s.more)
		m = s.find(key)
	}
	m.value = int32(value)
}

func (s *marks) find(key uint32) *mark {
	for i := range s.few[:s.n] {
		if s.few[i].key == key {
			return &s.few[i]
		}
	}
	for i := range s.more {
		if s.more[i].key == key {
			return &s.more[i]
		}
	}
	return nil
}
