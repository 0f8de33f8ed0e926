package core

import (
	"cmp"
	"slices"
	"time"
)

// Evidence is what the end of an attempt says about its replica.
type Evidence uint8

const (
	EvidenceNone        Evidence = iota
	EvidenceOK                   // it answered with success
	EvidenceRejected             // it answered with a status that is not retried
	EvidenceFailed               // it answered with a failure
	EvidenceUnprocessed          // it refused the request unprocessed
	EvidenceLost                 // the connection broke
	EvidenceCutOff               // the attempt was cut off by its own deadline, or the caller's
)

// End is how an attempt ended, as far as its replica is concerned.
type End struct {
	Evidence Evidence
	Answered bool // the replica answered
	Sent     bool
}

// Observer has functions to call when a replica is ejected or reinstated. They run with the
// replica's lock held. If one panics, the locks are released.
type Observer struct {
	Ejected    func(Member, Watch)
	Reinstated func(Member)
}

// Settle records how an attempt ended and judges its replica, and others by comparison. It does not
// release the place.
func (s *Shared) Settle(l *Lease, e End, now time.Duration, observer Observer) {
	l.end(e.Answered)
	after := s.Policy.Ejection.After
	switch e.Evidence {
	case EvidenceOK, EvidenceRejected:
		s.answered(l, e, now, observer)
	case EvidenceFailed:
		s.fails(l, CauseFailing, now, observer)
	case EvidenceUnprocessed:
		s.blame(l, now, observer, func(x *Standing) bool { return x.Refused(l.Start, now, after) })
	case EvidenceLost:
		s.lost(l, now, observer)
	case EvidenceCutOff:
		s.cutOff(l, e.Sent, now, observer)
	}
	if l.ejected.Load() {
		l.reopenTrial(l.Start)
	}
	l.touch()
}

// Release gives back a place at a replica.
func (s *Shared) Release(r *Replica) {
	r.inFlight.Add(-1)
	r.touch()
}

// Abandon gives back a place that was not used for an attempt.
func (s *Shared) Abandon(r *Replica, now time.Duration) {
	if r.ejected.Load() {
		r.reopenTrial(now)
	}
	s.Release(r)
}

// Miss takes back an attempt that had begun and was not made.
func (s *Shared) Miss(l *Lease, now time.Duration) {
	l.end(false)
	s.Abandon(l.Replica, now)
}

// Overtaken records that an attempt was canceled because another that had joined it ended the call.
func (s *Shared) Overtaken(l *Lease, now time.Duration, observer Observer) {
	s.fails(l, CauseHung, now, observer)
}

// answered records that a replica has answered.
func (s *Shared) answered(l *Lease, e End, now time.Duration, observer Observer) {
	if l.suspect.Load() {
		s.clear(l, now, observer)
	}
	if s.Policy.AdaptiveLimit {
		s.hazard.Survived()
	}
	l.ramp.Answered()
	if l.unproven.Load() {
		l.unproven.Store(false)
	}
	took := now - l.Start
	l.took.Store(int64(max(took, 1)))
	s.compare(l.Replica, l.Method, took, true, now, observer)
	if e.Evidence != EvidenceOK {
		return
	}
	l.Method.Add(took)
	if s.Policy.Rules.Order == OrderSticky && s.last.Load() != l.Key {
		s.last.Store(l.Key)
	}
}

// lost records that the connection to a replica broke. That counts once, however many attempts were
// lost with it.
func (s *Shared) lost(l *Lease, now time.Duration, observer Observer) {
	l.loss.Store(&loss{l.conn, now})
	if !l.crashed(l.conn) {
		return
	}
	if s.Policy.AdaptiveLimit {
		s.hazard.Crashed()
	}
	s.fails(l, CauseBroken, now, observer)
}

// fails records an attempt that counts as a failure of its replica.
func (s *Shared) fails(l *Lease, cause Cause, now time.Duration, observer Observer) {
	after := s.Policy.Ejection.After
	s.blame(l, now, observer, func(x *Standing) bool { return x.Failed(after, cause) })
}

// cutOff records that an attempt was cut off by its own deadline or the caller's. An attempt that
// was not sent, because the connection had no stream left, says nothing about how long the method
// takes.
func (s *Shared) cutOff(l *Lease, sent bool, now time.Duration, observer Observer) {
	waited, after := now-l.Start, s.Policy.Ejection.After
	if sent {
		l.Method.AddCutOff(waited)
	}
	compare := false
	s.blame(l, now, observer, func(x *Standing) (enough bool) {
		enough, compare = x.CutOff(after, l.Method, waited)
		return enough
	})
	if compare && sent {
		s.compare(l.Replica, l.Method, waited, false, now, observer)
	}
}

