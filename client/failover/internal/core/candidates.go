package core

import "math"

// Candidate is what a decision needs to know of a replica.
type Candidate struct {
	// Key identifies the replica: its place in the list does not, for replicas come and go while a
	// call is on its way.
	Key      uint32
	InFlight int32
	Doubt    int  // how much there is to be said for another one; see Standing
	Ready    bool // has a connection
	Dialing  bool // has none yet, but no dial has failed: it may soon
	Lost     bool // and an attempt was lost with it just now, so that it hardly has it any more
	Ejected  bool // is left out while others can be had
	Full     bool // has no room for another attempt
	Ramped   bool // has no room for another attempt of a call that waits; see Ramp
}

// full reports whether the replica has no room for a call that waits, or does not.
func (x *Candidate) full(wait bool) bool { return x.Full || wait && x.Ramped }

// Ranks of replicas, the best of which is 0. Those of replicas that are in doubt follow.
const (
	step    = 1 << 20       // from a replica that was tried so often to one that was tried once more
	later   = 1 << 60       // full for now, to a call that waits; to another, without a connection, or hardly with one
	leftOut = 2 * later     // ejected
	unfit   = math.MaxInt64 // may not be tried
)

// rank says how good a replica is to try next for a call that has tried it so often, and may try it
// again; the least is the best.
//
// A call that waits tries only what is available, that which it has tried least first, or else what
// was left out, unless a replica is merely full. Another tries those that are available, then those
// that are down or about to be, then those left out. Calls that wait need none of these: an attempt
// without a connection costs nothing then.
func (x *Candidate) rank(wait bool, tried int) int64 {
	doubt := int64(min(x.Doubt, step-1))
	if wait {
		doubt += int64(tried) * step
	}
	switch full := x.full(wait); {
	case wait && (!x.Ready || x.Ejected && full), !wait && full:
		return unfit
	case wait && full:
		return later
	case wait && x.Ejected:
		return leftOut + doubt
	case x.Ejected:
		return leftOut
	case !x.Ready || !wait && x.Lost:
		return later
	}
	return doubt
}

// kind is a property by which candidates are counted, for calls that wait and for those that do
// not.
type kind int

const (
	kindAny       kind = iota
	kindReady          // has a connection
	kindLeftOut        // and is ejected
	kindRoom           // has a connection and room
	kindAvailable      // and is not ejected
	kindHopeful        // is available, or is once it has a connection, which may be soon
	kinds
)

func (x *Candidate) is(k kind, wait bool) bool {
	switch k {
	case kindReady:
		return x.Ready
	case kindLeftOut:
		return x.Ready && x.Ejected
	case kindRoom:
		return x.Ready && !x.full(wait)
	case kindAvailable:
		return x.Ready && !x.Ejected && !x.full(wait)
	case kindHopeful:
		return (x.Ready || x.Dialing) && !x.Ejected && !x.full(wait)
	}
	return true
}

// Candidates are the replicas that a decision chooses from. However many there are, a change or a
// choice takes no longer than the logarithm of their number.
type Candidates struct {
	all   []Candidate
	place map[uint32]int // by key
	sides [2]side        // for calls that do not wait, and that do
}

// side is how candidates look to calls that wait, or to those that do not.
type side struct {
	ranks ranking
	count [kinds]int
}

// NewCandidates returns the candidates, in that order.
func NewCandidates(all ...Candidate) *Candidates {
	c := &Candidates{all: make([]Candidate, len(all)), place: make(map[uint32]int, len(all))}
	for w := range c.sides {
		c.sides[w].ranks = newRanking(len(all))
	}
	for i, x := range all {
		c.place[x.Key] = i
		c.enter(i, x)
	}
	return c
}

// Len is how many there are.
func (c *Candidates) Len() int { return len(c.all) }

func (c *Candidates) side(wait bool) *side {
	if wait {
		return &c.sides[1]
	}
	return &c.sides[0]
}

// Set changes the i-th candidate. Its key stays.
func (c *Candidates) Set(i int, x Candidate) {
	old := c.all[i]
	c.all[i] = x
	if old.InFlight = x.InFlight; old == x {
		return // that alone changes nothing else
	}
	for w := range c.sides {
		for k := range kinds {
			if old.is(k, w == 1) {
				c.sides[w].count[k]--
			}
		}
	}
	c.enter(i, x)
}

func (c *Candidates) enter(i int, x Candidate) {
	c.all[i] = x
	for w := range c.sides {
		s := &c.sides[w]
		s.ranks.set(i, x.rank(w == 1, 0))
		for k := range kinds {
			if x.is(k, w == 1) {
				s.count[k]++
			}
		}
	}
}
