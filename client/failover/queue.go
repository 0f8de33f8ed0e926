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

// waiter is a call that waits. Whoever makes a replica available decides for it, and takes the
// place for it.
type waiter struct {
	granted chan grant // has room for the one grant
}

// grant is what a waiter waits for.
type grant struct {
	table    *table // nil: ask again
	decision core.Decision
	full     bool // too many older calls wait
}

// crowded reports whether calls wait. A call that finds nobody waiting may take a place without the
// lock: whoever joins the queue looks at the places after it has joined, and whoever gives one back
// looks at the queue after that.
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

// shed lets the youngest go where more than so many wait, once those that could be served have
// been.
func (q *queue) shed(most int) {
	q.change(func(l *core.Line[waiter]) {
		for _, w := range l.Shed(most) {
			w.Owner.granted <- grant{full: true}
		}
	})
}

// offer hands the places that are free to the calls that wait, if any do. It is called whenever a
// replica may have become available.
func (c *client) offer() {
	if c.queue.crowded() {
		c.queue.change(c.dispatch)
	}
}

// dispatch hands the places that are free to the calls that wait. It takes no lock but the table's.
func (c *client) dispatch(line *core.Line[waiter]) {
	t := c.table()
	if t == nil {
		for _, w := range line.Shed(0) {
			w.Owner.granted <- grant{} // to ask again
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

// dispatchAfter comes back when a replica has room for more of the calls that wait, whatever is
// answered. mu must be held.
func (c *client) dispatchAfter(d time.Duration) {
	c.queue.rising = time.AfterFunc(d, func() {
		c.queue.mu.Lock()
		c.queue.rising = nil
		c.queue.mu.Unlock()
		c.offer()
	})
}

// await waits until a replica is available to the call, and returns what to do then.
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
	return c.shared.Patience(&c.Terms, c.waited, c.now())
}

// waitedTooLong is why a call fails that has waited for as long as it may, or its caller.
func (c *call) waitedTooLong() *failure {
	return c.failure(c.Impatience(ended(c.ctx) != nil, c.now()), nil)
}
