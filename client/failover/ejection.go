package failover

import (
	"context"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc/connectivity"
)

// fails records an attempt that counts as a failure of its replica.
func (p *plan) fails(l *lease, cause core.Cause) {
	p.blame(l, func(s *core.Standing) bool { return s.Failed(p.policy.Ejection.After, cause) })
}

// turnedAway records that a replica gave a request back unprocessed.
func (p *plan) turnedAway(l *lease) {
	p.blame(l, func(s *core.Standing) bool { return s.TurnedAway(l.start, p.now(), p.policy.Ejection.After) })
}

// cutOff records that an attempt was cut off by its own deadline or the caller's. A caller who cancels proves nothing. An attempt
// that was not sent, because the connection had no stream left, says nothing about how long the method takes.
func (p *plan) cutOff(l *lease, sent bool) {
	method, waited := &p.known.latency, p.now()-l.start
	if sent {
		method.AddCutOff(waited)
	}
	compare := false
	p.blame(l, func(s *core.Standing) (enough bool) {
		enough, compare = s.CutOff(p.policy.Ejection.After, method, waited)
		return enough
	})
	if compare && sent {
		p.compare(l.backend, method, waited, false)
	}
}

// blame records evidence against the replica of an attempt, unless the attempt began before the replica was last ejected or put back,
// and ejects the replica if note says that the evidence suffices.
func (p *plan) blame(l *lease, note func(*core.Standing) (enough bool)) {
	if p.policy.Ejection.Off {
		return
	}
	b := l.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.start < b.since {
		return
	}
	b.suspect.Store(true)
	p.judge(l.entry, note(&b.standing))
}

// judge ejects a replica if the evidence against it suffices and the ejection is allowed. The replica's mu must be held.
func (p *plan) judge(e entry, enough bool) {
	if enough {
		p.leaving.Lock()
		if p.mayLeaveOut(e.backend) {
			p.leaveOut(e)
		}
		p.leaving.Unlock()
	}
	e.doubt.Store(int32(e.standing.Doubt(p.policy.Ejection.After)))
	if e.standing.Suspect(p.policy.Ejection.After) {
		p.suspects.Add(1)
	}
}

// compare tells the replicas against which something has been said that another one has answered an attempt of the method after so
// long, or has turned out to be well though one was cut off after so long.
func (p *plan) compare(with *backend, method *core.Latency, took time.Duration, answered bool) {
	seen := p.suspects.Load()
	t := p.backends.current.Load()
	if seen == 0 || t == nil {
		return
	}
	any := false
	for _, e := range t.entries {
		if e.backend == with || !e.suspect.Load() {
			continue
		}
		e.mu.Lock()
		if e.standing.Suspect(p.policy.Ejection.After) {
			any = true
			p.judge(e, e.standing.Compare(p.policy.Ejection.After, method, took, answered))
		}
		e.mu.Unlock()
	}
	if !any {
		p.suspects.CompareAndSwap(seen, 0)
	}
}

// mayLeaveOut reports whether the share of the replicas with a connection that may be left out has room for this one. leaving must be
// held.
func (c *client) mayLeaveOut(b *backend) bool {
	t := c.backends.current.Load()
	if t == nil {
		return false
	}
	out, n := 0, 1
	for _, e := range t.entries {
		if e.backend == b || !e.replica.Ready() {
			continue
		}
		n++
		if e.ejected.Load() && !e.trial.Load() {
			out++
		}
	}
	return core.MayLeaveOut(out, n, c.policy.Ejection.MaxShare)
}

// leaveOut takes a replica out of the choice, and sees to it that it is looked after, with what this call has been given. Its mu must be
// held, and leaving.
func (p *plan) leaveOut(e entry) {
	b, now := e.backend, p.now()
	b.since, b.left = now, e.connection()
	b.standing.LeaveOut(now)
	b.trial.Store(false)
	if !b.ejected.Swap(true) { // else it was on trial
		p.counters.ejections.Add(1)
		p.tellStanding(e.replica, ReplicaEjected)
	}
	b.probe = &probe{client: p.client, backend: b, ctx: context.WithoutCancel(p.ctx)}
	every := p.policy.Ejection.Probe
	time.AfterFunc(b.standing.Backoff(every), b.probe.run)
	time.AfterFunc(b.standing.TrialAt(every)-now, b.probe.end)
}

// forgive takes note of a success of a replica that had failed before. One for which a hedge was due proves nothing, as there
// are not hedges enough to overtake all that are slow; but on trial there is one, and it did not.
func (p *plan) forgive(l *lease) {
	b := l.backend
	b.mu.Lock()
	slow := l.patience > 0 && p.now()-l.start > l.patience
	if l.start < b.since || slow && !b.standing.OnTrial() {
		b.mu.Unlock()
		return
	}
	b.suspect.Store(false)
	b.doubt.Store(0)
	forgiven := b.standing.Answered()
	if b.ejected.Load() {
		p.takeBack(b, l.replica)
	}
	b.mu.Unlock() // before those of others are taken
	for _, x := range forgiven {
		p.compare(b, x.Method, x.Waited, false)
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
			switch {
			case e.replica.Ready():
				c.isReady(e)
			case e.replica.Down():
				c.wasDown.Store(true)
				e.unproven.Store(true)
			}
		}
	}
	c.offer()
}

// isReady takes note that a replica has a connection, perhaps a new one.
func (c *client) isReady(e entry) {
	conn := e.connection()
	if last := e.ramped.Swap(&conn); last == nil || *last != conn {
		if last != nil {
			e.unproven.Store(true)
		}
		if (last != nil || c.wasDown.Load()) && c.queue.crowded() {
			e.ramp.Begin(c.now()) // as after an outage of all
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
