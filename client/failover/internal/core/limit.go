package core

import (
	"math"
	"sync"
	"sync/atomic"
)

const (
	// exposure is how many attempts a replica may have in flight, as a fraction of the number of
	// attempts between crashes. Let L attempts be in flight, each causing a crash with probability
	// h, and let S be the service time and D the restart delay. An attempt survives those in flight
	// with it with probability exp(-hL), so a replica answers L·exp(-hL) / (S + hLD) attempts a
	// second. The maximum is at x = hL with x²·D/S + x = 1: at 1 for D = 0 (the ALOHA channel), at
	// 0.4 for D = 3.6 S, and near √(S/D) for long delays (compare Young's interval between
	// checkpoints, CACM 17:9, 1974). It is a flat maximum: 0.4 yields more than 92% of it for D
	// from 1 to 10 S, and 67% at worst.
	exposure = 0.4

	// maxGaps is the maximum number of gaps between crashes that are averaged.
	maxGaps = 16

	// priorOver is the prior probability that a crash was the last of its kind.
	priorOver = 0.02

	// calmAfter is how many consecutive attempts must survive for earlier crashes to be
	// disregarded. A limit of as many is no limit.
	calmAfter = 4096
)

// refuted[k] is a bound on the sum of the latest k gaps, as a multiple of the average of the
// earlier ones. A lower sum refutes that average. At a constant rate this happens with a
// probability of 1%: the bounds are quantiles of gamma distributions.
var refuted = [...]float64{2: 0.149, 3: 0.436, 4: 0.823, 5: 1.279, 6: 1.785, 7: 2.330, 8: 2.906}

// Hazard estimates how likely an attempt is to end in a crash of its replica, and derives how many
// attempts to risk at once, because a crash takes all attempts in flight at the replica with it.
// The zero value has seen no crash. A Hazard is safe for concurrent use and must not be copied.
//
// It averages the gaps between crashes, in attempts, as TFRC averages those between the loss events
// of a connection (RFC 5348, section 5.4). The estimate is thus equally precise for a rate of 1 in
// 1,000 as for 1 in 3, whereas a window of fixed length holds too few crashes or too many. Like a
// loss event, a crash counts once, however many attempts were lost in it. Lost attempts do not
// count as survivors: some had passed the point at which they might have crashed the replica, some
// had not, and a client cannot tell. So the more attempts each crash takes, the higher the
// estimated rate and the lower the limit.
//
// One Hazard serves all replicas of a service, because they run the same code on the same calls. A
// replica that crashes for reasons of its own lowers the limit of the others too; removing such a
// replica is the task of ejection.
type Hazard struct {
	survived atomic.Int64  // attempts since the last crash; counting stops soon after calmAfter
	mean     atomic.Uint64 // mean gap in attempts, as the bits of a float64; 0 before the first crash

	mu     sync.Mutex       // guards what follows
	recent [maxGaps]float64 // the gaps averaged in mean, latest first
	count  int              // how many of recent are set
}

// Survived records an attempt that ended without a crash of its replica, whatever its status.
func (h *Hazard) Survived() {
	if h.survived.Load() < calmAfter {
		h.survived.Add(1)
	}
}

// Crashed records a crash. It must be called once, however many attempts were lost.
func (h *Hazard) Crashed() {
	h.mu.Lock()
	defer h.mu.Unlock()
	copy(h.recent[1:], h.recent[:])
	h.recent[0] = float64(h.survived.Swap(0) + 1)
	h.count = min(h.count+1, maxGaps)
	for k := 2; k < min(h.count, len(refuted)); k++ {
		if sum(h.recent[:k]) < refuted[k]*average(h.recent[k:h.count]) {
			h.count = k
		}
	}
	h.mean.Store(math.Float64bits(average(h.recent[:h.count])))
}

// Rate returns the probability, from 0 to 1, that the next attempt ends in a crash. It is 0 before
// the first crash, after 4,096 attempts without one, and if it would be less than 1 in 10,240.
func (h *Hazard) Rate() float64 {
	if gap := h.expectedGap(); gap > 0 {
		return 1 / gap
	}
	return 0
}

// Limit returns how many attempts to have in flight at one replica: 1 or more, or 0 for no limit.
// It is 0 if Rate is.
func (h *Hazard) Limit() int {
	if gap := h.expectedGap(); gap > 0 {
		return int(max(1, exposure*gap)) // rounded down: if it is low, one too many costs more than one too few
	}
	return 0
}

// expectedGap returns the expected number of attempts between crashes, or 0 if no crash is
// expected.
//
// If the current gap is n attempts long and the mean of sixteen gaps is m, the probability of this
// is (1 + n/16m)^-16 if crashes continue (from a gamma posterior; near exp(-n/m)) and 1 if they are
// over. By Bayes' theorem the odds that they are over grow as the inverse of that, and the
// expectation with them. This lifts a limit of 1 within dozens of attempts and one of 40 within
// hundreds: in both cases after a few gaps.
func (h *Hazard) expectedGap() float64 {
	n, mean := h.survived.Load(), math.Float64frombits(h.mean.Load())
	if mean == 0 || n >= calmAfter {
		return 0
	}
	growth := 1 + float64(n)/(maxGaps*mean)
	for range 4 { // to the 16th power, which is maxGaps
		growth *= growth
	}
	const odds = priorOver / (1 - priorOver)
	if gap := mean * (1 + odds*growth); gap <= calmAfter/exposure {
		return gap
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
