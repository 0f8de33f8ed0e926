package failover

import (
	"context"
	"errors"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc/connectivity"
)

// fails takes note that an attempt says something bad of its replica by itself, and leaves the replica out if that is enough.
func (p *plan) fails(l *lease, cause core.Cause) {
	e := &p.policy.Ejection
	if e.Off {
		return
	}
	may := p.mayLeaveOut(l.backend)
	b := l.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.start < b.since {
		return
	}
	b.suspect.Store(true)
	if b.standing.Failed(p.now(), e.After, cause, may) {
		p.leaveOut(l.entry)
	}
}

// unanswered takes note that the caller's deadline cut an attempt off, where the attempt had a fair share of the time: what
// attempts of the method take, or, before that is known, an even share of the call's. A caller who cancels proves nothing.
func (p *plan) unanswered(l *lease, t *table) {
	now := p.now()
	if p.policy.Ejection.Off || t == nil || !errors.Is(ended(p.ctx), context.DeadlineExceeded) {
		return
	}
	fair := p.known.typical()
	if fair == 0 {
		fair = (p.deadline - p.began) / time.Duration(max(len(t.entries), 1))
	}
	b := l.backend
	b.mu.Lock()
	if now-l.start >= fair && l.start >= b.since {
		b.suspect.Store(true)
		b.standing.Unanswered(l.start, now)
		b.doubt(&p.policy.Ejection)
	}
	b.mu.Unlock()
	for _, other := range t.entries {
		if took := other.took.Load(); other.backend != b && took > 0 {
			p.outdone(l.entry, time.Duration(other.asked.Load()), time.Duration(took))
		}
	}
}

// doubt brings up to date until when calls had better be made elsewhere. mu must be held.
func (b *backend) doubt(e *Ejection) {
	b.doubted.Store(int64(b.standing.Doubted(e.After, e.Probe)))
}

// outdone takes note that another replica has answered an attempt that began at start and took so long.
func (c *client) outdone(e entry, start, took time.Duration) {
	may := c.mayLeaveOut(e.backend)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.standing.Outdone(c.now(), c.policy.Ejection.After, start, took, may) {
		c.leaveOut(e)
	}
}

// outdoes compares the replica that has answered with those that are in doubt.
func (c *client) outdoes(l *lease, took time.Duration) {
	l.asked.Store(int64(l.start))
	l.took.Store(int64(max(took, 1)))
	t := c.backends.current.Load()
	if t == nil {
		return
	}
	for _, e := range t.entries {
		if e.backend != l.backend && e.doubted.Load() != 0 && !e.ejected.Load() {
			c.outdone(e, l.start, took)
		}
	}
}

// mayLeaveOut reports whether the share of replicas that may be left out has room for this one.
func (c *client) mayLeaveOut(b *backend) bool {
	t := c.backends.current.Load()
	if t == nil {
		return false
	}
	out := 0
	for _, e := range t.entries {
		if e.backend != b && e.ejected.Load() && !e.trial.Load() {
			out++
		}
	}
	return core.MayLeaveOut(out, len(t.entries), c.policy.Ejection.MaxShare)
}

// leaveOut takes a replica out of the choice, and sees to it that it is looked after. Its mu must be held.
func (c *client) leaveOut(e entry) {
	b := e.backend
	b.since, b.left = c.now(), e.connection()
	b.trial.Store(false)
	b.doubted.Store(0)
	if !b.ejected.Swap(true) { // else it was on trial
		c.counters.ejections.Add(1)
		c.tellStanding(e.replica, ReplicaEjected)
	}
	b.probe = &probe{client: c, backend: b}
	time.AfterFunc(b.standing.Backoff(c.policy.Ejection.Probe), b.probe.run)
}

// forgive takes note of a success of a replica that had failed before. One for which a hedge was due proves nothing, as there
// are not hedges enough to overtake all that are slow; but on trial there is one, and it did not.
func (c *client) forgive(l *lease) {
	b := l.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	slow := l.patience > 0 && c.now()-l.start > l.patience
	if l.start < b.since || slow && !b.standing.OnTrial() {
		return
	}
	b.suspect.Store(false)
	b.doubted.Store(0)
	b.standing.Answered()
	if b.ejected.Load() {
		c.takeBack(b, l.replica)
	}
}

// takeBack puts a replica that was left out back into the choice. Its mu must be held.
func (c *client) takeBack(b *backend, r *replicas.Replica) {
	b.since = c.now()
	b.ejected.Store(false)
	b.trial.Store(false)
	c.tellStanding(r, ReplicaReady)
}

// undecided takes note of an attempt that began at a time and says nothing of the replica: if it was its trial, another
// call may have it.
func (b *backend) undecided(start time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if start >= b.since && b.ejected.Load() && !b.standing.Out() {
		b.trial.Store(true)
	}
}

// renew gives a replica that was left out a new chance when it has a new connection, for it may be a new process.
func (c *client) renew(e entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ejected.Load() && e.connection() != e.left && (e.standing.Reconnected() || e.probe == nil) {
		e.standing.Try()
		e.since = c.now()
		e.ejected.Store(false)
		e.trial.Store(false)
	}
}

// onReady is called when a replica's state has changed, perhaps for the better.
func (c *client) onReady() {
	t := c.backends.table(c.replicas)
	if t != nil {
		for _, e := range t.entries {
			if e.replica.Ready() {
				c.isReady(e)
			}
		}
	}
	if c.queue.crowded() {
		c.dispatch()
	}
}

// isReady takes note that a replica has a connection, perhaps a new one.
func (c *client) isReady(e entry) {
	conn := e.connection()
	if last := e.ramped.Swap(&conn); last == nil || *last != conn {
		if c.wasReady.Swap(true) && c.queue.crowded() {
			e.ramp.Begin() // as after an outage of all
		}
	}
	if e.ejected.Load() {
		c.renew(e)
	}
}

// onChange passes on what happens to a connection.
func (c *client) onChange(addr string, s connectivity.State, err error) {
	c.tell.Lock()
	defer c.tell.Unlock()
	c.policy.OnReplica(ReplicaEvent{Replica: addr, State: replicaState(s), Err: err})
}

// tellStanding tells the user that a replica is left out or taken back, unless its connection has more to say: that it is
// gone, or not ready. A change of the connection can be seen before it is told, and then waits for tell, so that the events
// stay in order.
func (c *client) tellStanding(r *replicas.Replica, s ReplicaState) {
	if c.policy.OnReplica == nil {
		return
	}
	c.tell.Lock()
	defer c.tell.Unlock()
	if r.Gone() || s == ReplicaReady && !r.Ready() {
		return
	}
	c.policy.OnReplica(ReplicaEvent{Replica: r.Addr, State: s})
}
