package core

import (
	"math"
	"sync"
	"sync/atomic"
)

const (
	// exposure is how many attempts a replica may have in flight, as a share of the attempts from one crash to the
	// next. With L in flight, each a crash with probability h, served in S, and a restart delay of D, an attempt
	// outlives the arrivals beside it with probability exp(-hL), and a replica answers L·exp(-hL)/(S + hLD) a second.
	// That is greatest at x = hL with x²·D/S + x = 1: at 1 for D = 0 (the ALOHA channel), 0.4 for D = 3.6 S, and near
	// √(S/D) for long delays (compare Young's interval between checkpoints, CACM 17:9, 1974). It is flat about there:
	// 0.4 gives at least 92% of the greatest for D of 1 to 10 S, and at least 70% for any up to 200 S.
	exposure = 0.4

	// gaps is over how many crashes the attempts between two are averaged.
	gaps = 12

	// over is the probability that a crash was the last of its kind, before anything is known of what followed.
	over = 0.02

	// calm is how many attempts must survive in a row for the crashes before them to bear no more on the limit.
	calm = 4096
)

// refuted says how short the latest gaps together must be, as a share of the average, to end it and begin the next, by
// their number. If the rate is still the same, they are with probability 1%.
var refuted = [...]float64{2: 0.149, 3: 0.436, 4: 0.823, 5: 1.279, 6: 1.785, 7: 2.330, 8: 2.906}

// Hazard learns how likely an attempt is to end in a crash of its replica, and from it how many attempts to risk at
// once, for a crash takes all that are in flight at the replica with it. The zero value knows of no crash. It is safe for
// concurrent use and must not be copied.
//
// One Hazard serves all replicas of a service. They run the same code on the same calls, so what one crash teaches holds
// for the others, and together they learn as many times faster as there are replicas. A replica that crashes for a reason
// of its own also lowers the limit of the others: to leave it out is the part of ejection.
//
// It measures in attempts, not in time: the average of the last eight gaps between crashes, as TFRC measures the loss
// events of a connection (RFC 5348, section 5.4). Thus it is as sure of a rate of 1 in 1,000 as of 1 in 3, where a
// window of fixed length holds either too many crashes or too few. Like a loss event, a crash counts once, whatever was
// lost in it. Its victims do not count as survivors: some had passed the point at which they might have crashed, some had
// not, and the client cannot tell. So the rate is the higher, and the limit the more careful, the more each crash takes.
type Hazard struct {
	survived atomic.Int64  // attempts since the last crash, hardly more than calm
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
	for k := 2; k < min(len(refuted), h.count); k++ {
		latest, before := total(h.recent[:k]), total(h.recent[k:h.count])/float64(h.count-k)
		if latest < refuted[k]*before {
			h.count = k
		}
	}
	mean := total(h.recent[:h.count]) / float64(h.count)
	h.mean.Store(math.Float64bits(mean))
}

func total(gaps []float64) float64 {
	sum := 0.0
	for _, g := range gaps {
		sum += g
	}
	return sum
}

// Rate returns the probability, from 0 to 1, that the next attempt ends in a crash, in so far as victims leave it to be
// known. It is 0 before the first crash and after 4,096 attempts without any.
func (h *Hazard) Rate() float64 {
	if apart := h.apart(); apart > 0 {
		return 1 / apart
	}
	return 0
}

// Limit returns how many attempts to have in flight at one replica: 1 or more, or 0 for no limit. It is 0 if Rate is 0.
func (h *Hazard) Limit() int {
	if apart := h.apart(); apart > 0 {
		return int(max(1, exposure*apart)) // rounded down: one too many costs more than one too few
	}
	return 0
}

// apart returns how many attempts to expect from a crash to the next, 0 if none is to be expected.
//
// The longer the gap at hand, the less likely that crashes go on: a gap of n at a mean of m has probability exp(-n/m) if
// they do and 1 if they are over, so by Bayes the odds that they are over grow as exp(n/m), and with them the result.
// That is why a limit of 1 is lifted within dozens of attempts, while one of 40 takes hundreds.
func (h *Hazard) apart() float64 {
	n := h.survived.Load()
	mean := math.Float64frombits(h.mean.Load())
	if n >= calm || mean == 0 {
		return 0
	}
	const odds = over / (1 - over)
	if likely := mean * (1 + odds*math.Exp(float64(n)/mean)); likely < calm/exposure {
		return likely
	}
	return 0
}
