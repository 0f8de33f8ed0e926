package failover

import (
	"context"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc/connectivity"
)

// observer returns what to do when the end of one of the call's attempts changes a replica's
// standing.
func (p *plan) observer() core.Observer {
	return core.Observer{
		Ejected:    p.ejected,
		Reinstated: func(m core.Member) { p.reportEjection(m.Link.(*replicas.Replica), ReplicaReady) },
	}
}

// ejected reports that a replica is ejected and schedules its probes, which use the values and
// metadata of this call's context.
func (p *plan) ejected(m core.Member, w core.Watch) {
	x := &probe{client: p.client, member: m, number: w.Number, ctx: context.WithoutCancel(p.ctx)}
	defer func() { // even if OnReplica panics
		time.AfterFunc(w.Probe, x.run)
		time.AfterFunc(w.Trial, x.end)
	}()
	if w.First {
		p.counters.ejections.Add(1)
		p.reportEjection(m.Link.(*replicas.Replica), ReplicaEjected)
	}
}

// onReady is called when the state of a replica may have improved, or that of all replicas if r is
// nil.
func (c *client) onReady(r *replicas.Replica) {
	if t := c.table(); t != nil {
		c.shared.Changed(t.of(r), c.queue.crowded(), c.now())
	}
	c.offer()
}

// onChange reports a change of a replica's connection to the user.
func (c *client) onChange(addr string, s connectivity.State, err error) {
	c.eventMu.Lock()
	defer c.eventMu.Unlock()
	c.policy.OnReplica(ReplicaEvent{Replica: addr, State: replicaState(s), Err: err})
}

// reportEjection reports to the user that a replica is ejected or reinstated, unless the replica is
// gone or, if reinstated, not ready: the event for that change is then waiting for the lock, so the
// events stay in order.
func (c *client) reportEjection(r *replicas.Replica, s ReplicaState) {
	if c.policy.OnReplica == nil {
		return
	}
	c.eventMu.Lock()
	defer c.eventMu.Unlock()
	if r.Gone() || s == ReplicaReady && !r.Ready() {
		return
	}
	c.policy.OnReplica(ReplicaEvent{Replica: r.Addr, State: s})
}
