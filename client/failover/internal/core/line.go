package core

import (
	"cmp"
	"slices"
	"time"
)

// Line is a queue of calls that wait for a replica, oldest first. The zero value is empty.
type Line[Owner any] struct {
	waiting   []*Waiter[Owner]
	exhausted int // of them
}

// Waiter is a waiting call. Owner is the caller's own data about it.
type Waiter[Owner any] struct {
	Terms
	Call  Call
	Owner Owner

	exhausted bool // it may not try every replica again
}

// Len returns the number of waiters.
func (l *Line[O]) Len() int { return len(l.waiting) }

// Join inserts a call by age, so a call that has waited before need not go to the end.
func (l *Line[O]) Join(w *Waiter[O]) {
	i, _ := l.place(w)
	l.waiting = slices.Insert(l.waiting, i, w)
	if w.exhausted = w.Call.exhausted(w.Rules); w.exhausted {
		l.exhausted++
	}
}

// left takes note that a call does not wait any more.
func (l *Line[O]) left(w *Waiter[O]) {
	if w.exhausted {
		l.exhausted--
	}
}

// place returns the place of a call, and whether it waits there.
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

// remove removes the calls from i to below j. It moves those before or those behind, whichever are
// fewer.
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

// Serve decides for the calls that wait, the oldest first, and takes those out for which there is
// something to do: they are passed to served. The moment is that of a call, but for Crowded. take
// takes a place at the i-th replica, if there still is one, and brings that candidate up to date.
func (l *Line[O]) Serve(replicas *Candidates, moment func(*Waiter[O]) Moment, take func(i int) bool, served func(*Waiter[O], Decision)) {
	crowded := len(l.waiting) > 1
	still, asked := 0, 0 // of those that were asked, how many wait still
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

// anyChance reports whether there may be anything to decide for a call that waits: a replica with
// room, or no replica at all. It is not enough that one was left out while others are merely full,
// unless a call may not try all of these again.
func (l *Line[O]) anyChance(replicas *Candidates) bool {
	if replicas.Len() == 0 {
		return true
	}
	s := replicas.side(true)
	return s.count[kindRoom] > 0 && (s.ranks.least().rank != later || l.exhausted > 0)
}

// exhausted reports whether the call, which waits, may not try every replica again.
func (c *Call) exhausted(r *Rules) bool {
	for i := range c.tried.len() {
		if int(c.tried.at(i).value) >= r.Rounds {
			return true
		}
	}
	return false
}

// maxPatience is how long a call waits that has no deadline, where the policy does not say.
const maxPatience = time.Minute

// Patience is how long a call may wait from now on: in all for most, where zero stands for a minute
// if it has no deadline, and no longer than leaves time for an attempt.
func (r *Rules) Patience(most, waited, remaining time.Duration) time.Duration {
	if most == 0 && remaining == Forever {
		most = maxPatience
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
