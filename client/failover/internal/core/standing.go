package core

import "time"

// Cause is what a failure of an attempt says of its replica.
type Cause uint8

const (
	// Failing: the replica answered with a failure.
	Failing Cause = iota
	// Hung: it did not answer within the attempt's own deadline, or before another replica that was asked later.
	Hung
	// HungUp: it took the request and broke the connection.
	HungUp
)

// Standing judges a replica by what became of the attempts at it. Its zero value is in good standing.
//
// Two kinds of evidence count. A failure is evidence by itself. An attempt that was cut off by its caller's deadline is a
// censored observation: all that is known is that an answer takes longer than the caller waited. It counts against the replica
// only beside another that answered in less time than that, since callers may simply be impatient.
type Standing struct {
	failures int // in a row
	out      bool
	cause    Cause
	again    int           // how often it was left out without an answer between
	since    time.Duration // when it was last left out

	unanswered int           // attempts in a row that their callers' deadlines cut off
	start      time.Duration // of the first of them
	longest    time.Duration // that one of them waited
	last       time.Duration // when the last of them ended
}

// maxBackoff is how often the time to the next probe doubles at most.
const maxBackoff = 6

// Failed notes a failure. It reports whether the replica is to be left out from now on, if it may, which takes after failures in
// a row, or one where it was left out before and has not answered since.
func (s *Standing) Failed(now time.Duration, after int, cause Cause, may bool) bool {
	s.failures++
	if s.out || !may || s.failures < after && s.again == 0 {
		return false
	}
	s.leaveOut(now, cause)
	return true
}

func (s *Standing) leaveOut(now time.Duration, cause Cause) {
	s.out, s.cause, s.since = true, cause, now
	s.again = min(s.again+1, maxBackoff+1)
	s.unanswered = 0
}

// Unanswered notes an attempt that began at start and was cut off now.
func (s *Standing) Unanswered(start, now time.Duration) {
	if s.unanswered == 0 {
		s.start, s.longest = start, 0
	}
	s.unanswered++
	s.longest, s.last = max(s.longest, now-start), now
}

// Doubted returns until when calls had better be made elsewhere: for a while after the last of that many attempts in a row that
// were not answered. Zero where there is no doubt.
func (s *Standing) Doubted(after int, while time.Duration) time.Duration {
	if s.unanswered < after && s.again == 0 || s.unanswered == 0 {
		return 0
	}
	return s.last + while
}

// Outdone notes that another replica answered an attempt that began at start and took so long. It reports whether the replica
// is to be left out from now on, if it may, as it did not answer that many attempts in a row, one of which waited for longer.
func (s *Standing) Outdone(now time.Duration, after int, start, took time.Duration, may bool) bool {
	if s.out || !may || s.unanswered == 0 || s.unanswered < after && s.again == 0 || start < s.start || took > s.longest {
		return false
	}
	s.leaveOut(now, Hung)
	return true
}

// stuckFloor is the least wait that says something of a replica.
const stuckFloor = 50 * time.Millisecond

// Stuck reports whether calls had better be made elsewhere, as that many attempts at a replica wait for an answer, and none has been
// answered since the first of them began, for three times as long as usual and 50 ms at least. The usual time is what the latest
// answers of any replica took; zero before the first.
func Stuck(waiting, after int, first, usual time.Duration) bool {
	return waiting >= after && first > max(3*usual, stuckFloor)
}

// Answered notes an answer: all is forgiven.
func (s *Standing) Answered() { *s = Standing{} }

// Try takes the replica back on trial.
func (s *Standing) Try() { s.out, s.failures, s.unanswered = false, 0, 0 }

// Out reports whether the replica is left out.
func (s *Standing) Out() bool { return s.out }

// OnTrial reports whether the replica has been left out and has not answered since.
func (s *Standing) OnTrial() bool { return s.again > 0 }

// Reconnected reports whether a new connection is reason enough for a trial without a probe, since it may lead to a new process.
// It is not where the replica breaks one connection after the other.
func (s *Standing) Reconnected() bool { return s.cause != HungUp }

// Backoff is the time from leaving the replica out to the first probe, where probes are the given time apart: at first none
// unless it answers with failures, for it cannot answer a probe before it is well, and twice as long each time.
func (s *Standing) Backoff(probe time.Duration) time.Duration {
	if s.cause != Failing && s.again <= 1 {
		return 0
	}
	return probe << (max(s.again, 1) - 1)
}

// TrialAt is when the replica is tried whatever the probes say, so that none is left out for ever: after 20 times the time
// between probes, and twice as long each time, up to 64 times that. Envoy and gRFC A50 eject for 30 s at first and 300 s at most.
func (s *Standing) TrialAt(probe time.Duration) time.Duration {
	return s.since + 20*probe<<(max(s.again, 1)-1)
}

// MayLeaveOut reports whether one more of n replicas may be left out where so many are: as long as they are no more than the
// share of all, rounded down, but at least one of several.
func MayLeaveOut(out, n int, share float64) bool {
	return n > 1 && out < max(1, int(share*float64(n)))
}
