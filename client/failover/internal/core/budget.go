package core

import (
	"math"
	"sync/atomic"
	"time"
)

// Budget is a token bucket that calls fill and repetitions empty, as Finagle's RetryBudget. Safe
// for concurrent use.
type Budget struct {
	ratio, perSecond, burst int64 // in thousandths of a token

	tokens atomic.Int64
	filled atomic.Int64 // until when perSecond has been added, in nanoseconds of the caller's clock
}

const (
	token = 1000
	most  = 1 << 60 // of any of the numbers, so that none overflows
)

// NewBudget returns a full bucket of burst tokens to which each call adds ratio of one and each
// second perSecond.
func NewBudget(ratio, perSecond float64, burst int) *Budget {
	b := &Budget{
		ratio:     int64(math.Round(ratio * token)),
		perSecond: int64(min(math.Round(perSecond*token), most)),
		burst:     min(int64(burst), most/token) * token,
	}
	b.tokens.Store(b.burst)
	return b
}

// Call notes that a call has begun.
func (b *Budget) Call() { b.earn(b.ratio) }

// CallWorth notes a call that adds the given part of a token in place of the bucket's ratio.
func (b *Budget) CallWorth(ratio float64) { b.earn(int64(math.Round(ratio * token))) }

func (b *Budget) earn(n int64) {
	if n > 0 && b.tokens.Load() < b.burst {
		b.add(n)
	}
}

// Take takes a token for a repetition; it returns false when there is none. now is a time of a
// clock that does not go backwards.
func (b *Budget) Take(now time.Duration) bool {
	b.fill(now)
	for {
		have := b.tokens.Load()
		if have < token {
			return false
		}
		if b.tokens.CompareAndSwap(have, have-token) {
			return true
		}
	}
}

// Give gives a token back that was taken and not used.
func (b *Budget) Give() { b.add(token) }

// Left returns how many tokens there are, at a time of Take's clock.
func (b *Budget) Left(now time.Duration) float64 {
	b.fill(now)
	return float64(b.tokens.Load()) / token
}

// fill adds what the time has brought since it was last looked at.
func (b *Budget) fill(now time.Duration) {
	if b.perSecond == 0 {
		return
	}
	last := b.filled.Load()
	earned := math.Floor(float64(b.perSecond) * (now - time.Duration(last)).Seconds())
	if earned < 1 {
		return
	}
	// Only the time that whole thousandths took has been paid for.
	paid := last + int64(earned/float64(b.perSecond)*float64(time.Second))
	if earned >= float64(b.burst) {
		earned, paid = float64(b.burst), int64(now)
	}
	if b.filled.CompareAndSwap(last, paid) {
		b.add(int64(earned))
	}
}

func (b *Budget) add(n int64) {
	for {
		have := b.tokens.Load()
		if b.tokens.CompareAndSwap(have, min(have+n, b.burst)) {
			return
		}
	}
}