// blame records evidence against the replica of an attempt, and ejects the replica if note reports
// that the evidence suffices. Attempts that began before the replica was last ejected or reinstated
// do not count.
func (s *Shared) blame(l *Lease, now time.Duration, observer Observer, note func(*Standing) (enough bool)) {
	if s.Policy.Ejection.Off {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Start < l.since {
		return
	}
	l.suspect.Store(true)
	s.judge(l.Member, note(&l.standing), now, observer)
}

// judge ejects a replica if the evidence against it suffices and the ejection is allowed. The
// replica's mu must be held.
func (s *Shared) judge(m Member, enough bool, now time.Duration, observer Observer) {
	after := s.Policy.Ejection.After
	if enough {
		s.ejectIfAllowed(m, now, observer)
	}
	m.doubt.Store(int32(m.standing.Doubt(after)))
	m.touch()
	if m.standing.Suspect(after) {
		s.suspect(m, true)
	}
}

// ejectIfAllowed ejects a replica if MaxShare permits that. Its mu must be held.
func (s *Shared) ejectIfAllowed(m Member, now time.Duration, observer Observer) {
	s.ejecting.Lock()
	defer s.ejecting.Unlock()
	if s.mayEject(m.Replica, now) {
		s.eject(m, now, observer)
	}
}

// suspect adds the replica to those that are compared with others, or removes it.
func (s *Shared) suspect(m Member, is bool) {
	s.suspecting.Lock()
	defer s.suspecting.Unlock()
	all := *s.suspects.Load()
	i, known := slices.BinarySearchFunc(all, m.Key, func(x Member, key uint32) int { return cmp.Compare(x.Key, key) })
	switch {
	case is && !known:
		all = slices.Insert(slices.Clone(all), i, m)
	case !is && known:
		all = slices.Delete(slices.Clone(all), i, i+1)
	default:
		return
	}
	s.suspects.Store(&all)
}

// compare gives the suspects a comparison: an attempt of the method at another replica was answered
// after took, or was cut off after took although that replica turned out to be healthy.
func (s *Shared) compare(with *Replica, method *Latency, took time.Duration, answered bool, now time.Duration, observer Observer) {
	after := s.Policy.Ejection.After
	compare := func(m Member) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.standing.Suspect(after) {
			s.judge(m, m.standing.Compare(after, method, took, answered), now, observer)
		} else {
			s.suspect(m, false)
		}
	}
	for _, m := range *s.suspects.Load() {
		if m.Replica != with {
			compare(m)
		}
	}
}

// mayEject reports whether Ejection.MaxShare permits ejecting this replica too. ejecting must be
// held.
func (s *Shared) mayEject(r *Replica, now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.current(now).candidates
	count := &all.side(false).count
	out, n := count[kindEjected], count[kindReady]+1
	if i, known := all.place[r.Key]; known && all.all[i].Ready {
		n--
		if all.all[i].Ejected {
			out--
		}
	}
	return MayEject(out, n, s.Policy.Ejection.MaxShare)
}

// eject ejects a replica and starts a watch. Its mu and ejecting must be held.
func (s *Shared) eject(m Member, now time.Duration, observer Observer) {
	m.since, m.ejectedWith = now, m.connection()
	m.standing.Eject(now)
	m.trial.Store(false)
	m.watch++
	m.unwatched, m.unhealthy = false, false
	every := s.Policy.Ejection.Probe
	observer.Ejected(m, Watch{
		Number: m.watch, First: !m.ejected.Swap(true), Probe: m.standing.Backoff(every), Trial: m.standing.TrialAt(every) - now,
	})
}

// clear clears the evidence against a replica that has answered. An answer that came after a
// hedge was due does not count, because Hedge.Share does not allow a hedge for every slow attempt;
// during a trial it does count, because a trial always has a hedge, which evidently was not faster.
func (s *Shared) clear(l *Lease, now time.Duration, observer Observer) {
	for _, x := range s.clearStanding(l, now, observer) { // without the lock, as compare takes those of other replicas
		s.compare(l.Replica, x.Method, x.Waited, false, now, observer)
	}
}

// clearStanding does the part of clear that concerns the replica itself. It returns the earlier
// attempts that turn out to have been merely slow.
func (s *Shared) clearStanding(l *Lease, now time.Duration, observer Observer) (merelySlow []Slow) {
	l.mu.Lock()
	defer l.mu.Unlock()
	slow := l.HedgeDelay > 0 && now-l.Start > l.HedgeDelay
	if l.Start < l.since || slow && !l.standing.OnTrial() {
		return nil
	}
	l.suspect.Store(false)
	l.doubt.Store(0)
	merelySlow = l.standing.Answered()
	if l.ejected.Load() {
		l.reinstate(now)
		observer.Reinstated(l.Member)
	}
	return merelySlow
}

// reinstate reinstates an ejected replica. Its mu must be held.
func (r *Replica) reinstate(now time.Duration) {
	r.since = now
	r.ejected.Store(false)
	r.trial.Store(false)
	r.touch()
}

// reopenTrial lets another call try the replica if an attempt that began at start was its trial and
// was inconclusive.
func (r *Replica) reopenTrial(start time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if start >= r.since && r.ejected.Load() && !r.standing.Out() {
		r.trial.Store(true)
		r.touch()
	}
}

// Changed records that the states of these links may have changed. crowded reports whether calls
// are waiting.
func (s *Shared) Changed(members []Member, crowded bool, now time.Duration) {
	for i := range members {
		switch m := &members[i]; {
		case m.Link.Ready():
			s.ready(m, crowded, now)
		case m.Link.Down():
			s.wasDown.Store(true)
			m.unproven.Store(true)
		}
		members[i].touch()
	}
}

// ready records that a replica has a connection, which may be a new one.
func (s *Shared) ready(m *Member, crowded bool, now time.Duration) {
	conn := m.connection()
	last := m.ramped.Swap(&conn)
	if last != nil && *last == conn {
		return
	}
	if last != nil {
		m.unproven.Store(true)
	}
	if (last != nil || s.wasDown.Load()) && crowded {
		m.ramp.Begin(now) // as after an outage of all replicas
	}
	if m.ejected.Load() {
		m.renew(conn, now)
	}
}

// renew reinstates an ejected replica that has a new connection, because it may be a new process.
func (r *Replica) renew(conn connection, now time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ejected.Load() && conn != r.ejectedWith && (r.standing.Reconnected() || r.unwatched) {
		r.standing.Try()
		r.reinstate(now)
	}
}
