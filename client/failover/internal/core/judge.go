package core

import (
	"cmp"
	"slices"
	"time"
)

// Says is what the end of an attempt says of its replica.
type Says uint8

const (
	SaysNothing     Says = iota
	SaysOK               // it answered with success
	SaysRejected         // it answered with a status that is not retried
	SaysFailing          // it answered with a failure
	SaysUnprocessed      // it gave the request back unprocessed
	SaysLost             // the connection broke
	SaysCutOff           // the attempt was cut off by its own deadline, or the caller's
)

// End is the end of an attempt.
type End struct {
	Says     Says
	Answered bool // the replica did
	Sent     bool
}

// Watch is what is to be done about a replica that is left out: it is probed after Probe, and, if
// it is still out then, tried after Trial whatever the probes have found.
type Watch struct {
	Number       int  // of the replica's watches
	First        bool // it was not on trial
	Probe, Trial time.Duration
}

// News has functions that are called when a judgement changes a replica. They run with the
// replica's lock held.
type News struct {
	LeftOut   func(Member, Watch)
	TakenBack func(Member)
}

// Settle takes note of how an attempt ended, for its replica and others, but for its place.
func (s *Shared) Settle(l *Lease, e End, now time.Duration, news News) {
	l.end(e.Answered)
	after := s.Policy.Ejection.After
	switch e.Says {
	case SaysOK, SaysRejected:
		s.answered(l, e, now, news)
	case SaysFailing:
		s.fails(l, CauseFailing, now, news)
	case SaysUnprocessed:
		s.blame(l, now, news, func(x *Standing) bool { return x.TurnedAway(l.Start, now, after) })
	case SaysLost:
		s.lost(l, now, news)
	case SaysCutOff:
		s.cutOff(l, e.Sent, now, news)
	}
	if l.ejected.Load() {
		l.undecided(l.Start)
	}
	l.touch()
}

// Release gives a place at a replica back.
func (s *Shared) Release(r *Replica) {
	r.inFlight.Add(-1)
	r.touch()
}

// Abandon gives a place back that no attempt was made with.
func (s *Shared) Abandon(r *Replica, now time.Duration) {
	if r.ejected.Load() {
		r.undecided(now)
	}
	s.Release(r)
}

// Miss takes note that an attempt that had begun was not made.
func (s *Shared) Miss(l *Lease, now time.Duration) {
	l.end(false)
	s.Abandon(l.Replica, now)
}

// Overtaken takes note that an attempt was ended because another one that had joined it ended the
// call.
func (s *Shared) Overtaken(l *Lease, now time.Duration, news News) { s.fails(l, CauseHung, now, news) }

