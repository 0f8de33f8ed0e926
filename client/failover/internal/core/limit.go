package core

import (
	"math"
	"sync"
	"sync/atomic"
)

const (
	// exposure is how many attempts a replica may have in flight, as a share of the attempts from
	// one crash to the next. With L in flight, each a crash with probability h, a service time of S
	// and a restart delay of D, an attempt outlives those that arrive beside it with probability
	// exp(-hL), so a replica answers L·exp(-hL) / (S + hLD) a second. That is greatest at x = hL
	// with x²·D/S + x = 1: at 1 for D = 0 (the ALOHA channel), at 0.4 for D = 3.6 S, near √(S/D)
	// for long delays (compare Young's interval between checkpoints, CACM 17:9, 1974). It is flat
	// about there: 0.4 yields more than 92% of the greatest for D of 1 to 10 S, and 67% at worst.
	exposure = 0.4

	// gaps is over how many crashes at most the attempts between two are averaged.
	gaps = 16

	// over is the probability that a crash was the last of its kind, before anything is known of
	// what followed.
	over = 0.02

	// calm is how many attempts must survive in a row for the crashes before them to bear no more
	// on the limit. A limit of as many is none.
	calm = 4096
)

// refuted says below which share of the average before it the sum of the latest gaps, by their
// number, refutes that average. As long as the rate stays the same it does so with a probability of
// 1%: the quantile of a gamma distribution.
var refuted = [...]float64{2: 0.149, 3: 0.436, 4: 0.823, 5: 1.279, 6: 1.785, 7: 2.330, 8: 2.906}

// Hazard learns how likely an attempt is to end in a crash of its replica, and from it how many
// attempts to risk at once, for a crash takes all that are in flight at the replica with it. The
// zero value knows of no crash. It is safe for concurrent use and must not be copied.
//
// It averages the gaps between crashes, in attempts, as TFRC averages those between the loss events
// of a connection (RFC 5348, section 5.4). Thus it is as sure of a rate of 1 in 1,000 as of 1 in 3,
// where a window of fixed length holds too few crashes or too many. Like a loss event, a crash
// counts once, whatever was lost in it. Its victims do not count as survivors: some had passed the
// point at which they might have crashed, some had not, and a client cannot tell. So the more each
// crash takes, the higher is the rate, and the more careful the limit.
//
// One Hazard serves all replicas of a service: they run the same code on the same calls, so what a
// crash of one teaches holds for the others, and they learn together. A replica that crashes for
// reasons of its own lowers the limit of the others too; leaving it out is for ejection to do.
type Hazard struct {
	survived atomic.Int64  // attempts since the last crash; it stops soon after calm
	mean     atomic.Uint64 // attempts from a crash to the next, as the bits of a float64; 0 before the first crash

	mu     sync.Mutex    // for what only Crashed uses
	recent [gaps]float64 // the gaps in mean, the latest first
	count  int           // of them
}

// Survived notes an attempt that ended without a crash of its replica, whatever its status.
func (h *Hazard) Survived() {
	if h.survived.Load() < calm {
		h.survived.Add(1)
	}
}

// Crashed notes a crash: once, however many attempts were lost in it.
func (h *Hazard) Crashed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	copy(h.recent[1:], h.recent[:])
	h.recent[0] = float64(h.survived.Swap(0) + 1)
	h.count = min(h.count+1, gaps)
	for k := 2; k < min(h.count, len(refuted)); k++ {
		if sum(h.recent[:k]) < refuted[k]*average(h.recent[k:h.count]) {
			h.count = k
		}
	}
	h.mean.Store(math.Float64bits(average(h.recent[:h.count])))
}

// Rate returns the probability, from 0 to 1, that the next attempt ends in a crash. It is 0 before
// the first crash, after 4,096 attempts without any, and in place of less than 1 in 10,240.
func (h *Hazard) Rate() float64 {
	if apart := h.apart(); apart > 0 {
		return 1 / apart
	}
	return 0
}

// Limit returns how many attempts to have in flight at one replica: 1 or more, or 0 for no limit.
// It is 0 if Rate is.
func (h *Hazard) Limit() int {
	if apart := h.apart(); apart > 0 {
		return int(max(1, exposure*apart)) // rounded down: where it is low, one too many costs more than one too few
	}
	return 0
}

// apart returns how many attempts to expect from a crash to the next, 0 if no crash is to be
// expected.
//
// A gap that has come to n attempts, where the mean of sixteen is m, had a chance of (1 +
// n/16m)^-16 if crashes go on (a gamma posterior's, near exp(-n/m)) and of 1 if they are over. So
// by Bayes the odds that they are over grow as the inverse of that, and what is to be expected with
// them. It lifts a limit of 1 within dozens of attempts and one of 40 within hundreds: in either
// case after some gaps' worth.
func (h *Hazard) apart() float64 {
	n, mean := h.survived.Load(), math.Float64frombits(h.mean.Load())
	if mean == 0 || n >= calm {
		return 0
	}
	growth := 1 + float64(n)/(gaps*mean)
	for range 4 { // to the 16th power, which is gaps
		growth *= growth
	}
	const odds = over / (1 - over)
	if apart := mean * (1 + odds*growth); apart <= calm/exposure {
		return apart
	}
	return 0
}

func sum(gaps []float64) float64 {
	s := 0.0
	for _, g := range gaps {
		s += g
	}
	return s
}

func average(gaps []float64) float64 { return sum(gaps) / float64(len(gaps)) }
