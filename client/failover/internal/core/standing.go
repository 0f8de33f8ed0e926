package core

import "time"

// Cause is what a failed attempt says about its replica.
type Cause uint8

const (
	// CauseFailing: the replica answered with a failure.
	CauseFailing Cause = iota
	// CauseHung: the replica did not answer before the attempt's deadline, or before another
	// replica that was asked later.
	CauseHung
	// CauseBroken: the replica took the request and broke the connection, or refused it
	// unprocessed.
	CauseBroken
)

// Standing judges a replica by how the attempts at it ended. The zero value is in good standing.
//
// It counts consecutive attempts without an answer. A failure is evidence by itself. An attempt cut
// off by its own or its caller's deadline is a censored observation: all that is known is that an
// answer takes longer. Whether that speaks against the replica depends on how long other replicas
// take for the same method at the same time, and how long the method takes occasionally anyway. The
// weights are summed as in Wald's sequential test (Ann. Math. Stat. 16:117, 1945) until they equal
// that of the consecutive failures that lead to an ejection. Before that, calls prefer other
// replicas, whose answers provide the comparison.
type Standing struct {
	failures  int  // in a row
	out       bool // ejected, and not on trial yet
	cause     Cause
	ejections int           // ejections since the last answer
	since     time.Duration // when it was last ejected
	refusedAt time.Duration // when it last refused a request unprocessed

	unanswered int      // consecutive attempts that were cut off
	cutOffs    []cutOff // the last of them
	doubtful   int      // consecutive attempts without an answer; lowered to give the replica another call
	elsewhere  int      // answers of other replicas since the last of them
	retries    int      // how often doubtful was lowered since the last answer
}

const (
	// maxBackoff is how often the time to the next probe doubles.
	maxBackoff = 6
	// maxDelay bounds that time: 100 years.
	maxDelay = 100 * 365 * 24 * time.Hour
	// maxCut is how many cut-off attempts are kept.
	maxCut = 8
	// answersToRetry is after how many answers of other replicas a replica in doubt gets another
	// call.
	answersToRetry = 16
	// maxRetryDoublings is how often that number doubles.
	maxRetryDoublings = 6
)

// Failed records a failure. It reports whether to eject the replica, which takes after consecutive
// failures, or one if it has been ejected before and has not answered since.
func (s *Standing) Failed(after int, cause Cause) (enough bool) {
	s.failures++
	s.noAnswer(cause)
	return s.enough(after)
}

// Refused records that the replica refused, unprocessed, a request that began at start, as a
// replica does that shuts down or is overloaded. Requests in flight at the same time count once. It
// reports whether to eject the replica.
func (s *Standing) Refused(start, now time.Duration, after int) (enough bool) {
	if s.refusedAt > 0 && start <= s.refusedAt {
		return false
	}
	s.refusedAt = now
	return s.Failed(after, CauseBroken)
}

// noAnswer records an attempt without an answer.
func (s *Standing) noAnswer(cause Cause) { s.doubtful, s.elsewhere, s.cause = s.doubtful+1, 0, cause }

// CutOff records an attempt of a method that was cut off after it had waited for so long. It
// reports whether to eject the replica, and whether this attempt is a comparison for other
// replicas: one at a replica in doubt is not.
func (s *Standing) CutOff(after int, method *Latency, waited time.Duration) (enough, compare bool) {
	s.unanswered++
	s.noAnswer(CauseHung)
	if len(s.cutOffs) == maxCut {
		copy(s.cutOffs, s.cutOffs[1:])
		s.cutOffs = s.cutOffs[:maxCut-1]
	}
	compare = s.Doubt(after) == 0
	s.cutOffs = append(s.cutOffs, cutOff{method: method, waited: waited, compared: compare})
	return s.enough(after), compare
}

// Compare records an attempt of the method at another, healthy replica that was answered or, if
// answered is false, cut off after took. It reports whether to eject this replica.
func (s *Standing) Compare(after int, method *Latency, took time.Duration, answered bool) (enough bool) {
	for i := range s.cutOffs {
		s.cutOffs[i].compare(method, took, answered)
	}
	if s.elsewhere++; s.Doubt(after) > 0 && s.elsewhere >= answersToRetry<<s.retries {
		s.elsewhere, s.retries = 0, min(s.retries+1, maxRetryDoublings)
		s.doubtful = s.need(after) - 1
	}
	return s.enough(after)
}

// need returns how many consecutive failures lead to an ejection.
func (s *Standing) need(after int) int {
	if s.ejections > 0 {
		return 1
	}
	return after
}

