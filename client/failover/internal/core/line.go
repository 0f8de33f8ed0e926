package core

import (
	"cmp"
	"slices"
	"time"
)

// Line is a queue of calls that wait for a replica, oldest first. The zero value is empty.
type Line[Owner any] struct {
	waiting   []*Waiter[Owner]
	exhausted int // how many of them are exhausted
}

// Waiter is a waiting call. Owner is data of the package that queues it.
type Waiter[Owner any] struct {
	Terms
	Call  Call
	Owner Owner

	exhausted bool // it may not try some replica again
}

// Len returns the number of waiters.
func (l *Line[O]) Len() int { return len(l.waiting) }

// Join inserts a call by age, so a call that has waited before does not go to the end.
func (l *Line[O]) Join(w *Waiter[O]) {
	i, _ := l.place(w)
	l.waiting = slices.Insert(l.waiting, i, w)
	if w.exhausted = w.Call.exhausted(w.Rules); w.exhausted {
		l.exhausted++
	}
}

// left records that a call no longer waits.
func (l *Line[O]) left(w *Waiter[O]) {
	if w.exhausted {
		l.exhausted--
	}
}

// place returns the index of a call, and whether it is in the line.
func (l *Line[O]) place(w *Waiter[O]) (i int, waits bool) {
	i, _ = slices.BinarySearchFunc(l.waiting, w.Number, func(x *Waiter[O], n uint64) int { return cmp.Compare(x.Number, n) })
	return i, i < len(l.waiting) && l.waiting[i] == w
}

// Leave removes a call. It returns false if the call is no longer waiting.
func (l *Line[O]) Leave(w *Waiter[O]) bool {
	i, waits := l.place(w)
	if !waits {
		return false
	}
	l.remove(i, i+1)
	l.left(w)
	return true
}

// remove removes the calls from i to before j. It moves the calls before or after them, whichever
// are fewer.
func (l *Line[O]) remove(i, j int) {
	if i >= len(l.waiting)-j {
		l.waiting = slices.Delete(l.waiting, i, j)
		return
	}
	copy(l.waiting[j-i:j], l.waiting[:i])
	clear(l.waiting[:j-i])
	l.waiting = l.waiting[j-i:]
}

// Shed removes and returns the newest waiters in excess of the maximum.
func (l *Line[O]) Shed(most int) []*Waiter[O] {
	if len(l.waiting) <= most {
		return nil
	}
	shed := slices.Clone(l.waiting[most:])
	l.waiting = slices.Delete(l.waiting, most, len(l.waiting))
	for _, w := range shed {
		l.left(w)
	}
	return shed
}

// Serve decides for the waiting calls, oldest first. A call that need not wait any longer is
// removed and passed to served. moment returns the Moment of a call, without Crowded. take takes a
// place at the i-th replica, reports whether there was one, and updates the candidate.
func (l *Line[O]) Serve(replicas *Candidates, moment func(*Waiter[O]) Moment, take func(i int) bool, served func(*Waiter[O], Decision)) {
	crowded := len(l.waiting) > 1
	still, asked := 0, 0 // of the calls asked so far, still continue to wait
	for ; asked < len(l.waiting) && l.anyChance(replicas); asked++ {
		w := l.waiting[asked]
		m := moment(w)
		m.Crowded = crowded
		d := w.Call.Next(w.Rules, m, replicas)
		for d.Action == ActionTry && !take(d.Index) {
			w.Call.Untry(replicas.all[d.Index].Key)
			d = w.Call.Next(w.Rules, m, replicas)
		}
		if d.Action == ActionAwait {
			l.waiting[still] = w
			still++
			continue
		}
		l.left(w)
		served(w, d)
	}
	l.remove(still, asked)
}

// anyChance reports whether a waiting call may have anything to do. It has if there is no replica
// at all, or one with room. An ejected replica with room does not count while others are merely
// full, unless some call may not try all of those again.
func (l *Line[O]) anyChance(replicas *Candidates) bool {
	if replicas.Len() == 0 {
		return true
	}
	s := replicas.side(true)
	return s.count[kindRoom] > 0 && (s.ranks.least().rank != rankLater || l.exhausted > 0)
}

// exhausted reports whether there is a replica that the call, which waits, may not try again.
func (c *Call) exhausted(r *Rules) bool {
	for i := range c.tried.len() {
		if int(c.tried.at(i).value) >= r.Rounds {
			return true
		}
	}
	return false
}

// defaultMaxWait is how long a call without a deadline waits if the policy sets no bound.
const defaultMaxWait = time.Minute

// WaitLeft returns how much longer a call may wait that has waited for so long: most in total, and
// only as long as enough time for an attempt is left. If most is zero, a call without a deadline
// may wait for a minute in total.
func (r *Rules) WaitLeft(most, waited, remaining time.Duration) time.Duration {
	if most == 0 && remaining == Forever {
		most = defaultMaxWait
	}
	left := Forever
	if most > 0 {
		left = most - waited
	}
	if remaining != Forever {
		left = min(left, remaining-r.MinTimeout)
	}
	return left
}
