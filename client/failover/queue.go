package failover

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/crashlab/client/failover/internal/core"
)

// queue is the calls that wait for a replica to become available, the oldest first.
type queue struct {
	n  atomic.Int32 // len(waiting), to be read without the lock
	mu sync.Mutex   // guards waiting, and each waiter in it

	waiting []*waiter
	rising  *time.Timer // unless nil, there is a dispatch to come, as the bound of a ramp rises
}

// waiter is a call that waits. Whoever makes a replica available decides for it, and takes the place for it.
type waiter struct {
	question // but for the time that remains
	deadline time.Duration
	core     core.Call
	granted  chan grant // has room for the one grant
}

// grant is what a waiter waits for.
type grant struct {
	table    *table // nil: ask again
	decision core.Decision
	full     bool // too many older calls wait
}

// crowded reports whether calls wait. A call that finds nobody waiting may take a place without the lock: whoever joins
// the queue looks at the places after it has joined, and whoever gives one back looks at the queue after that.
func (q *queue) crowded() bool { return q.n.Load() > 0 }

// join puts a waiter in its place by age.
func (q *queue) join(w *waiter) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i, _ := slices.BinarySearchFunc(q.waiting, w.number, func(x *waiter, n uint64) int {
		if x.number < n {
			return -1
		}
		return 1
	})
	q.waiting = slices.Insert(q.waiting, i, w)
	q.n.Store(int32(len(q.waiting)))
}

// shed lets the youngest go where more than so many wait, once those that could be served have been.
func (q *queue) shed(most int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for last := len(q.waiting) - 1; last >= most; last-- {
		q.waiting[last].granted <- grant{full: true}
		q.waiting = slices.Delete(q.waiting, last, last+1)
	}
	q.n.Store(int32(len(q.waiting)))
}

// leave takes a waiter out that has no grant yet, and returns false where it has one.
func (q *queue) leave(w *waiter) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, w)
	if i < 0 {
		return false
	}
	q.waiting = slices.Delete(q.waiting, i, i+1)
	q.n.Store(int32(len(q.waiting)))
	return true
}

// dispatch hands the places that are free to the calls that wait, the oldest first. It is called whenever a replica may
// have become available, and takes no lock but the queue's and the table's.
func (c *client) dispatch() {
	q := &c.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	t, limit, now := c.backends.table(c.replicas), c.limit(), c.now()
	var buf [8]core.Candidate
	var candidates []core.Candidate
	if t != nil { // else all of them ask again
		candidates = t.candidates(buf[:0], limit, true, c.stuckAfter, now)
	}
	room := hasRoom(candidates)
	q.waiting = slices.DeleteFunc(q.waiting, func(w *waiter) bool {
		if !room {
			return false
		}
		g, ok := c.grant(w, t, candidates, limit, now)
		if ok {
			w.granted <- g
			room = hasRoom(candidates)
		}
		return ok
	})
	q.n.Store(int32(len(q.waiting)))
	if t != nil && len(q.waiting) > 0 && q.rising == nil {
		c.dispatchAsRampsRise(t, now)
	}
}

// dispatchAsRampsRise comes back when a replica has room for more of the calls that wait, whatever is answered. mu must be held.
func (c *client) dispatchAsRampsRise(t *table, now time.Duration) {
	var soonest time.Duration
	for _, e := range t.entries {
		if step := e.ramp.Step(now); step > 0 && e.replica.Ready() && (soonest == 0 || step < soonest) {
			soonest = step
		}
	}
	if soonest == 0 {
		return
	}
	c.queue.rising = time.AfterFunc(soonest, func() {
		c.queue.mu.Lock()
		c.queue.rising = nil
		c.queue.mu.Unlock()
		c.offer()
	})
}

// hasRoom reports whether there may be anything to decide for a call that waits: a replica with room, or none at all.
func hasRoom(candidates []core.Candidate) bool {
	return len(candidates) == 0 || slices.ContainsFunc(candidates, func(x core.Candidate) bool { return x.Ready && !x.Full })
}

// grant decides for a waiter; it returns false where that has to wait on. The candidates are kept up to date.
func (c *client) grant(w *waiter, t *table, candidates []core.Candidate, limit int32, now time.Duration) (grant, bool) {
	if t == nil {
		return grant{}, true
	}
	q := w.question
	if q.remaining = w.deadline; q.remaining != core.Forever {
		q.remaining -= now
	}
	m := c.moment(q)
	m.Crowded = len(c.queue.waiting) > 1
	for {
		d := w.core.Next(w.rules, m, candidates)
		if d.Action == core.Await {
			return grant{}, false
		}
		if d.Action != core.Try {
			return grant{table: t, decision: d}, true
		}
		e, x := t.entries[d.Index], &candidates[d.Index]
		most := e.ramp.Limit(limit, now)
		taken := e.acquire(most, x.Ejected)
		x.InFlight = e.inFlight.Load()
		x.Full = most > 0 && x.InFlight >= most
		if taken {
			x.Ejected = e.ejected.Load() && !e.trial.Load()
			return grant{table: t, decision: d}, true
		}
		x.Full = true // for now
		w.core.Untry(e.key)
	}
}

// await waits until a replica is available to the call, and returns what to do then.
func (c *call) await() step {
	w := &waiter{question: c.ask(), deadline: c.deadline, core: c.core, granted: make(chan grant, 1)}
	g, failure := c.wait(w)
	switch {
	case failure != nil:
		return step{action: core.GiveUp, failure: failure}
	case g.full:
		return giveUp(ReasonShed, shed("%d older calls wait for a replica", c.policy.MaxWaiting))
	case g.table == nil:
		return c.next()
	}
	c.core = w.core
	return c.follow(g.decision, g.table)
}

// wait lines up until there is a grant, or until the call has waited for as long as it may.
func (c *call) wait(w *waiter) (g grant, f *failure) {
	start := c.now()
	c.replicas.AddWaiting(1)
	defer c.replicas.AddWaiting(-1)
	c.queue.join(w)
	c.dispatch()
	c.queue.shed(c.policy.MaxWaiting)
	patience := time.NewTimer(c.patience())
	defer patience.Stop()
	select {
	case g = <-w.granted:
		c.waited += c.now() - start
		return g, nil
	case <-c.ctx.Done():
	case <-patience.C:
	}
	c.waited += c.now() - start
	if c.queue.leave(w) {
		return g, c.waitedTooLong()
	}
	return <-w.granted, nil // which came at the same moment
}

// patience is how long the call may wait from now on.
func (c *call) patience() time.Duration {
	limit := c.policy.MaxWait
	if limit == 0 && c.deadline == core.Forever {
		limit = time.Minute
	}
	left := core.Forever
	if limit > 0 {
		left = limit - c.waited
	}
	if c.deadline != core.Forever {
		left = min(left, c.remaining()-c.rules.MinTimeout)
	}
	return left
}

// waitedTooLong is why a call fails that has waited for as long as it may, or its caller.
func (c *call) waitedTooLong() *failure {
	switch {
	case ended(c.ctx) != nil:
		return &failure{ReasonCallerEnded, callerError(c.ctx)}
	case c.remaining() <= c.rules.MinTimeout:
		return &failure{ReasonOutOfTime, c.failure(core.NoTime)}
	}
	return &failure{ReasonShed, shed("no replica became available in %v", c.waited)}
}
