package failover

import (
	"sync"
	"sync/atomic"
	"time"

	"example.com/crashlab/client/failover/internal/core"
)

// queue holds the calls that wait for a replica.
type queue struct {
	n  atomic.Int32 // length of line, readable without the lock
	mu sync.Mutex   // guards what follows

	line   core.Line[waiter]
	rising *time.Timer // the next dispatch because the bound of a ramp rises, or nil
}

// waiter is a call that waits. The goroutine that makes a replica available decides for it and
// takes the place.
type waiter struct {
	granted chan grant // buffered, for one grant
}

// grant is the decision that a waiter receives.
type grant struct {
	table    *table // nil: decide again
	decision core.Decision
	full     bool // the queue is full of older calls
}

// crowded reports whether calls wait. A call that finds the queue empty may take a place without
// the lock: a call that joins the queue checks for places after joining, and a call that gives a
// place back checks the queue afterwards.
func (q *queue) crowded() bool { return q.n.Load() > 0 }

// change applies f to the line.
func (q *queue) change(f func(*core.Line[waiter])) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f(&q.line)
	q.n.Store(int32(q.line.Len()))
}

// join adds a waiter.
func (q *queue) join(w *core.Waiter[waiter]) {
	q.change(func(l *core.Line[waiter]) { l.Join(w) })
}

// leave removes a waiter. It returns false if the waiter already has a grant.
func (q *queue) leave(w *core.Waiter[waiter]) (left bool) {
	q.change(func(l *core.Line[waiter]) { left = l.Leave(w) })
	return left
}

// shed rejects the newest waiters in excess of most.
func (q *queue) shed(most int) {
	q.change(func(l *core.Line[waiter]) {
		for _, w := range l.Shed(most) {
			w.Owner.granted <- grant{full: true}
		}
	})
}

// offer hands free places to the calls that wait. It is called whenever a replica may have become
// available.
func (c *client) offer() {
	if c.queue.crowded() {
		c.queue.change(c.dispatch)
	}
}

// dispatch hands free places to the calls that wait. It takes no lock but those of the table and
// the core.
func (c *client) dispatch(line *core.Line[waiter]) {
	t := c.table()
	if t == nil {
		for _, w := range line.Shed(0) {
			w.Owner.granted <- grant{} // decide again
		}
		return
	}
	again := core.Serve(&c.shared, line, t.roster, c.now(), func(w *core.Waiter[waiter], d core.Decision) {
		w.Owner.granted <- grant{table: t, decision: d}
	})
	if again > 0 && c.queue.rising == nil {
		c.dispatchAfter(again)
	}
}

// dispatchAfter schedules a dispatch for when the bound of a ramp rises by itself. mu must be held.
func (c *client) dispatchAfter(d time.Duration) {
	c.queue.rising = time.AfterFunc(d, func() {
		c.queue.mu.Lock()
		c.queue.rising = nil
		c.queue.mu.Unlock()
		c.offer()
	})
}

// await waits until a replica is available to the call, and returns the next step.
func (c *call) await() step {
	w := &core.Waiter[waiter]{Terms: c.Terms, Call: c.core, Owner: waiter{make(chan grant, 1)}}
	g, failure := c.wait(w)
	switch {
	case failure != nil:
		return step{action: core.ActionGiveUp, failure: failure}
	case g.full:
		return c.giveUp(core.ReasonCrowded)
	case g.table == nil:
		return c.next()
	}
	c.core = w.Call
	return c.follow(g.decision, g.table)
}

// wait queues the call until it has a grant or has waited for as long as it may.
func (c *call) wait(w *core.Waiter[waiter]) (g grant, f *failure) {
	start := c.now()
	c.replicas.AddWaiting(1)
	defer c.replicas.AddWaiting(-1)
	c.queue.join(w)
	c.offer()
	c.queue.shed(c.policy.MaxWaiting)
	limit := time.NewTimer(c.waitLeft())
	defer limit.Stop()
	select {
	case g = <-w.Owner.granted:
		c.waited += c.now() - start
		return g, nil
	case <-c.ctx.Done():
	case <-limit.C:
	}
	c.waited += c.now() - start
	if c.queue.leave(w) {
		return g, c.waitedTooLong()
	}
	return <-w.Owner.granted, nil // it arrived in the meantime
}

// waitLeft returns how long the call may still wait.
func (c *call) waitLeft() time.Duration {
	return c.shared.WaitLeft(&c.Terms, c.waited, c.now())
}

// waitedTooLong returns the failure of a call that may not wait any longer.
func (c *call) waitedTooLong() *failure {
	return c.failure(c.WaitReason(ended(c.ctx) != nil, c.now()), nil)
}
