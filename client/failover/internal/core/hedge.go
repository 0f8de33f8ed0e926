package core

import "time"

// Hedging says when a second attempt may join one that is in flight.
type Hedging struct {
	After    time.Duration // after the first began; zero: never
	Quantile float64       // in place of After, once the method's latency is known well enough; zero: none
	Share    float64       // of the calls that may have one
}

func (h *Hedging) enabled() bool { return h.After > 0 || h.Quantile > 0 }

const (
	// HedgeBurst is how many hedges may be made at once, above the share of the calls that may have
	// one.
	HedgeBurst = 5
	// JoinRatio is how many attempts a call adds to those that may join others which have had their
	// share of the time, and JoinBurst how many may at once. So healthy replicas that have become
	// slow are not made slower by many.
	JoinRatio = 0.1
	JoinBurst = 10
)

// Delay is how long an attempt is left alone before another one joins it, and whether that is a
// hedge, which the policy asked for, or comes because the attempt has had its share of the time.
// Zero means that none may.
func (h Hedging) Delay(d Decision, latency *Latency) (delay time.Duration, hedge bool) {
	delay = h.After
	if h.Quantile > 0 {
		if learned, known := latency.Quantile(h.Quantile); known {
			delay = learned
		}
	}
	if d.Join > 0 && (delay == 0 || d.Join < delay) {
		return d.Join, false
	}
	return delay, delay > 0
}
