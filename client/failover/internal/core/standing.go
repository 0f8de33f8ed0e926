package core

import "time"

// Cause is what a failure of an attempt says of its replica.
type Cause uint8

const (
	// CauseFailing: the replica answered with a failure.
	CauseFailing Cause = iota
	// CauseHung: it did not answer before the attempt's deadline, or before another replica that
	// was asked later.
	CauseHung
	// CauseHungUp: it took the request and broke the connection, or gave it back unprocessed.
	CauseHungUp
)

// Standing judges a replica by what became of the attempts at it. Its zero value is in good
// standing.
//
// It counts what happens in a row, until an answer. A failure is evidence by itself. An attempt
// that its own deadline or its caller's cut off is a censored observation: all that is known is
// that an answer takes longer. Whether that speaks against the replica depends on how long other
// replicas take for the same method at the same time, and how long the method takes now and then
// anyway. The weights are added up as in Wald's sequential test (Ann. Math. Stat. 16:117, 1945),
// until they come to that of the failures in a row that it takes. Before that, calls that have the
// choice are made elsewhere, which is how it is found out.
type Standing struct {
	failures int // in a row
	out      bool
	cause    Cause
	again    int           // how often it was left out without an answer between
	since    time.Duration // when it was last left out
	turned   time.Duration // when it last turned a request away

	unanswered int      // attempts that were cut off in a row
	cut        []cutOff // the last of them
	doubtful   int      // attempts in a row that came to nothing, or fewer where it is to be asked again
	elsewhere  int      // answers of other replicas since the last of them
	asked      int      // how often it was asked again meanwhile
}

const (
	// maxBackoff is how often the time to the next probe doubles at most.
	maxBackoff = 6
	// maxCut is how many attempts that were cut off are remembered.
	maxCut = 8
	// undecided is after how many answers of others a replica is asked again that is in doubt.
	undecided = 16
	// mostAsked is how often that number doubles at most.
	mostAsked = 6
)

// Failed notes a failure. It reports whether the replica is to be left out from now on, which takes
// after failures in a row, or one where it was left out before and has not answered since.
func (s *Standing) Failed(after int, cause Cause) (enough bool) {
	s.failures++
	s.nothing(cause)
	return s.enough(after)
}

// TurnedAway notes that the replica gave a request that began at start back unprocessed, as one
// that shuts down does, or one that has too many. Those that were on their way at a time count
// once. It reports whether the replica is to be left out.
func (s *Standing) TurnedAway(start, now time.Duration, after int) (enough bool) {
	if s.turned > 0 && start <= s.turned {
		return false
	}
	s.turned = now
	return s.Failed(after, CauseHungUp)
}

// nothing notes that an attempt came to nothing.
func (s *Standing) nothing(cause Cause) { s.doubtful, s.elsewhere, s.cause = s.doubtful+1, 0, cause }

// CutOff notes an attempt of a method that was cut off when it had waited so long. It reports
// whether the replica is to be left out, and whether the others are to be compared with this
// attempt: a replica that is in doubt may be ill and is no comparison.
func (s *Standing) CutOff(after int, method *Latency, waited time.Duration) (enough, compare bool) {
	s.unanswered++
	s.nothing(CauseHung)
	if len(s.cut) == maxCut {
		copy(s.cut, s.cut[1:])
		s.cut = s.cut[:maxCut-1]
	}
	compare = s.Doubt(after) == 0
	s.cut = append(s.cut, cutOff{method: method, waited: waited, told: compare})
	return s.enough(after), compare
}

// Compare notes that an attempt of the method at another replica was answered after so long, or was
// cut off by nothing but its deadline. It reports whether the replica is to be left out.
func (s *Standing) Compare(after int, method *Latency, took time.Duration, answered bool) (enough bool) {
	for i := range s.cut {
		s.cut[i].compare(method, took, answered)
	}
	if s.elsewhere++; s.Doubt(after) > 0 && s.elsewhere >= undecided<<s.asked {
		s.elsewhere, s.asked = 0, min(s.asked+1, mostAsked)
		s.doubtful = s.need(after) - 1
	}
	return s.enough(after)
}

