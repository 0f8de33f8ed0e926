package failover

import (
	"context"
	"slices"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"google.golang.org/grpc"
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

// call is one call on its way. Of a call that goes well it does not leave the stack.
type call struct {
	*client
	ctx      context.Context
	request  request
	settings *settings     // nil: the call has no options of ours
	known    *method       // nil: it has not mattered yet
	rules    *core.Rules   // the method's, once it is known, with what the call's options say
	deadline time.Duration // the caller's, on the client's clock
	number   uint64        // among the connection's calls, from 1
	began    time.Duration // where somebody wants to know
	waited   time.Duration // for replicas to become available
	core     core.Call
	paid     bool // the budget has granted the next attempt
	canceled bool // by the caller, in the last attempt
	reason   Reason
	last     error // of the last attempt that failed
	before   int   // attempts that are not among these, as the call is another one's hedge
	attempts []Attempt
}

// unary carries one call through the replicas.
func (c *client) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	number := c.counters.calls.Add(1)
	r := request{method, req, reply, cc, invoker, opts}
	if e := c.easy(ctx, number, opts); e != nil {
		return c.quick(ctx, number, e, r)
	}
	call := call{client: c, ctx: ctx, number: number, request: r}
	call.begin()
	return call.end(call.run())
}

// begin takes note of what the call asks for.
func (c *call) begin() {
	c.rules = &c.client.rules
	c.deadline = core.Forever
	c.settings, c.request.opts = parseOptions(c.request.opts)
	if c.budget != nil {
		c.budget.Call()
	}
	if c.policy.OnCall != nil {
		c.began = c.now()
	}
	d, bounded := c.ctx.Deadline()
	if bounded {
		c.deadline = d.Sub(c.born)
	}
	hedged := c.hedging().enabled()
	if hedged {
		c.hedges.Call()
	}
	if bounded || hedged || c.settings != nil {
		c.know()
	}
}

// know looks up the rules of the method. Until something depends on them, a call that goes well saves the time.
func (c *call) know() {
	if c.known != nil {
		return
	}
	c.known = c.method(c.request.method)
	c.rules = &c.known.rules
	if c.settings != nil && c.settings.overrides != nil {
		c.rules = c.settings.overrides.apply(c.known.rules)
	}
}

// run makes attempts until one succeeds, and returns nil then. Otherwise it returns what ended the call.
func (c *call) run() error {
	for {
		l, err := c.next()
		if err != nil {
			return err
		}
		if delay, ok := c.hedgeDelay(); ok {
			if c.hedgedAttempt(&l, delay) {
				return nil
			}
			continue
		}
		if o := c.attempt(c.ctx, &l); o == OK {
			return nil
		}
	}
}

// end tells whoever wants to know that the call has ended.
func (c *call) end(err error) error {
	if err == nil {
		c.counters.succeeded.Add(1)
		if c.settings == nil && c.policy.OnCall == nil {
			return nil
		}
	} else {
		c.counters.failed[c.reason].Add(1)
		err = &Error{Method: c.request.method, Attempts: c.attempts, Reason: c.reason, cause: err}
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

// traced reports whether attempts that succeed are noted as well.
func (c *call) traced() bool {
	return c.settings != nil || c.policy.OnCall != nil || c.policy.OnAttempt != nil
}
