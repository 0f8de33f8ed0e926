package failover

import (
	"context"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc/connectivity"
)

// news is what is done about what the end of an attempt of the call changes.
func (p *plan) news() core.News {
	return core.News{
		LeftOut:   p.leftOut,
		TakenBack: func(m core.Member) { p.tellStanding(m.Link.(*replicas.Replica), ReplicaReady) },
	}
}

// leftOut tells that a replica is left out, and sees to it that it is looked after, with what this
// call has been given.
func (p *plan) leftOut(m core.Member, w core.Watch) {
	if w.First {
		p.counters.ejections.Add(1)
		p.tellStanding(m.Link.(*replicas.Replica), ReplicaEjected)
	}
	x := &probe{client: p.client, member: m, number: w.Number, ctx: context.WithoutCancel(p.ctx)}
	time.AfterFunc(w.Probe, x.run)
	time.AfterFunc(w.Trial, x.end)
}

// onReady is called when a replica's state has changed, perhaps for the better, or those of all, if
// it is nil.
func (c *client) onReady(r *replicas.Replica) {
	if t := c.table(); t != nil {
		c.shared.Changed(t.of(r), c.queue.crowded(), c.now())
	}
	c.offer()
}

// onChange passes on what happens to a connection.
func (c *client) onChange(addr string, s connectivity.State, err error) {
	c.tell.Lock()
	defer c.tell.Unlock()
	c.policy.OnReplica(ReplicaEvent{Replica: addr, State: replicaState(s), Err: err})
}

// tellStanding tells the user that a replica is left out or taken back, unless its connection has
// more to say: that it is gone, or not ready. A change of the connection can be seen before it is
// told, and then waits for tell, so that the events stay in order.
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
