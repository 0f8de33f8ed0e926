package core

import (
	"math"
	"sync/atomic"
	"time"
)

// Budget is a token bucket that calls fill and repetitions empty, like Finagle's RetryBudget. It is
// safe for concurrent use.
type Budget struct {
	ratio, burst int64   // in millionths of a token
	perSecond    float64 // in tokens

	tokens atomic.Int64
	filled atomic.Int64 // when perSecond was last added, in nanoseconds on the caller's clock
}

const (
	token   = 1_000_000
	largest = 1 << 60 // upper bound of all numbers, to prevent overflow
)

// NewBudget returns a full bucket that holds burst tokens. Each call adds ratio tokens and each
// second perSecond. ratio is rounded to millionths of a token, and to one at least unless zero.
func NewBudget(ratio, perSecond float64, burst int) *Budget {
	b := &Budget{
		ratio:     millionths(ratio),
		perSecond: perSecond,
		burst:     min(int64(burst), largest/token) * token,
	}
	b.tokens.Store(b.burst)
	return b
}

// millionths returns a number of tokens that is not negative in millionths.
func millionths(tokens float64) int64 {
	if tokens == 0 {
		return 0
	}
	return int64(max(math.Round(tokens*token), 1))
}

// Call records that a call has begun.
func (b *Budget) Call() { b.earn(b.ratio) }

// CallWorth records a call that adds ratio tokens instead of the bucket's own ratio.
func (b *Budget) CallWorth(ratio float64) { b.earn(millionths(ratio)) }

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

// fill adds the tokens earned by the time that has passed, in whole thousandths of a token, so that
// concurrent calls seldom contend for it.
func (b *Budget) fill(now time.Duration) {
	const perToken = 1000
	last := b.filled.Load()
	earned := math.Floor(b.perSecond * perToken * (now - time.Duration(last)).Seconds())
	paid := int64(now)
	switch {
	case !(earned >= 1): // or infinitely many in no time
		return
	case earned >= float64(b.burst/(token/perToken)):
		earned = float64(b.burst / (token / perToken))
	default:
		paid = last + int64(earned/perToken/b.perSecond*float64(time.Second)) // the time that they are worth
	}
	if b.filled.CompareAndSwap(last, paid) {
		b.add(int64(earned) * (token / perToken))
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
