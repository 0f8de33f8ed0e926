package failover

import (
	"context"
	"slices"

	"example.com/crashlab/client/failover/internal/core"
	"google.golang.org/grpc"
)

// plain reports whether a policy leaves nothing to decide about the first attempt of a call, but the replica whose turn
// it is, and nothing to measure.
func (p *Policy) plain() bool {
	return (p.Order == First || p.Order == RoundRobin) && p.MaxInFlight == 0 && !p.AdaptiveLimit &&
		!p.Budget.bounded() && !p.Hedge.enabled() && p.OnAttempt == nil && p.OnCall == nil
}

// easy returns the replica for a call of a plain policy that has no deadline and no options of ours, where that replica
// is well. It is the one that the core would choose. Most calls are like that, and pay for nothing else; nil for others.
func (c *client) easy(ctx context.Context, number uint64, opts []grpc.CallOption) *entry {
	if !c.plain {
		return nil
	}
	t := c.backends.current.Load()
	if t == nil || t.view != c.replicas.View() || len(t.entries) == 0 {
		return nil
	}
	e := &t.entries[0]
	if c.rules.Order == core.RoundRobin {
		e = &t.entries[(number-1)%uint64(len(t.entries))]
	}
	if !e.replica.Ready() || e.suspect.Load() || e.justLost() || ctx.Err() != nil || slices.ContainsFunc(opts, decides) {
		return nil
	}
	if _, bounded := ctx.Deadline(); bounded {
		return nil
	}
	return e
}

// decides reports whether a call option is ours and asks for more than a trace.
func decides(o grpc.CallOption) bool {
	if trace, ok := o.(callOption); ok && trace.trace != nil {
		return false
	}
	return ofCall(o)
}

// quick makes the first attempt of an easy call, and goes on as with any other if that fails.
func (c *client) quick(ctx context.Context, number uint64, e *entry, r request) error {
	c.replicas.Want() // of the others
	e.inFlight.Add(1)
	start, conn := c.now(), e.connection()
	actx, cancel := ctx, context.CancelFunc(nil)
	if t := c.policy.Timeout; t > 0 {
		actx, cancel = context.WithTimeout(ctx, t)
	}
	on := c.replicas.NewAttempt(actx, e.replica)
	err := r.invoker(on, r.method, r.req, r.reply, r.cc, r.opts...)
	if err == nil {
		if cancel != nil {
			cancel()
		}
		for _, o := range r.opts {
			if o, ok := o.(callOption); ok {
				*o.trace = []Attempt{{Replica: e.addr, Number: 1, Round: 1, Start: c.born.Add(start), Duration: c.now() - start, Sent: true}}
			}
		}
		c.backends.count(e.backend, OK)
		c.counters.succeeded.Add(1)
		c.release(e.backend)
		return nil
	}
	call := call{client: c, ctx: ctx, request: r, number: number, rules: &c.rules, deadline: core.Forever}
	call.settings, call.request.opts = parseOptions(r.opts)
	w := wireOf(on)
	o := call.outcome(ctx, actx, w, err)
	if cancel != nil {
		cancel()
	}
	l := lease{entry: *e, decision: call.core.First(e.key), conn: conn, start: start}
	call.finish(&l, o, w, err)
	return call.end(call.run())
}