// need is how many failures in a row it takes to be left out.
func (s *Standing) need(after int) int {
	if s.again > 0 {
		return 1
	}
	return after
}

// enough reports whether the replica is to be left out.
func (s *Standing) enough(after int) bool {
	need := s.need(after)
	if s.out || s.failures+s.unanswered < need {
		return false
	}
	if s.failures >= need {
		return true
	}
	weight := weighCutOffs(s.cut)
	if s.unanswered > maxCut {
		weight *= float64(s.unanswered) / maxCut
	}
	return float64(s.failures)+weight >= float64(need)
}

// LeaveOut leaves the replica out from now on.
func (s *Standing) LeaveOut(now time.Duration) {
	s.out, s.since = true, now
	s.again = min(s.again+1, maxBackoff+1)
	s.forget()
}

// forget drops what has come to nothing.
func (s *Standing) forget() {
	s.failures, s.unanswered, s.cut = 0, 0, nil
	s.doubtful, s.elsewhere, s.asked = 0, 0, 0
}

// Doubt is how much there is to be said for making calls elsewhere, where attempts were cut off, or
// no more replicas may be left out: zero for nothing, and one more each time that as many have come
// to nothing as it takes to be left out. So those that are in doubt have their turns.
func (s *Standing) Doubt(after int) int { return s.doubtful / s.need(after) }

// Suspect reports whether what other replicas do is to be compared.
func (s *Standing) Suspect(after int) bool {
	return !s.out && (len(s.cut) > 0 || s.Doubt(after) > 0)
}

// stuckFloor is the least wait that says something of a replica.
const stuckFloor = 50 * time.Millisecond

// StuckAfter is for how long attempts at a replica may wait, and none be answered, before calls had
// better be made elsewhere: three times as long as usual and 50 ms at least. The usual time is the
// longest that the last answer of a replica took; zero before the first.
func StuckAfter(usual time.Duration) time.Duration { return max(3*usual, stuckFloor) }

// Slow is an attempt that was cut off after so long, at a replica that was in doubt and has
// answered since: it was no more than slow.
type Slow struct {
	Method *Latency
	Waited time.Duration
}

// Answered notes an answer: all is forgiven. It returns what others are to be compared with.
func (s *Standing) Answered() (slow []Slow) {
	for i, x := range s.cut {
		x.method.AddSlow(x.waited, 1)
		if i == 0 {
			x.method.AddSlow(x.waited, s.unanswered-len(s.cut)) // those before it, which have been forgotten
		}
		if !x.told {
			slow = append(slow, Slow{x.method, x.waited})
		}
	}
	*s = Standing{}
	return slow
}

// Try takes the replica back on trial.
func (s *Standing) Try() {
	s.out = false
	s.forget()
}

// Out reports whether the replica is left out.
func (s *Standing) Out() bool { return s.out }

// OnTrial reports whether the replica has been left out and has not answered since.
func (s *Standing) OnTrial() bool { return s.again > 0 }

// Reconnected reports whether a new connection is reason enough for a trial without a probe, since
// it may lead to a new process. It is not where the replica breaks one connection after the other.
func (s *Standing) Reconnected() bool { return s.cause != CauseHungUp }

// Backoff is the time from leaving the replica out to the first probe, where probes are the given
// time apart: at first none unless it answers with failures, for it cannot answer a probe before it
// is well, and twice as long each time.
func (s *Standing) Backoff(probe time.Duration) time.Duration {
	if s.cause != CauseFailing && s.again <= 1 {
		return 0
	}
	return probe << (max(s.again, 1) - 1)
}

// TrialAt is when the replica is tried whatever the probes say, so that none is left out for ever:
// after 20 times the time between probes, and twice as long each time, up to 64 times that. Envoy
// and gRFC A50 eject for 30 s at first and 300 s at most.
func (s *Standing) TrialAt(probe time.Duration) time.Duration {
	return s.since + 20*probe<<(max(s.again, 1)-1)
}

// MayLeaveOut reports whether one more of n replicas may be left out where so many are: as long as
// they are no more than the share of all, rounded down, but at least one of several.
func MayLeaveOut(out, n int, share float64) bool {
	const rounding = 1e-9
	return n > 1 && out < max(1, int(share*float64(n)+rounding))
}