// answered takes note that a replica has answered.
func (s *Shared) answered(l *Lease, e End, now time.Duration, news News) {
	if l.suspect.Load() {
		s.forgive(l, now, news)
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
	s.compare(l.Replica, l.Method, took, true, now, news)
	if e.Says != SaysOK {
		return
	}
	l.Method.Add(took)
	if s.Policy.Rules.Order == OrderSticky && s.last.Load() != l.Key {
		s.last.Store(l.Key)
	}
}

// lost takes note that the connection to a replica broke. That counts once, however many attempts
// were lost with it.
func (s *Shared) lost(l *Lease, now time.Duration, news News) {
	l.loss.Store(&loss{l.conn, now})
	if !l.crashed(l.conn) {
		return
	}
	if s.Policy.AdaptiveLimit {
		s.hazard.Crashed()
	}
	s.fails(l, CauseHungUp, now, news)
}

// fails records an attempt that counts as a failure of its replica.
func (s *Shared) fails(l *Lease, cause Cause, now time.Duration, news News) {
	after := s.Policy.Ejection.After
	s.blame(l, now, news, func(x *Standing) bool { return x.Failed(after, cause) })
}

// cutOff records that an attempt was cut off by its own deadline or the caller's. A caller who
// cancels proves nothing. An attempt that was not sent, because the connection had no stream left,
// says nothing about how long the method takes.
func (s *Shared) cutOff(l *Lease, sent bool, now time.Duration, news News) {
	waited, after := now-l.Start, s.Policy.Ejection.After
	if sent {
		l.Method.AddCutOff(waited)
	}
	compare := false
	s.blame(l, now, news, func(x *Standing) (enough bool) {
		enough, compare = x.CutOff(after, l.Method, waited)
		return enough
	})
	if compare && sent {
		s.compare(l.Replica, l.Method, waited, false, now, news)
	}
}

// blame records evidence against the replica of an attempt, unless the attempt began before the
// replica was last ejected or put back, and ejects the replica if note says that the evidence
// suffices.
func (s *Shared) blame(l *Lease, now time.Duration, news News, note func(*Standing) (enough bool)) {
	if s.Policy.Ejection.Off {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Start < l.since {
		return
	}
	l.suspect.Store(true)
	s.judge(l.Member, note(&l.standing), now, news)
}

// judge ejects a replica if the evidence against it suffices and the ejection is allowed. The
// replica's mu must be held.
func (s *Shared) judge(m Member, enough bool, now time.Duration, news News) {
	after := s.Policy.Ejection.After
	if enough {
		s.leaving.Lock()
		if s.mayLeaveOut(m.Replica, now) {
			s.leaveOut(m, now, news)
		}
		s.leaving.Unlock()
	}
	m.doubt.Store(int32(m.standing.Doubt(after)))
	m.touch()
	if m.standing.Suspect(after) {
		s.suspect(m, true)
	}
}

// suspect takes note of whether the replica is to be compared with others.
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

// compare tells the replicas against which something has been said that another one has answered an
// attempt of the method after so long, or has turned out to be well though one was cut off after so
// long.
func (s *Shared) compare(with *Replica, method *Latency, took time.Duration, answered bool, now time.Duration, news News) {
	after := s.Policy.Ejection.After
	for _, m := range *s.suspects.Load() {
		if m.Replica == with {
			continue
		}
		m.mu.Lock()
		if m.standing.Suspect(after) {
			s.judge(m, m.standing.Compare(after, method, took, answered), now, news)
		} else {
			s.suspect(m, false)
		}
		m.mu.Unlock()
	}
}

// mayLeaveOut reports whether the share of the replicas with a connection that may be left out has
// room for this one. leaving must be held.
func (s *Shared) mayLeaveOut(r *Replica, now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.current(now).candidates
	count := &all.side(false).count
	out, n := count[kindLeftOut], count[kindReady]+1
	if i, known := all.place[r.Key]; known && all.all[i].Ready {
		n--
		if all.all[i].Ejected {
			out--
		}
	}
	return MayLeaveOut(out, n, s.Policy.Ejection.MaxShare)
}

// leaveOut takes a replica out of the choice, and sees to it that it is looked after. Its mu must
// be held, and leaving.
func (s *Shared) leaveOut(m Member, now time.Duration, news News) {
	m.since, m.left = now, m.connection()
	m.standing.LeaveOut(now)
	m.trial.Store(false)
	m.watch++
	m.unwatched, m.ill = false, false
	every := s.Policy.Ejection.Probe
	news.LeftOut(m, Watch{
		Number: m.watch, First: !m.ejected.Swap(true), Probe: m.standing.Backoff(every), Trial: m.standing.TrialAt(every) - now,
	})
}

// forgive takes note of a success of a replica that had failed before. One for which a hedge was
// due proves nothing, as there are not hedges enough to overtake all that are slow; but on trial
// there is one, and it did not.
func (s *Shared) forgive(l *Lease, now time.Duration, news News) {
	l.mu.Lock()
	slow := l.Patience > 0 && now-l.Start > l.Patience
	if l.Start < l.since || slow && !l.standing.OnTrial() {
		l.mu.Unlock()
		return
	}
	l.suspect.Store(false)
	l.doubt.Store(0)
	forgiven := l.standing.Answered()
	if l.ejected.Load() {
		l.takeBack(now)
		news.TakenBack(l.Member)
	}
	l.mu.Unlock() // before those of others are taken
	for _, x := range forgiven {
		s.compare(l.Replica, x.Method, x.Waited, false, now, news)
	}
}

// takeBack puts a replica that was left out back into the choice. Its mu must be held.
func (r *Replica) takeBack(now time.Duration) {
	r.since = now
	r.ejected.Store(false)
	r.trial.Store(false)
	r.touch()
}

// undecided takes note of an attempt that began at a time and says nothing of the replica: if it
// was its trial, another call may have it.
func (r *Replica) undecided(start time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if start >= r.since && r.ejected.Load() && !r.standing.Out() {
		r.trial.Store(true)
		r.touch()
	}
}

// Changed takes note that the states of these links have changed, perhaps for the better. Crowded
// is true where calls wait.
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

// ready takes note that a replica has a connection, perhaps a new one.
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
		m.ramp.Begin(now) // as after an outage of all
	}
	if m.ejected.Load() {
		m.renew(conn, now)
	}
}

// renew gives a replica that was left out a new chance when it has a new connection, for it may be
// a new process.
func (r *Replica) renew(conn connection, now time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ejected.Load() && conn != r.left && (r.standing.Reconnected() || r.unwatched) {
		r.standing.Try()
		r.takeBack(now)
	}
}

// Finding is what a probe has found out.
type Finding uint8

const (
	FindingDeaf    Finding = iota // no answer, or one that says that it cannot serve
	FindingAlive                  // an answer of a live process, which says nothing about what it serves
	FindingServing                // the health service says that it serves
)

// Watched reports whether the replica is still to be looked after by the watch of that number.
func (r *Replica) Watched(number int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.watched(number)
}

// watched is Watched with mu held.
func (r *Replica) watched(number int) bool {
	return r.watch == number && !r.unwatched && r.standing.Out()
}

// Unwatch ends a watch before the replica is well: if it comes back, it is as good as new.
func (r *Replica) Unwatch(number int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unwatched = r.unwatched || r.watch == number
}

// Found takes note of what a probe of that watch has found. It takes back a replica that is well
// again. One that is alive, or whose health service saw nothing wrong, is tried by one call at a
// time. It reports whether there is nothing left to ask.
func (r *Replica) Found(number int, f Finding, now time.Duration, takenBack func()) (over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.watched(number):
	case f == FindingServing && r.ill:
		r.standing.Try()
		r.takeBack(now)
		takenBack()
	case f != FindingDeaf:
		r.standing.Try()
		r.since = now
		r.trial.Store(true)
		r.touch()
	default:
		r.ill = true
		return false
	}
	return true
}

// Tried is Found where the replica is to be tried whatever the probes have found, so that none is
// left out for ever.
func (r *Replica) Tried(number int, now time.Duration) (over bool) {
	return r.Found(number, FindingAlive, now, func() {})
}

// Interval is the time to the next probe after one that took so long.
func (e Ejection) Interval(took time.Duration) time.Duration { return max(0, e.Probe-took) }
