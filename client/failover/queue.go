package failover

import (
	"sync"
	"sync/atomic"
	"time"

	"example.com/crashlab/client/failover/internal/core"
)

// queue is the calls that wait for a replica to become available.
type queue struct {
	n  atomic.Int32 // of the line, to be read without the lock
	mu sync.Mutex   // guards what follows

	line   core.Line[waiter]
	rising *time.Timer // unless nil, there is a dispatch to come, as the bound of a ramp rises
}

// waiter is a call that waits. Whoever makes a replica available decides for it, and takes the place for it.
type waiter struct {
	known   *method
	granted chan grant // has room for the one grant
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

// change changes the line.
func (q *queue) change(f func(*core.Line[waiter])) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f(&q.line)
	q.n.Store(int32(q.line.Len()))
}

// join lets a call wait.
func (q *queue) join(w *core.Waiter[waiter]) {
	q.change(func(l *core.Line[waiter]) { l.Join(w) })
}

// leave takes a waiter out that has no grant yet, and returns false where it has one.
func (q *queue) leave(w *core.Waiter[waiter]) (left bool) {
	q.change(func(l *core.Line[waiter]) { left = l.Leave(w) })
	return left
}

// shed lets the youngest go where more than so many wait, once those that could be served have been.
func (q *queue) shed(most int) {
	q.change(func(l *core.Line[waiter]) {
		for _, w := range l.Shed(most) {
			w.Owner.granted <- grant{full: true}
		}
	})
}

// offer hands the places that are free to the calls that wait, if any do. It is called whenever a replica may have become available.
func (c *client) offer() {
	if c.queue.crowded() {
		c.queue.change(c.dispatch)
	}
}

// dispatch hands the places that are free to the calls that wait. It takes no lock but the table's.
func (c *client) dispatch(line *core.Line[waiter]) {
	t := c.backends.table(c.replicas)
	if t == nil {
		for _, w := range line.Shed(0) {
			w.Owner.granted <- grant{} // to ask again
		}
		return
	}
	limit, now := c.limit(), c.now()
	var buf [8]core.Candidate
	candidates := t.candidates(buf[:0], limit, true, c.stuckAfter, now)
	line.Serve(candidates, func(w *core.Waiter[waiter]) core.Moment {
		q := question{w.Number, w.Rules, w.Owner.known, w.Deadline}
		if q.remaining != core.Forever {
			q.remaining -= now
		}
		return c.moment(q)
	}, func(i int) bool {
		return t.entries[i].take(&candidates[i], limit, now)
	}, func(w *core.Waiter[waiter], d core.Decision) {
		w.Owner.granted <- grant{table: t, decision: d}
	})
	if line.Len() > 0 && c.queue.rising == nil {
		c.dispatchAsRampsRise(t, now)
	}
}

// take takes a place for a call that waits, and brings the candidate up to date.
func (e entry) take(x *core.Candidate, limit int32, now time.Duration) bool {
	most := e.ramp.Limit(limit, now)
	taken := e.acquire(most, x.Ejected)
	x.InFlight = e.inFlight.Load()
	x.Full = most > 0 && x.InFlight >= most
	if taken {
		x.Ejected = e.ejected.Load() && !e.trial.Load()
	}
	return taken
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

// await waits until a replica is available to the call, and returns what to do then.
func (c *call) await() step {
	w := &core.Waiter[waiter]{
		Number: c.number, Deadline: c.deadline, Rules: c.rules, Call: c.core,
		Owner: waiter{c.known, make(chan grant, 1)},
	}
	g, failure := c.wait(w)
	switch {
	case failure != nil:
		return step{action: core.GiveUp, failure: failure}
	case g.full:
		return giveUp(ReasonShed, shed("%d older calls wait for a replica", c.policy.MaxWaiting))
	case g.table == nil:
		return c.next()
	}
	c.core = w.Call
	return c.follow(g.decision, g.table)
}

// wait lines up until there is a grant, or until the call has waited for as long as it may.
func (c *call) wait(w *core.Waiter[waiter]) (g grant, f *failure) {
	start := c.now()
	c.replicas.AddWaiting(1)
	defer c.replicas.AddWaiting(-1)
	c.queue.join(w)
	c.offer()
	c.queue.shed(c.policy.MaxWaiting)
	patience := time.NewTimer(c.patience())
	defer patience.Stop()
	select {
	case g = <-w.Owner.granted:
		c.waited += c.now() - start
		return g, nil
	case <-c.ctx.Done():
	case <-patience.C:
	}
	c.waited += c.now() - start
	if c.queue.leave(w) {
		return g, c.waitedTooLong()
	}
	return <-w.Owner.granted, nil // which came at the same moment
}

// patience is how long the call may wait from now on.
func (c *call) patience() time.Duration {
	return c.rules.Patience(c.policy.MaxWait, c.waited, c.remaining())
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
