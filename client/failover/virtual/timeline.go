package virtual

import (
	"cmp"
	"slices"
	"time"
)

// Timeline is virtual time. It fires timers in order; time passes only between them. Timers that
// are due at the same time fire in the order in which they were set. The zero value is ready to
// use, at time zero.
type Timeline struct {
	// Ties, unless nil, chooses the order of simultaneous events: it returns a number from 0 to
	// below n, and 0 selects the usual order. It lets tests try other orders.
	Ties func(kind Tie, n int) int

	now   time.Duration
	set   uint64
	timed []*Timer // a heap in which each has four below it
	count uint64
}

// Tie is a kind of simultaneous events.
type Tie int

const (
	TieTimers   Tie = iota // which timer fires first; usually the one that was set first
	TieAttempts            // which attempt goes on first; usually the one that began first
	TieLoss                // whether lost calls go on before the loss of their connection is known; usually not
	TieProbe               // whether it is known before a replica is probed; usually not
	TieKinds               // the number of kinds
)

// Timer calls Do at the time for which Timeline.Set sets it. It may be set again, even by Do.
type Timer struct {
	Do func()

	at    time.Duration
	order uint64
	place int // in the heap, from 1; zero: not set
}

// Now returns the current time.
func (t *Timeline) Now() time.Duration { return t.now }

// Events returns how many timers have fired.
func (t *Timeline) Events() uint64 { return t.count }

// Set sets the timer to the given time, or to now if that is later. It replaces an earlier setting.
func (t *Timeline) Set(x *Timer, at time.Duration) {
	t.set++
	x.at, x.order = max(at, t.now), t.set
	if x.place == 0 {
		t.timed = append(t.timed, x)
		x.place = len(t.timed)
	}
	t.down(t.up(x.place - 1))
}

// Stop stops the timer, if it is set.
func (t *Timeline) Stop(x *Timer) {
	if x.place == 0 {
		return
	}
	i, last := x.place-1, len(t.timed)-1
	t.put(i, t.timed[last])
	t.timed[last] = nil
	t.timed = t.timed[:last]
	x.place = 0
	if i < last {
		t.down(t.up(i))
	}
}

// due appends the timers that are due next, among those at index i of the heap or below it.
func (t *Timeline) due(to []*Timer, i int) []*Timer {
	if i >= len(t.timed) || t.timed[i].at > t.timed[0].at {
		return to
	}
	to = append(to, t.timed[i])
	for below := 4*i + 1; below <= 4*i+4; below++ {
		to = t.due(to, below)
	}
	return to
}

// tie chooses one of n numbers.
func (t *Timeline) tie(kind Tie, n int) int {
	if t.Ties == nil || n < 2 {
		return 0
	}
	return t.Ties(kind, n)
}

// mix puts n attempts into the order that Ties chooses.
func (t *Timeline) mix(n int, swap func(i, j int)) {
	for i := 0; t.Ties != nil && i < n-1; i++ {
		swap(i, i+t.tie(TieAttempts, n-i))
	}
}

// Pending reports whether the timer is set.
func (x *Timer) Pending() bool { return x.place > 0 }

// Step fires the next timer, and returns false if none is set.
func (t *Timeline) Step() bool {
	if len(t.timed) == 0 {
		return false
	}
	x := t.timed[0]
	if t.Ties != nil {
		if due := t.due(nil, 0); len(due) > 1 {
			slices.SortFunc(due, func(a, b *Timer) int { return cmp.Compare(a.order, b.order) })
			x = due[t.tie(TieTimers, len(due))]
		}
	}
	t.Stop(x)
	t.now = x.at
	t.count++
	x.Do()
	return true
}

// RunUntil fires all timers that are due up to end, and advances the time to end.
func (t *Timeline) RunUntil(end time.Duration) {
	for len(t.timed) > 0 && t.timed[0].at <= end {
		t.Step()
	}
	t.now = max(t.now, end)
}

func (x *Timer) before(y *Timer) bool { return x.at < y.at || x.at == y.at && x.order < y.order }

func (t *Timeline) put(i int, x *Timer) {
	t.timed[i] = x
	x.place = i + 1
}

// up moves the timer at i up to its place, and returns the new index.
func (t *Timeline) up(i int) int {
	x := t.timed[i]
	for i > 0 {
		above := (i - 1) / 4
		if !x.before(t.timed[above]) {
			break
		}
		t.put(i, t.timed[above])
		i = above
	}
	t.put(i, x)
	return i
}

// down moves the timer at i down to its place.
func (t *Timeline) down(i int) {
	x := t.timed[i]
	for {
		least := 0
		for below := 4*i + 1; below <= 4*i+4 && below < len(t.timed); below++ {
			if least == 0 || t.timed[below].before(t.timed[least]) {
				least = below
			}
		}
		if least == 0 || !t.timed[least].before(x) {
			break
		}
		t.put(i, t.timed[least])
		i = least
	}
	t.put(i, x)
}
