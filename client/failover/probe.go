package failover

import (
	"context"
	"time"

	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// fails takes note that a replica hung, or failed an attempt, and leaves it out if that is enough.
func (p *plan) fails(l *lease, hung bool) {
	b, e := l.backend, p.policy.Ejection
	if e.After < 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.start < b.since {
		return
	}
	b.suspect.Store(true)
	if b.standing.Failed(e.After) {
		p.leaveOut(l, hung)
	}
}

// leaveOut takes a replica out of the choice, and sees to it that it is looked after. Its mu must be held.
func (p *plan) leaveOut(l *lease, hung bool) {
	b := l.backend
	b.since, b.left = p.now(), l.connection()
	b.trial.Store(false)
	if !b.ejected.Swap(true) { // else it was on trial
		p.counters.ejections.Add(1)
		p.tellStanding(l.replica, ReplicaEjected)
	}
	b.probe = &probe{client: p.client, backend: b, invoker: p.request.invoker, cc: p.request.cc}
	time.AfterFunc(b.standing.Backoff(p.policy.Ejection.Probe, hung), b.probe.run)
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
	b.standing.Succeeded()
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
	if e.ejected.Load() && e.connection() != e.left {
		e.standing.Probed()
		e.since = c.now()
		e.ejected.Store(false)
		e.trial.Store(false)
	}
}

// probe looks after a replica that is left out. The call that left it out has given it the means to make a request.
type probe struct {
	client  *client
	backend *backend
	invoker grpc.UnaryInvoker
	cc      *grpc.ClientConn
	ill     bool // it has said so, or not answered
}

// run asks the replica how it is, and comes again until it is well. A replica that is down or gone is not asked: it comes
// back with a new connection.
func (p *probe) run() {
	start := p.client.now()
	replica := p.replica()
	if replica == nil {
		return
	}
	interval := p.client.policy.Ejection.Probe
	ctx, cancel := context.WithTimeout(context.Background(), interval)
	reply := new(healthv1.HealthCheckResponse)
	err := p.invoker(p.client.replicas.NewAttempt(ctx, replica), healthv1.Health_Check_FullMethodName, new(healthv1.HealthCheckRequest), reply, p.cc)
	cancel()
	if !p.judge(status.Code(err), reply.GetStatus()) {
		time.AfterFunc(max(0, interval-(p.client.now()-start)), p.run)
	} else if p.client.queue.crowded() {
		p.client.dispatch()
	}
}

// replica returns the connection to ask on, or nil when there is nothing to ask.
func (p *probe) replica() *replicas.Replica {
	p.backend.mu.Lock()
	defer p.backend.mu.Unlock()
	r := p.backend.left.replica
	if p.backend.probe != p || !p.backend.standing.Out() || !r.Ready() || p.cc.GetState() == connectivity.Shutdown {
		return nil
	}
	return r
}

// judge takes back a replica that is well again. One that has no health service, or one that saw nothing wrong, is tried by
// one call at a time. It reports whether there is nothing left to ask.
func (p *probe) judge(code codes.Code, health healthv1.HealthCheckResponse_ServingStatus) bool {
	b, well := p.backend, code == codes.OK && health == healthv1.HealthCheckResponse_SERVING
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.probe != p || !b.standing.Out():
		return true
	case well && p.ill:
		b.standing.Probed()
		p.client.takeBack(b, b.left.replica)
	case well, code == codes.Unimplemented:
		b.standing.Probed()
		b.since = p.client.now()
		b.trial.Store(true)
	default:
		p.ill = true
		return false
	}
	return true
}

// onReady is called when a replica's state has changed, perhaps for the better.
func (c *client) onReady() {
	t := c.backends.table(c.replicas)
	if t != nil {
		for _, e := range t.entries {
			if e.ejected.Load() && e.replica.Ready() {
				c.renew(e)
			}
		}
	}
	if c.queue.crowded() {
		c.dispatch()
	}
}

// onChange passes on what happens to a connection.
func (c *client) onChange(addr string, s connectivity.State) {
	c.tell.Lock()
	defer c.tell.Unlock()
	c.policy.OnReplica(ReplicaEvent{Replica: addr, State: replicaState(s)})
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
