package core

import "sync/atomic"

const (
	rampStart = 16
	rampEnd   = 1024
)

// Ramp bounds the attempts in flight at a replica that has just come back, at which all the calls that waited for it would
// otherwise rush: 16 at first, and one more with each answer, so that the load doubles with each round of answers, as in TCP's slow
// start (RFC 5681, section 3.1); from 1,024 on it is no bound any more. The zero value is none. Safe for concurrent use.
type Ramp struct {
	allowed atomic.Int32 // zero: any number
}

// Begin begins anew.
func (r *Ramp) Begin() { r.allowed.Store(rampStart) }

// Answered notes an answer.
func (r *Ramp) Answered() {
	if n := r.allowed.Load(); n > 0 {
		if n >= rampEnd {
			r.allowed.Store(0)
			return
		}
		r.allowed.CompareAndSwap(n, n+1) // a lost update is a little patience more
	}
}

// Limit returns the lower of a limit and the ramp's; zero means any number.
func (r *Ramp) Limit(limit int32) int32 {
	if n := r.allowed.Load(); n > 0 && (limit == 0 || n < limit) {
		return n
	}
	return limit
}
