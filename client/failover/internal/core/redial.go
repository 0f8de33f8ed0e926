package core

import (
	"math"
	"time"
)

// Redial says how often replicas that are down are dialed.
type Redial struct {
	// Every is the mean time between two dials of a replica that calls want, with a jitter of 20%.
	Every time.Duration
	// PerSecond is how many dials a second all replicas that are down share. It must be positive.
	PerSecond int
	// Linger is how long after the last call replicas still count as wanted.
	Linger time.Duration
	// Timeout bounds a dial. Zero means no bound.
	Timeout time.Duration
}

// Wanted reports whether calls want the replicas. waiting says that calls wait for one; since is
// the time since the last call.
func (r Redial) Wanted(waiting bool, since time.Duration) bool { return waiting || since < r.Linger }

// Fresh reports whether a call need not be recorded as the last one, because the recorded one was
// only since ago. Calls come in groups, and recording each would be wasteful.
func (r Redial) Fresh(since time.Duration) bool { return since < min(r.Every, r.Linger)/2 }

// Awaited returns the number of the dial that an attempt must wait for: the last dial, if it is
// under way or has failed, so that no further dial is due yet; otherwise the next. failed is the
// number of the last dial that failed, or zero. Awaited must only be called if no dial is due.
func Awaited(last, failed uint64, underway bool) uint64 {
	if underway || failed > 0 && failed == last {
		return last
	}
	return last + 1
}

const (
	// backoffBase and backoffFactor are taken from gRPC's connection backoff protocol.
	backoffBase   = time.Second
	backoffFactor = 1.6
	// maxQuiet bounds the gaps while no call wants the replica, as in gRPC.
	maxQuiet = 2 * time.Minute
	// maxLasting bounds the gaps if a dial fails for a lasting reason, such as an expired
	// certificate.
	maxLasting = 30 * time.Second
	// vainShare makes gaps grow to 1/vainShare of the time for which the replica has been dialed in
	// vain.
	vainShare = 4000
	// maxWanted bounds the gaps that result from vainShare.
	maxWanted = 5 * time.Second
)

// Dialing decides when to dial one replica next. The zero value has never been dialed, so a dial is
// deferred at once. All times are on the caller's clock.
type Dialing struct {
	dialed bool
	since  time.Duration // start of the next gap: the end of a dial that failed, or the begin of the last one
	jitter float64       // of the next gap, from -1 to 1
	worked bool          // the last dial succeeded

	lasting int           // consecutive dials that failed for a lasting reason
	quiet   int           // consecutive dials that no call wanted
	vain    time.Duration // sum of the gaps before wanted dials since the last connection
}

// Begin records that a dial begins, and whether calls want it. The dice are random bits.
func (d *Dialing) Begin(now time.Duration, wanted bool, dice uint64) {
	switch {
	case !wanted:
		d.quiet++
	case d.dialed:
		d.quiet = 0
		d.vain += min(max(0, now-d.since), maxWanted)
	}
	d.dialed, d.since, d.worked = true, now, false
	d.jitter = 2*float64(dice>>11)/(1<<53) - 1
}

// Failed records that the dial has failed. lasting says that the reason will not go away by itself.
func (d *Dialing) Failed(now time.Duration, lasting bool) {
	d.since = now
	if lasting {
		d.lasting++
	} else {
		d.lasting = 0
	}
}

// Connected records that the dial has succeeded. When that connection is lost, the replica may be
// dialed at once, unless this dial began less than a gap earlier. That gap is at most backoffBase,
// however long Every is: it only keeps a replica that breaks every connection from being dialed in
// a tight loop.
func (d *Dialing) Connected() { d.lasting, d.quiet, d.vain, d.worked = 0, 0, 0, true }

// Due returns when to dial next. down is how many addresses are down in total; wanted says whether
// calls want the replica.
//
// While calls want the replica, the gaps stay short however long it has been down, because it may
// be back at any moment: Every, or whatever keeps all replicas that are down within PerSecond. They
// grow only in proportion to a long outage. For lasting failures, and without calls, they grow like
// gRPC's backoff.
func (d *Dialing) Due(r Redial, down int, wanted bool) time.Duration {
	if !d.dialed {
		return 0
	}
	every := r.Every
	if d.worked {
		every = min(every, backoffBase)
	}
	gap := every + time.Duration(d.jitter*float64(every)/5)
	gap = max(gap, time.Duration(down)*time.Second/time.Duration(r.PerSecond), min(d.vain/vainShare, maxWanted))
	if d.lasting > 0 {
		gap = max(gap, d.backoff(d.lasting, maxLasting))
	}
	if !wanted {
		gap = max(gap, d.backoff(d.quiet, maxQuiet))
	}
	return d.since + gap
}

// backoff returns the n-th gap, shortened at random by up to a fifth.
func (d *Dialing) backoff(n int, most time.Duration) time.Duration {
	gap := min(float64(backoffBase)*math.Pow(backoffFactor, float64(max(n, 1)-1)), float64(most))
	return time.Duration(gap * (1 - math.Abs(d.jitter)/5))
}

// Try begins a dial of so many addresses, like Begin, if it is due and the budget allows it.
// Otherwise it returns when to try again.
func (d *Dialing) Try(now time.Duration, r Redial, b *DialBudget, addresses, down int, wanted bool, dice uint64) (ok bool, again time.Duration) {
	if due := d.Due(r, down, wanted); due > now {
		return false, due
	}
	if ok, again := b.Take(now, addresses); !ok {
		return false, again
	}
	d.Begin(now, wanted, dice)
	return true, 0
}

// DialBudget bounds the dials of a client in any second.
type DialBudget struct {
	most  int
	taken []time.Duration // times of the dials in the last second, in order
}

// NewDialBudget returns a budget of perSecond dials in any second. perSecond must be at least 1.
func NewDialBudget(perSecond int) *DialBudget { return &DialBudget{most: perSecond} }

// Take takes n dials at once, or returns when to ask again. If n exceeds the budget of a second, it
// is granted if there was no dial in the last second.
func (b *DialBudget) Take(now time.Duration, n int) (ok bool, again time.Duration) {
	old := 0
	for old < len(b.taken) && now-b.taken[old] >= time.Second {
		old++
	}
	b.taken = append(b.taken[:0], b.taken[old:]...)
	if over := len(b.taken) + n - b.most; over > 0 && len(b.taken) > 0 {
		return false, b.taken[min(over, len(b.taken))-1] + time.Second
	}
	for range n {
		b.taken = append(b.taken, now)
	}
	return true, 0
}

// Give returns the last n dials to the budget.
func (b *DialBudget) Give(n int) { b.taken = b.taken[:len(b.taken)-min(n, len(b.taken))] }

// Throttle limits how often something is done: at most once in Gap. A request that comes too early
// is deferred, not dropped.
type Throttle struct {
	Gap      time.Duration
	used     bool
	last     time.Duration // when it was done last
	deferred bool          // a request is deferred
}

// Request requests that it be done. It returns whether to do it now or, if not, how long to wait
// before calling Later. The wait is zero if another request is already deferred.
func (c *Throttle) Request(now time.Duration) (do bool, wait time.Duration) {
	switch {
	case c.deferred:
		return false, 0
	case c.used && now-c.last < c.Gap:
		c.deferred = true
		return false, c.Gap - (now - c.last)
	}
	c.used, c.last = true, now
	return true, 0
}

// Done records that it is done now, which fulfills a deferred request.
func (c *Throttle) Done(now time.Duration) { c.used, c.last, c.deferred = true, now, false }
