package failover

import (
	"example.com/crashlab/client/failover/internal/core"
	"example.com/crashlab/client/failover/internal/replicas"
)

// connecting says how an attempt at a replica without a connection waits for one: for the end of its dial, unless another
// replica is better meanwhile.
func (p *plan) connecting(l *lease) *replicas.Wait {
	tried, key := l.core, l.key
	q := p.ask()
	c := p.client
	deadline := p.deadline
	return &replicas.Wait{Dial: l.replica.Wake(), Better: func() bool {
		if q.remaining = deadline; deadline != core.Forever {
			q.remaining -= c.now()
		}
		return c.better(q, &tried, key)
	}}
}

// better reports whether a call whose attempt at the replica of that key cannot begin yet is better made elsewhere.
func (c *client) better(q question, tried *core.Call, key uint32) bool {
	t := c.backends.table(c.replicas)
	if t == nil {
		return false
	}
	var buf [8]core.Candidate
	return tried.Better(q.rules, c.moment(q), t.candidates(buf[:0], c.limit(), q.rules.Wait, c.stuckAfter, c.now()), key)
}
