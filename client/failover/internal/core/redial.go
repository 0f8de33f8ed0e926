package core

import (
	"math"
	"time"
)

// Redial is how often replicas that are down are dialed.
type Redial struct {
	// Every is the mean time between two dials of a replica that calls want, jittered by a fifth.
	Every time.Duration
	// PerSecond is how many dials a second the replicas that are down share. Above zero.
	PerSecond int
	// Linger is how long one call's wish for a replica is remembered.
	Linger time.Duration
	// Timeout is how long a dial may take. Zero: no bound.
	Timeout time.Duration
}

// Wanted reports whether calls want the replicas: some wait, or the last that wanted one did so
// long ago.
func (r Redial) Wanted(waiting bool, since time.Duration) bool { return waiting || since < r.Linger }

// Fresh reports whether the wish of a call that long ago does for another call: calls come in
// groups.
func (r Redial) Fresh(since time.Duration) bool { return since < min(r.Every, r.Linger)/2 }

// Awaited is the number of the dial whose end tells an attempt what to do: the last, where it is
// under way or its failure is still fresh, or else the next. failed is the number of the last that
// failed, zero for none. It is asked where no dial is due.
func Awaited(last, failed uint64, underway bool) uint64 {
	if underway || failed > 0 && failed == last {
		return last
	}
	return last + 1
}

const (
	// backoffBase and backoffFactor are those of gRPC's connection backoff protocol.
	backoffBase   = time.Second
	backoffFactor = 1.6
	// maxQuiet bounds the gaps while no call wants the replica, as gRPC does.
	maxQuiet = 2 * time.Minute
	// maxLasting bounds the gaps where a dial fails for a reason that lasts, such as an expired
	// certificate.
	maxLasting = 30 * time.Second
	// A replica that is back is noticed late by at most 1/vainShare of the time for which it has
	// been dialed in vain.
	vainShare = 4000
	// maxWanted bounds the gaps that this makes.
	maxWanted = 5 * time.Second
)

// Dialing says when one replica is dialed next. The zero value has never been dialed: its dial is
// due at once. All times are on the caller's clock.
type Dialing struct {
	dialed bool
	since  time.Duration // the next gap counts from here: the end of a dial that failed, else the begin of the last one
	jitter float64       // of the next gap, -1 to 1

	lasting int           // dials in a row that failed for a reason that lasts
	quiet   int           // dials in a row that failed and that no call wanted
	vain    time.Duration // gaps before dials that calls wanted, since there was a connection
}

// Begin notes that a dial begins, and whether calls want it. The dice are random bits.
func (d *Dialing) Begin(now time.Duration, wanted bool, dice uint64) {
	switch {
	case !wanted:
		d.quiet++
	case d.dialed:
		d.quiet = 0
		d.vain += min(max(0, now-d.since), maxWanted)
	}
	d.dialed, d.since = true, now
	d.jitter = 2*float64(dice>>11)/(1<<53) - 1
}

// Failed notes that the dial has failed; lasting says that the reason will not go away by itself.
func (d *Dialing) Failed(now time.Duration, lasting bool) {
	d.since = now
	if lasting {
		d.lasting++
	} else {
		d.lasting = 0
	}
}

// Connected notes that the dial has succeeded. When that connection is lost, the replica may be
// dialed at once, unless this dial began less than a gap before.
func (d *Dialing) Connected() { d.lasting, d.quiet, d.vain = 0, 0, 0 }

// Due returns when to dial next, where so many addresses are down in all and calls want the
// replica, or do not.
//
// While calls want it, the gaps stay short however long it has been away, for it may be back at any
// moment: Every, or what keeps all that are down within PerSecond. They grow only where the wait
// for it has been long beside the gap. For other reasons than an absence they grow as gRPC's
// backoff does.
func (d *Dialing) Due(r Redial, down int, wanted bool) time.Duration {
	if !d.dialed {
		return 0
	}
	gap := r.Every + time.Duration(d.jitter*float64(r.Every)/5)
	gap = max(gap, time.Duration(down)*time.Second/time.Duration(r.PerSecond), min(d.vain/vainShare, maxWanted))
	if d.lasting > 0 {
		gap = max(gap, d.backoff(d.lasting, maxLasting))
	}
	if !wanted {
		gap = max(gap, d.backoff(d.quiet, maxQuiet))
	}
	return d.since + gap
}

// backoff is the n-th gap, shortened by up to a fifth.
func (d *Dialing) backoff(n int, most time.Duration) time.Duration {
	gap := min(float64(backoffBase)*math.Pow(backoffFactor, float64(max(n, 1)-1)), float64(most))
	return time.Duration(gap * (1 - math.Abs(d.jitter)/5))
}

// Try begins a dial of so many addresses, if it is due and the budget allows for it, as Begin does.
// Else it returns when to try again.
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

// DialBudget bounds the dials of a client: at most so many in any second.
type DialBudget struct {
	most  int
	taken []time.Duration // when, in order; those of the last second
}

// NewDialBudget returns a budget of so many dials in any second, 1 at least.
func NewDialBudget(perSecond int) *DialBudget { return &DialBudget{most: perSecond} }

// Take takes n dials at once, or returns when to ask again. More than a second's budget are granted
// where there was no dial in the second before.
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

// Give gives n dials back that are not to count.
func (b *DialBudget) Give(n int) { b.taken = b.taken[:len(b.taken)-min(n, len(b.taken))] }

// Calm bounds how often something is done to once in so long, without a wish for it being lost.
type Calm struct {
	Gap  time.Duration
	done bool
	last time.Duration // when it was done last
	due  bool          // it is to be done later
}

// Wish asks for it to be done. It returns whether to do it now; if not, how long to wait before
// Later, or zero where somebody waits already.
func (c *Calm) Wish(now time.Duration) (do bool, wait time.Duration) {
	switch {
	case c.due:
		return false, 0
	case c.done && now-c.last < c.Gap:
		c.due = true
		return false, c.Gap - (now - c.last)
	}
	c.done, c.last = true, now
	return true, 0
}

// Later notes that the wait is over and it is done now.
func (c *Calm) Later(now time.Duration) { c.done, c.last, c.due = true, now, false }
