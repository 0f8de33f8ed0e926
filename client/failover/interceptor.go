package failover

import (
	"context"
	"slices"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// request is what gRPC hands to an interceptor.
type request struct {
	method  string
	req     any
	reply   any
	cc      *grpc.ClientConn
	invoker grpc.UnaryInvoker
	opts    []grpc.CallOption
}

// plan is what is decided about a call before it begins. It does not change.
type plan struct {
	*client
	core.Terms // the method's, with what the call's options override
	ctx        context.Context
	request    request
	settings   *settings // nil: the call has no options of ours
	began      time.Duration
	invalid    error // what is wrong with the call's options
}

// call is a plan under way.
type call struct {
	plan
	core     core.Call
	waited   time.Duration // for replicas to become available
	canceled bool          // by the caller, in the last attempt
	begun    int           // attempts, the number of the last of them
	last     error         // of the last attempt that failed
	answered bool          // and it is the replica's own
	attempts []Attempt

	unresolved error // the resolver's, while the call waits for it
}

// failure is why a call fails.
type failure struct {
	reason Reason
	err    error
}

// unary carries one call through the replicas.
func (c *client) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if on := probeOf(opts); on != nil {
		before, _ := metadata.FromOutgoingContext(on.Context)
		on.Context = probed(ctx, before)
		return invoker(on, method, req, reply, cc, opts...)
	}
	call := call{plan: c.plan(ctx, request{method, req, reply, cc, invoker, opts})}
	return call.end(call.run())
}

// plan takes note of what a call asks for.
func (c *client) plan(ctx context.Context, r request) plan {
	known := c.method(r.method)
	p := plan{
		client: c, ctx: ctx, request: r, began: c.now(),
		Terms: core.Terms{
			Number: c.counters.calls.Add(1), Deadline: core.Forever, Rules: &known.rules, Hedging: &known.hedging, Method: &known.latency,
		},
	}
	p.settings, p.request.opts = parseOptions(r.opts)
	if p.settings != nil {
		p.override(p.settings.override)
	}
	if d, bounded := ctx.Deadline(); bounded {
		p.Deadline = d.Sub(c.born)
	}
	c.shared.Begins(&p.Terms)
	if c.cc.Load() == nil {
		c.cc.Store(r.cc)
	}
	return p
}

// override changes the rules of the call to what its options say.
func (p *plan) override(m MethodPolicy) {
	if m == (MethodPolicy{}) {
		return
	}
	if err := m.validate(); err != nil {
		p.invalid = err
		return
	}
	rules := *p.Rules
	m.apply(&rules)
	p.Rules = &rules
	if m.Hedge != nil {
		hedging := m.Hedge.forCore()
		p.Hedging = &hedging
	}
}

// run makes attempts until one succeeds, and returns nil then.
func (c *call) run() *failure {
	for {
		l, failure := c.lease()
		if failure != nil {
			return failure
		}
		if delay, hedge := c.JoinDelay(l.decision); delay > 0 && separable(c.request.reply) {
			if c.race(&l, delay, hedge) {
				return nil
			}
			continue
		}
		if r := c.attempt(c.ctx, &l, c.request); c.note(&l, r) {
			return nil
		}
	}
}

// note takes note of what became of an attempt. It reports whether it succeeded.
func (c *call) note(l *lease, r result) (ok bool) {
	if r.missed {
		c.core.Miss(l.Key)
		if c.begun == l.number {
			c.begun--
		}
		return false
	}
	if r.Outcome != OutcomeOK {
		c.last, c.answered, c.canceled = r.Err, r.answered, r.Outcome == OutcomeCanceled
		c.core.Note(r.forCore())
	}
	c.record(r)
	return r.Outcome == OutcomeOK
}

// record keeps an attempt for those who want to know.
func (c *call) record(r result) {
	if !r.missed && (r.Outcome != OutcomeOK || c.settings != nil || c.policy.OnCall != nil) {
		c.attempts = append(c.attempts, r.Attempt)
	}
}

// end tells whoever wants to know that the call has ended.
func (c *call) end(f *failure) error {
	var err error
	if f == nil {
		c.counters.succeeded.Add(1)
	} else {
		f = c.explained(f)
		c.counters.failed[f.reason].Add(1)
		err = &Error{Method: c.request.method, Attempts: c.attempts, Reason: f.reason, cause: f.err, answered: c.answered && f.err == c.last}
	}
	if c.policy.OnCall != nil {
		c.policy.OnCall(c.ctx, Call{
			Method: c.request.method, Start: c.born.Add(c.began), Duration: c.now() - c.began, Waited: c.waited,
			Attempts: slices.Clone(c.attempts), Err: err,
		})
	}
	if c.settings != nil {
		c.settings.report(c.attempts, err)
	}
	return err
}