// enough reports whether the evidence suffices to eject the replica.
func (s *Standing) enough(after int) bool {
	need := s.need(after)
	if s.out || s.failures+s.unanswered < need {
		return false
	}
	if s.failures >= need {
		return true
	}
	weight := weighCutOffs(s.cutOffs)
	if s.unanswered > maxCut {
		weight *= float64(s.unanswered) / maxCut
	}
	return float64(s.failures)+weight >= float64(need)
}

// Eject ejects the replica.
func (s *Standing) Eject(now time.Duration) {
	s.out, s.since = true, now
	s.ejections = min(s.ejections+1, maxBackoff+1)
	s.forget()
}

// forget drops the evidence.
func (s *Standing) forget() {
	s.failures, s.unanswered, s.cutOffs = 0, 0, nil
	s.doubtful, s.elsewhere, s.retries = 0, 0, 0
}

// Doubt returns how strongly calls should prefer other replicas, if the evidence is undecided or no
// more replicas may be ejected: zero for not at all, and one more for every after consecutive
// attempts without an answer. Calls go to the replica with the least doubt, so replicas in doubt
// take turns.
func (s *Standing) Doubt(after int) int { return s.doubtful / s.need(after) }

// Suspect reports whether the replica needs comparisons with others.
func (s *Standing) Suspect(after int) bool {
	return !s.out && (len(s.cutOffs) > 0 || s.Doubt(after) > 0)
}

// stuckFloor is the shortest wait that says anything about a replica.
const stuckFloor = 50 * time.Millisecond

// StuckAfter returns how long attempts may wait at a replica without any answer before calls prefer
// other replicas: three times the usual time, and at least 50 ms. The usual time is the longest
// among the latest answers of the replicas, or zero before the first answer.
func StuckAfter(usual time.Duration) time.Duration { return max(3*usual, stuckFloor) }

// Slow is an attempt that was cut off after Waited at a replica that was in doubt and has answered
// since, so that the attempt was merely slow.
type Slow struct {
	Method *Latency
	Waited time.Duration
}

// Answered records an answer, which clears all evidence. It returns the slow attempts that are a
// comparison for other replicas only now.
func (s *Standing) Answered() (slow []Slow) {
	for i, x := range s.cutOffs {
		x.method.AddSlow(x.waited, 1)
		if i == 0 {
			x.method.AddSlow(x.waited, s.unanswered-len(s.cutOffs)) // for those before it, which are no longer kept
		}
		if !x.compared {
			slow = append(slow, Slow{x.method, x.waited})
		}
	}
	*s = Standing{}
	return slow
}

// Try puts the replica on trial.
func (s *Standing) Try() {
	s.out = false
	s.forget()
}

// Out reports whether the replica is ejected and not on trial yet.
func (s *Standing) Out() bool { return s.out }

// OnTrial reports whether the replica has been ejected and has not answered since.
func (s *Standing) OnTrial() bool { return s.ejections > 0 }

// Reconnected reports whether a new connection justifies a trial without a probe, since it may lead
// to a new process. It does not if the replica keeps breaking connections.
func (s *Standing) Reconnected() bool { return s.cause != CauseBroken }

// Backoff returns the time from the ejection to the first probe, if probes are the given time
// apart. The first time it is zero, unless the replica answers with failures: a replica that hangs
// cannot answer a probe before it has recovered. It doubles with each ejection.
func (s *Standing) Backoff(probe time.Duration) time.Duration {
	if s.cause != CauseFailing && s.ejections <= 1 {
		return 0
	}
	return s.doubled(probe)
}

// TrialAt returns when to put the replica on trial whatever the probes say, so that none stays
// ejected forever: after 20 times the time between probes, which doubles with each ejection up to
// 64 times that. Envoy and gRFC A50 eject for 30 s at first and at most 300 s.
func (s *Standing) TrialAt(probe time.Duration) time.Duration {
	return s.since + s.doubled(20*min(probe, maxDelay/20))
}

// doubled returns d, doubled for each ejection after the first, up to maxDelay.
func (s *Standing) doubled(d time.Duration) time.Duration {
	n := max(s.ejections, 1) - 1
	return min(d, maxDelay>>n) << n
}

// MayEject reports whether one more of n replicas may be ejected if out of them are already: up
// to the share of n, rounded down, and always one of several.
func MayEject(out, n int, share float64) bool {
	const rounding = 1e-9
	return n > 1 && out < max(1, int(share*float64(n)+rounding))
}
