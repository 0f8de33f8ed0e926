package failover

import (
	"context"
	"errors"
	"fmt"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

// lease is the right to one attempt at a replica.
type lease struct {
	core.Lease
	backend  *backend
	replica  *replicas.Replica
	decision core.Decision
	number   int // among the call's attempts, from 1
	hedge    bool
	core     core.Call      // a copy of the call's, in which this attempt counts as tried
	wait     *replicas.Wait // for a connection; nil if the replica had one
}

// leaseFor returns the lease that a decision to try a replica grants.
func (p *plan) leaseFor(t *table, d core.Decision, number int) lease {
	e := t.entries[d.Index]
	return lease{
		Lease:   core.Lease{Member: t.members[d.Index], Method: p.Method},
		backend: e.backend, replica: e.replica, decision: d, number: number,
	}
}

// step is what a call does next: make an attempt, pause, wait for a replica, or give up.
type step struct {
	action  core.Action
	lease   lease         // for ActionTry
	pause   time.Duration // for ActionPause
	failure *failure      // for ActionGiveUp
}

func (c *call) giveUp(r core.Reason) step {
	return step{action: core.ActionGiveUp, failure: c.failure(r, nil)}
}

// lease pauses and waits as necessary, and returns the lease for the call's next attempt, or why
// there is none.
func (c *call) lease() (lease, *failure) {
	if c.invalid != nil {
		return lease{}, &failure{ReasonInvalid, status.Errorf(codes.InvalidArgument, "failover: the call's options: %v", c.invalid)}
	}
	s := c.next()
	for {
		switch s.action {
		case core.ActionTry:
			return s.lease, nil
		case core.ActionGiveUp:
			return lease{}, s.failure
		case core.ActionAwait:
			s = c.await()
		case core.ActionPause:
			if err := c.sleep(s.pause); err != nil {
				return lease{}, &failure{c.stopReason(), err}
			}
			s = c.next()
		}
	}
}

// next returns the call's next step. If that is to try a replica, a place there is taken.
func (c *call) next() step {
	for {
		if c.canceled {
			return c.giveUp(core.ReasonCallerEnded)
		}
		t, f := c.resolved()
		if f != nil {
			return step{action: core.ActionGiveUp, failure: f}
		}
		c.replicas.Want()
		d, ok := c.shared.Next(&c.Terms, &c.core, t.roster, c.queue.crowded(), c.now())
		if ok {
			return c.follow(d, t)
		}
	}
}

// follow turns a decision into a step. The decision to try a replica comes with a place there,
// which follow gives back if there will be no attempt.
func (c *call) follow(d core.Decision, t *table) step {
	over := c.ctx.Err() != nil || d.Action == core.ActionGiveUp && ended(c.ctx) != nil
	next := c.shared.Follow(&c.core, d, over, c.now())
	switch next.Action {
	case core.ActionGiveUp:
		if d.Action == core.ActionTry {
			c.abandon(t.members[d.Index].Replica)
		}
		if next.Reason == core.ReasonBudgetSpent {
			c.counters.denied.Add(1)
		}
		return step{action: core.ActionGiveUp, failure: c.failure(next.Reason, t)}
	case core.ActionTry:
		c.begun++
		l := c.leaseFor(t, d, c.begun)
		l.core = c.core
		return step{action: core.ActionTry, lease: l}
	}
	return step{action: next.Action, pause: next.Wait}
}

// stopReason returns the reason for a call that cannot go on: the caller ended it, or the
// connection is gone.
func (c *call) stopReason() Reason {
	if ended(c.ctx) != nil {
		return ReasonCallerEnded
	}
	return ReasonNoReplica
}

// failure returns why the call gives up.
func (c *call) failure(r core.Reason, t *table) *failure {
	f := &failure{reason: publicReason[r], err: c.last}
	switch {
	case r == core.ReasonCallerEnded:
		f.err = callerError(c.ctx)
	case r == core.ReasonNoReplica:
		f.err = noReplicas(t.view.Err)
	case r == core.ReasonFull:
		f.err = shed("every replica left to try has %d attempts in flight, its limit", c.shared.Limit())
	case r == core.ReasonCrowded:
		f.err = shed("%d older calls are waiting for a replica", c.policy.MaxWaiting)
	case r == core.ReasonWaitedTooLong:
		f.err = shed("no replica became available in %v", c.waited)
	case c.last == nil: // there was no time for a first attempt
		f.err = &statusError{codes.DeadlineExceeded, fmt.Errorf("%v left until the deadline, but an attempt takes at least %v",
			c.Remaining(c.now()).Round(time.Microsecond), c.Rules.MinTimeout)}
	}
	return f
}

func shed(format string, args ...any) error {
	return &statusError{codes.ResourceExhausted, fmt.Errorf("failover: "+format, args...)}
}

// resolved returns the replicas that the resolver found. It waits if there is no result yet.
func (c *call) resolved() (*table, *failure) {
	for {
		if t := c.table(); t != nil {
			return t, nil
		}
		changed := c.replicas.Changed()
		if c.replicas.View() != nil {
			continue
		}
		if !c.replicas.Claimed() {
			return nil, &failure{c.stopReason(), status.Error(codes.FailedPrecondition,
				"failover: another service config has replaced the failover policy: give it in Policy.ServiceConfig")}
		}
		if awaitResolver(c.ctx, c.request.cc, changed) {
			continue
		}
		if ended(c.ctx) != nil {
			return nil, &failure{ReasonCallerEnded, callerError(c.ctx)}
		}
		// The resolver failed, or the connection is closed. gRPC reports why only to a request.
		r := c.request
		err := r.invoker(c.replicas.NewAttempt(c.ctx, nil), r.method, r.req, r.reply, r.cc, r.opts...)
		switch {
		case errors.Is(err, replicas.ErrResolved):
		case status.Code(err) != codes.Unavailable:
			return nil, &failure{c.stopReason(), err}
		case !c.Rules.Wait:
			return nil, &failure{c.stopReason(), noReplicas(resolverError(err))}
		default:
			c.unresolved = resolverError(err)
			if f := c.awaitRecovery(); f != nil {
				return nil, f
			}
		}
	}
}

// resolverError returns the resolver's error from that of a request. Of the error of a resolver
// among the options, gRPC passes on only the text.
func resolverError(err error) error {
	if down, ok := errors.AsType[*replicas.DownError](err); ok {
		return down
	}
	return errors.New(status.Convert(err).Message())
}

// awaitRecovery waits until the resolver, which has failed, may have recovered. It fails after as
// long as the call may wait.
func (c *call) awaitRecovery() *failure {
	start := c.now()
	ctx, cancel := context.WithTimeout(c.ctx, c.waitLeft())
	defer cancel()
	changed := c.request.cc.WaitForStateChange(ctx, connectivity.TransientFailure)
	c.waited += c.now() - start
	if changed {
		return nil
	}
	return c.waitedTooLong()
}

// awaitResolver waits until changed is closed. It returns false if the context ends, the connection
// is closed or the resolver fails first. It wakes the connection whenever that is idle, because
// gRPC does not count a call that waits here as a call.
func awaitResolver(ctx context.Context, cc *grpc.ClientConn, changed <-chan struct{}) bool {
	watch, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan struct{})
	go func() {
		defer close(failed)
		for s := cc.GetState(); s != connectivity.Shutdown && s != connectivity.TransientFailure; s = cc.GetState() {
			if s == connectivity.Idle {
				cc.Connect()
			}
			if !cc.WaitForStateChange(watch, s) {
				return
			}
		}
	}()
	select {
	case <-changed:
		return true
	case <-failed:
		return false
	}
}

func noReplicas(why error) error {
	return &statusError{codes.Unavailable, fmt.Errorf("%w: %w", ErrNoReplicas, why)}
}

// sleep pauses for d. It returns an error if the caller's context ends or the connection is closed
// first.
func (c *call) sleep(d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	for {
		changed := c.replicas.Changed() // also when the connection is closed
		if c.request.cc.GetState() == connectivity.Shutdown {
			return status.Error(codes.Canceled, "the connection is closing")
		}
		select {
		case <-t.C:
			return nil
		case <-c.ctx.Done():
			return callerError(c.ctx)
		case <-changed:
		}
	}
}

// ended returns why the context has ended, or nil. A context whose deadline has passed has ended
// even if its timer has not fired yet: a replica that enforces the deadline may answer a moment
// earlier.
func ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d, ok := ctx.Deadline(); ok && !time.Now().Before(d) {
		return context.DeadlineExceeded
	}
	return nil
}

// callerError returns the error of a call that ends with its caller's context.
func callerError(ctx context.Context) error {
	err := ended(ctx)
	return &statusError{status.FromContextError(err).Code(), err}
}
