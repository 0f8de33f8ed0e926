package core

// choice describes which replicas may be tried.
type choice struct {
	most      int  // only replicas that the call has tried at most so often
	available bool // only replicas that are available
}

// anyReplica returns the choice of a call without an attempt in flight: all replicas that it has
// not tried in this round or, if it waits, in all its rounds.
func (c *Call) anyReplica(r *Rules) choice {
	if r.Wait {
		return choice{most: r.Rounds - 1}
	}
	return choice{most: c.rounds}
}

// choose returns the index of the replica to try next, or -1. The order selects one of those with
// the lowest rank.
func (c *Call) choose(r *Rules, m Moment, replicas *Candidates, may choice) int {
	ranks := &replicas.side(r.Wait).ranks
	c.rerank(r, replicas, func(x *Candidate, tried int) int64 {
		if tried > may.most {
			return rankUnfit
		}
		return x.rank(r.Wait, tried)
	})
	i := r.Order.pick(m, replicas, ranks, may.available, r.Wait)
	c.rerank(r, replicas, func(x *Candidate, _ int) int64 { return x.rank(r.Wait, 0) })
	return i
}

// rerank sets the ranks of the replicas that the call has tried.
func (c *Call) rerank(r *Rules, replicas *Candidates, rank func(x *Candidate, tried int) int64) {
	ranks := &replicas.side(r.Wait).ranks
	for k := range c.tried.len() {
		mark := c.tried.at(k)
		if i, known := replicas.place[mark.key]; known {
			ranks.set(i, rank(&replicas.all[i], int(mark.value)))
		}
	}
}

// pick returns the index of the replica to try, or -1.
func (o Order) pick(m Moment, replicas *Candidates, ranks *ranking, available, wait bool) int {
	least := ranks.least()
	if least.rank == rankUnfit || wait && least.rank == rankLater || available && least.rank >= rankLater {
		return -1
	}
	n := uint64(least.n)
	switch o {
	case OrderRoundRobin:
		all := uint64(replicas.Len())
		place := int(m.Start % all)
		if n == all { // the common case
			return place
		}
		// The calls of a replica that cannot be tried go to all others in turn, not only to the
		// next in the list.
		return ranks.nth(int((uint64(ranks.before(place)) + m.Start/all) % n))
	case OrderRandom:
		return ranks.nth(int(m.Dice % n))
	case OrderLeastInFlight:
		a := m.Dice % n
		b := a
		if n > 1 {
			b = (a + 1 + m.Dice>>32%(n-1)) % n
		}
		i, j := ranks.nth(int(a)), ranks.nth(int(b))
		if replicas.all[j].InFlight < replicas.all[i].InFlight {
			return j
		}
		return i
	case OrderSticky:
		if i, known := replicas.place[m.Last]; known && ranks.of(i) == least.rank {
			return i
		}
	}
	return ranks.nth(0)
}

// Better reports whether a call whose attempt waits for a connection to the replica with that key
// should be made at another replica instead.
func (c Call) Better(r *Rules, m Moment, replicas *Candidates, key uint32) bool {
	c.Untry(key)
	i := c.choose(r, m, replicas, c.anyReplica(r))
	if i < 0 {
		return false
	}
	x := &replicas.all[i]
	return x.Key != key && x.is(kindAvailable, r.Wait) && !x.Lost
}

// count returns how many candidates of a kind the call has tried at most so often.
func (c *Call) count(r *Rules, replicas *Candidates, k kind, most int) int {
	n := replicas.side(r.Wait).count[k]
	for j := range c.tried.len() {
		mark := c.tried.at(j)
		if i, known := replicas.place[mark.key]; known && int(mark.value) > most && replicas.all[i].is(k, r.Wait) {
			n--
		}
	}
	return n
}
