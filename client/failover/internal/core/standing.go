package core

import "time"

// Standing tells whether a replica is to be left out, from what became of the attempts at it. The zero value is in good
// standing.
type Standing struct {
	failures int // in a row
	out      bool
	again    int // how often it was left out without a success between
}

// maxBackoff is how often the time to the next probe doubles at most.
const maxBackoff = 6

// Failed notes an attempt that hung or failed. It reports whether the replica is to be left out from now on, which takes
// after such attempts in a row, or one where it was left out before and has not succeeded since.
func (s *Standing) Failed(after int) bool {
	s.failures++
	if s.out || s.failures < after && s.again == 0 {
		return false
	}
	s.out = true
	s.again = min(s.again+1, maxBackoff+1)
	return true
}

// Succeeded notes a success: all is forgiven.
func (s *Standing) Succeeded() { *s = Standing{} }

// Probed notes that a probe found the replica well: it is taken back, on trial.
func (s *Standing) Probed() { s.out, s.failures = false, 0 }

// Out reports whether the replica is left out.
func (s *Standing) Out() bool { return s.out }

// OnTrial reports whether the replica has been left out and has not succeeded since.
func (s *Standing) OnTrial() bool { return s.again > 0 }

// Backoff is the time from leaving the replica out to the first probe, where probes are the given time apart: at first
// none for one that hung, for it cannot answer a probe before it is well, and twice as long each time.
func (s *Standing) Backoff(probe time.Duration, hung bool) time.Duration {
	if hung && s.again <= 1 {
		return 0
	}
	return probe << (max(s.again, 1) - 1)
}
