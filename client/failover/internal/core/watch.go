package core

import "time"

// Watch is what to do about an ejected replica: probe it after Probe and, if it is still ejected
// then, put it on trial after Trial whatever the probes have found.
type Watch struct {
	Number       int  // counts the replica's watches, from 1
	First        bool // the replica was not ejected before
	Probe, Trial time.Duration
}

// Finding is the result of a probe.
type Finding uint8

const (
	FindingUnhealthy Finding = iota // no answer, or NOT_SERVING
	FindingAlive                    // another answer, which shows only that the process is alive
	FindingServing                  // SERVING
)

// Watched reports whether the watch of that number still has to probe the replica.
func (r *Replica) Watched(number int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.watched(number)
}

// watched is Watched with mu held.
func (r *Replica) watched(number int) bool {
	return r.watch == number && !r.unwatched && r.standing.Out()
}

// Unwatch ends a watch because the replica is gone. If the replica returns, a new connection
// reinstates it.
func (r *Replica) Unwatch(number int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unwatched = r.unwatched || r.watch == number
}

// Probed records the result of a probe of that watch. It reinstates a replica whose health service
// has reported a problem and now reports none. It puts on trial, for one call at a time, a replica
// that is alive, or whose health service never reported a problem. It returns true if no further
// probe is needed.
func (r *Replica) Probed(number int, f Finding, now time.Duration, takenBack func()) (over bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !r.watched(number):
	case f == FindingServing && r.unhealthy:
		r.standing.Try()
		r.reinstate(now)
		takenBack()
	case f != FindingUnhealthy:
		r.standing.Try()
		r.since = now
		r.trial.Store(true)
		r.touch()
	default:
		r.unhealthy = true
		return false
	}
	return true
}

// StartTrial puts the replica on trial whatever the probes have found, so that none stays ejected
// forever.
func (r *Replica) StartTrial(number int, now time.Duration) (over bool) {
	return r.Probed(number, FindingAlive, now, func() {})
}

// Interval returns the time from a probe that took so long to the next one.
func (e Ejection) Interval(took time.Duration) time.Duration { return max(0, e.Probe-took) }
