package failover

import "example.com/crashlab/client/failover/internal/replicas"

// connecting returns how an attempt at a replica without a connection waits for one: until its dial
// ends, or another replica becomes the better choice.
func (p *plan) connecting(l *lease) *replicas.Wait {
	tried, key, terms, c := l.core, l.Key, p.Terms, p.client
	return &replicas.Wait{Dial: l.replica.Wake(), Better: func() bool {
		return c.table() != nil && c.shared.Better(&terms, &tried, key, c.now())
	}}
}
