package core

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Roster is the set of replicas as decisions see them. Changes of a replica are noted, and applied
// before the next decision; changes that come with time are applied when they are due. Thus no
// decision has to examine all replicas.
type Roster struct {
	members    []Member
	candidates *Candidates
	limit      int32 // by which candidates count as full

	inFlight tallies // attempts
	again    agenda  // when to look again
	waiting  agenda  // since when replicas that may become stuck have not answered
	stuck    agenda  // since when replicas that are stuck have not answered, negated
	took     agenda  // how long the last answer took, negated
}

func newRoster(members []Member) *Roster {
	n := len(members)
	candidates := make([]Candidate, n)
	for i, m := range members {
		candidates[i].Key = m.Key
	}
	return &Roster{
		members: members, candidates: NewCandidates(candidates...),
		inFlight: newTallies(n), again: newAgenda(n), waiting: newAgenda(n), stuck: newAgenda(n), took: newAgenda(n),
	}
}

// Use replaces the replicas, and returns their roster.
func (s *Shared) Use(members []Member) *Roster {
	r := newRoster(members)
	s.mu.Lock()
	s.roster, s.touched = r, s.touched[:0]
	for i, m := range members {
		if m.shared == nil { // a new replica
			m.shared = s
		}
		m.place = i
		m.touched.Store(true)
		s.touched = append(s.touched, m.Replica)
	}
	s.mu.Unlock()
	s.suspecting.Lock()
	defer s.suspecting.Unlock()
	suspects := slices.DeleteFunc(slices.Clone(members), func(m Member) bool { return !m.suspect.Load() })
	slices.SortFunc(suspects, func(a, b Member) int { return cmp.Compare(a.Key, b.Key) })
	s.suspects.Store(&suspects)
	return r
}

// touch notes that the replica has changed in a way that affects decisions.
func (r *Replica) touch() {
	if r.shared != nil && !r.touched.Load() {
		r.shared.mu.Lock()
		r.note()
		r.shared.mu.Unlock()
	}
}

// note is touch with mu held.
func (r *Replica) note() {
	if r.touched.CompareAndSwap(false, true) {
		r.shared.touched = append(r.shared.touched, r)
	}
}

// current returns the roster, brought up to date. mu must be held.
func (s *Shared) current(now time.Duration) *Roster {
	r := s.roster
	if limit := s.Limit(); limit != r.limit {
		r.relimit(limit, s.stuckAfter, now)
	}
	for _, x := range s.touched {
		x.touched.Store(false)
		if i := x.place; i < len(r.members) && r.members[i].Replica == x { // otherwise it is gone
			r.look(i, s.stuckAfter, now)
		}
	}
	clear(s.touched)
	s.touched = s.touched[:0]
	for at, i := r.again.first(); at <= now; at, i = r.again.first() {
		r.look(i, s.stuckAfter, now)
	}
	r.findStuck(s.stuckAfter, now)
	return r
}

// relimit sets the limit. It updates the replicas that are full by one limit and not by the other.
func (r *Roster) relimit(limit int32, stuckAfter int, now time.Duration) {
	least, most := limitOrNone(r.limit), limitOrNone(limit)
	if least > most {
		least, most = most, least
	}
	r.limit = limit
	for _, i := range r.inFlight.within(nil, least, most) {
		r.look(i, stuckAfter, now)
	}
}

func limitOrNone(limit int32) int32 {
	if limit == 0 {
		return math.MaxInt32
	}
	return limit
}

// look updates the candidate of a replica.
func (r *Roster) look(i, stuckAfter int, now time.Duration) {
	m := &r.members[i]
	n, waiting := m.inFlight.Load(), int(m.waiting.Load())
	ramp := m.ramp.Limit(r.limit, now)
	x := Candidate{
		Key: m.Key, InFlight: n, Doubt: int(m.doubt.Load()),
		Ready: m.Link.Ready(), Dialing: m.Link.Dialing(), Lost: m.JustLost(now), Ejected: m.excluded(),
		Full: r.limit > 0 && n >= r.limit, Ramped: ramp > 0 && n >= ramp,
	}
	again := Forever
	if x.Lost {
		again = m.loss.Load().at + lossTime
	}
	if step := m.ramp.Step(now); step > 0 && x.Ramped && !x.Full {
		again = min(again, now+step)
	}
	r.inFlight.set(i, n)
	r.again.set(i, again)
	r.took.set(i, -time.Duration(m.took.Load()))
	since, stuck := Forever, false
	if waiting >= stuckAfter {
		since, stuck = time.Duration(m.first.Load()), r.stuck.of(i) != Forever
	}
	if waiting > 0 && m.unproven.Load() || stuck { // one call at a time finds out
		x.Doubt = max(x.Doubt, 1)
	}
	if stuck {
		r.stuck.set(i, -since)
		r.waiting.set(i, Forever)
	} else {
		r.stuck.set(i, Forever)
		r.waiting.set(i, since)
	}
	r.candidates.Set(i, x)
}

// findStuck updates which replicas are stuck: those that have had enough attempts, and no answer,
// for too long.
func (r *Roster) findStuck(stuckAfter int, now time.Duration) {
	longest, _ := r.took.first()
	limit := now - StuckAfter(-longest)
	for since, i := r.waiting.first(); since < limit; since, i = r.waiting.first() {
		r.stuck.set(i, -since)
		r.look(i, stuckAfter, now)
	}
	for since, i := r.stuck.first(); since != Forever && -since >= limit; since, i = r.stuck.first() {
		r.stuck.set(i, Forever)
		r.look(i, stuckAfter, now)
	}
}

// take takes a place at the i-th replica for an attempt; wait says whether the call is one that
// waits. It returns false if there is no place or, for a replica on trial, another call has taken
// the trial. mu must be held.
func (s *Shared) take(i int, wait bool, now time.Duration) bool {
	m, limit := &s.roster.members[i], s.roster.limit
	if wait {
		limit = m.ramp.Limit(limit, now)
	}
	taken := m.acquire(limit, s.roster.candidates.all[i].Ejected)
	m.note()
	return taken
}
