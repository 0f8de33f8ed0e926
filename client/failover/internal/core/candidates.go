package core

import "math"

// Candidate is what a decision needs to know about a replica.
type Candidate struct {
	// Key identifies the replica. Its index does not, because replicas come and go during a call.
	Key      uint32
	InFlight int32
	Doubt    int  // how strongly to prefer others; see Standing.Doubt
	Ready    bool // has a connection
	Dialing  bool // has no connection yet, but no dial has failed, so it may have one soon
	Lost     bool // an attempt was just lost with its connection, which has probably broken
	Ejected  bool // is used only if no other replica is available
	Full     bool // has no room for another attempt
	Ramped   bool // has no room for another attempt of a call that waits; see Ramp
}

// full reports whether the replica has no room. wait says whether that is for a call that waits.
func (x *Candidate) full(wait bool) bool { return x.Full || wait && x.Ramped }

// Ranks of replicas. The best is 0; doubt and earlier tries raise it.
const (
	rankStep    = 1 << 20       // added for each time that the call has tried the replica
	rankLater   = 1 << 60       // for a call that waits: full; for others: without a connection, or just lost
	rankEjected = 2 * rankLater // ejected
	rankUnfit   = math.MaxInt64 // may not be tried
)

// rank returns how good the replica is to try next for a call that has tried it so often and may
// try it again. Lower is better.
//
// A call that waits tries only available replicas, those that it has tried least first. It tries an
// ejected replica only if no other is merely full. A call that does not wait tries the available
// replicas, then those that are down or have probably just gone down, then the ejected ones.
func (x *Candidate) rank(wait bool, tried int) int64 {
	doubt := int64(min(x.Doubt, rankStep-1))
	if wait {
		doubt += int64(tried) * rankStep
	}
	switch full := x.full(wait); {
	case wait && (!x.Ready || x.Ejected && full), !wait && full:
		return rankUnfit
	case wait && full:
		return rankLater
	case wait && x.Ejected:
		return rankEjected + doubt
	case x.Ejected:
		return rankEjected
	case !x.Ready || !wait && x.Lost:
		return rankLater
	}
	return doubt
}

// kind is a property by which candidates are counted, for calls that wait and for those that do
// not.
type kind int

const (
	kindAny       kind = iota
	kindReady          // has a connection
	kindEjected        // has a connection and is ejected
	kindRoom           // has a connection and room
	kindAvailable      // has a connection and room, and is not ejected
	kindHopeful        // is available, or will be if the dial under way succeeds
	kinds
)

func (x *Candidate) is(k kind, wait bool) bool {
	switch k {
	case kindReady:
		return x.Ready
	case kindEjected:
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

// Candidates is the set of replicas that a decision chooses from. A change or a choice takes time
// logarithmic in their number.
type Candidates struct {
	all   []Candidate
	place map[uint32]int // by key
	sides [2]side        // for calls that do not wait, and that do
}

// side is the candidates as seen by calls that wait, or by those that do not.
type side struct {
	ranks ranking
	count [kinds]int
}

// NewCandidates returns the candidates in the given order.
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

// Len returns how many candidates there are.
func (c *Candidates) Len() int { return len(c.all) }

func (c *Candidates) side(wait bool) *side {
	if wait {
		return &c.sides[1]
	}
	return &c.sides[0]
}

// Set changes the i-th candidate. Its key must stay the same.
func (c *Candidates) Set(i int, x Candidate) {
	old := c.all[i]
	c.all[i] = x
	if old.InFlight = x.InFlight; old == x {
		return // InFlight alone affects neither ranks nor counts
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
