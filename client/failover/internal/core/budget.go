package core

import (
	"math"
	"sync/atomic"
	"time"
)

// Budget is a token bucket that calls fill and repetitions empty, like Finagle's RetryBudget. It is
// safe for concurrent use.
type Budget struct {
	ratio, perSecond, burst int64 // in thousandths of a token

	tokens atomic.Int64
	filled atomic.Int64 // when perSecond was last added, in nanoseconds on the caller's clock
}

const (
	token   = 1000
	largest = 1 << 60 // upper bound of all numbers, to prevent overflow
)

// NewBudget returns a full bucket that holds burst tokens. Each call adds ratio tokens and each
// second perSecond.
func NewBudget(ratio, perSecond float64, burst int) *Budget {
	b := &Budget{
		ratio:     int64(math.Round(ratio * token)),
		perSecond: int64(min(math.Round(perSecond*token), largest)),
		burst:     min(int64(burst), largest/token) * token,
	}
	b.tokens.Store(b.burst)
	return b
}

// Call records that a call has begun.
func (b *Budget) Call() { b.earn(b.ratio) }

// CallWorth records a call that adds ratio tokens instead of the bucket's own ratio.
func (b *Budget) CallWorth(ratio float64) { b.earn(int64(math.Round(ratio * token))) }

func (b *Budget) earn(n int64) {
	if n > 0 && b.tokens.Load() < b.burst {
		b.add(n)
	}
}

// Take takes a token for a repetition, and returns false if there is none. now is the time on a
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

// Give returns a token that was taken and not used.
func (b *Budget) Give() { b.add(token) }

// Left returns how many tokens there are. now is the time on the clock of Take.
func (b *Budget) Left(now time.Duration) float64 {
	b.fill(now)
	return float64(b.tokens.Load()) / token
}

// fill adds the tokens earned by the time that has passed.
func (b *Budget) fill(now time.Duration) {
	if b.perSecond == 0 {
		return
	}
	last := b.filled.Load()
	earned := math.Floor(float64(b.perSecond) * (now - time.Duration(last)).Seconds())
	if earned < 1 {
		return
	}
	// Advance the time only by what the whole thousandths added are worth.
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
