package core

import "time"

// Hedging says when a second attempt may join one that is in flight.
type Hedging struct {
	After    time.Duration // after the first began; zero: never
	Quantile float64       // of the method's latency; replaces After once it is known; zero: none
	Share    float64       // of the calls that may be hedged, from 0 to 1
}

func (h *Hedging) enabled() bool { return h.After > 0 || h.Quantile > 0 }

const (
	// HedgeBurst is how many hedges may be made in a burst, beyond Hedging.Share.
	HedgeBurst = 5
	// JoinRatio is how many joining attempts each call allows, and JoinBurst how many may be made
	// in a burst. They concern attempts that join another one whose share of the time is over. The
	// bound keeps such attempts from slowing down healthy replicas further.
	JoinRatio = 0.1
	JoinBurst = 10
)

// Delay returns after how long another attempt may join an attempt, and whether it is a hedge that
// the policy asked for or joins because the share of the time is over. Zero means never.
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
