package core

import (
	"sync/atomic"
	"time"
)

const (
	rampStart = 16
	rampEnd   = 1024
	rampStep  = 250 * time.Millisecond
)

// Ramp bounds the attempts in flight at a replica that has just come back, so that the calls that
// waited for it do not all arrive at once. The bound is 16 at first and rises by one with each
// answer, so that it doubles with each round of answers, as in TCP's slow start (RFC 5681, section
// 3.1). It also doubles every 250 ms, because a healthy replica may take long to answer. It is
// lifted at 1,024. The zero value sets no bound. A Ramp is safe for concurrent use.
type Ramp struct {
	began   atomic.Int64 // the time of Begin plus 1; zero: no bound
	answers atomic.Int32
}

// Begin starts the ramp from its lowest bound.
func (r *Ramp) Begin(now time.Duration) {
	r.answers.Store(0)
	r.began.Store(int64(now) + 1)
}

// Answered records an answer.
func (r *Ramp) Answered() {
	if r.began.Load() != 0 {
		r.answers.Add(1)
	}
}

// Limit returns the lower of limit and the ramp's bound; zero means any number.
func (r *Ramp) Limit(limit int32, now time.Duration) int32 {
	began := r.began.Load()
	if began == 0 {
		return limit
	}
	allowed := int32(rampEnd)
	if steps := (now - time.Duration(began-1)) / rampStep; steps < 16 {
		allowed = rampStart<<max(steps, 0) + r.answers.Load()
	}
	if allowed >= rampEnd {
		r.began.CompareAndSwap(began, 0)
		return limit
	}
	if limit == 0 {
		return allowed
	}
	return min(limit, allowed)
}

// Step returns how long it takes until the bound rises without any answer; zero if there is no
// bound.
func (r *Ramp) Step(now time.Duration) time.Duration {
	began := r.began.Load()
	if began == 0 {
		return 0
	}
	return rampStep - max(0, now-time.Duration(began-1))%rampStep
}
