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

// plan holds what is fixed about a call before it begins.
type plan struct {
	*client
	core.Terms // those of the method, with the overrides of the call's options
	ctx        context.Context
	request    request
	settings   *settings // nil if the call has no options of this package
	began      time.Duration
	invalid    error // why the call's options are invalid
}

// call is a plan being carried out.
type call struct {
	plan
	core     core.Call
	waited   time.Duration // total time spent waiting for replicas
	canceled bool          // the caller ended the last attempt
	begun    int           // number of the last attempt begun
	last     error         // of the last attempt that failed
	answered bool          // last is an answer of the replica
	attempts []Attempt

	unresolved error // the resolver's error, while the call waits for it to recover
}

// failure is why a call fails.
type failure struct {
	reason Reason
	err    error
}

// unary is the interceptor of unary calls. It tries one replica after the other.
func (c *client) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if on := probeOf(opts); on != nil {
		before, _ := metadata.FromOutgoingContext(on.Context)
		on.Context = probed(ctx, before)
		return invoker(on, method, req, reply, cc, opts...)
	}
	call := call{plan: c.plan(ctx, request{method, req, reply, cc, invoker, opts})}
	return call.end(call.run())
}

// plan prepares a call.
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
	c.shared.Begin(&p.Terms)
	if c.cc.Load() == nil {
		c.cc.Store(r.cc)
	}
	return p
}

// override applies the options of the call to its rules.
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

// run makes attempts until one succeeds. It returns nil on success.
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

// note records the result of an attempt, and reports whether it succeeded.
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

// record appends an attempt to the list that errors, traces and OnCall show. It skips the
// allocation if nothing can show it.
func (c *call) record(r result) {
	if !r.missed && (r.Outcome != OutcomeOK || c.settings != nil || c.policy.OnCall != nil) {
		c.attempts = append(c.attempts, r.Attempt)
	}
}

// end counts and reports the end of the call. It returns the error that the caller gets.
func (c *call) end(f *failure) error {
	var err error
	if f == nil {
		c.counters.succeeded.Add(1)
	} else {
		f = c.withCauses(f)
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
