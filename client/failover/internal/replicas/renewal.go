package replicas

import (
	"time"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
)

// renewGap is the shortest time between two renewals of a replica's connection. If the new
// connection is as silent as the old one, the process hangs, and further ones would not help.
const renewGap = time.Minute

// renewal is the replacement of a connection by a new one to the same replica.
type renewal struct {
	// child is making the new connection, or nil. It is written with control and the Set's mu held,
	// and read with either.
	child *child

	// Guarded by the Set's mu.
	state   balancer.State // the last that child reported
	overdue *time.Timer    // ends the renewal
	last    time.Duration  // when the last renewal succeeded; zero: never
}

// Renew replaces a connection on which nothing comes back: perhaps the network has dropped its
// packets for so long that TCP sends the next ones only minutes later, or the host has been
// replaced. The old connection remains in use until there is a new one, and until the requests in
// flight on it have ended. The state of the replica and its Epoch stay the same, because a new
// connection alone does not show that the replica answers.
//
// Renew does nothing if there is no connection, a renewal is under way, the last one succeeded less
// than a minute ago, or the budget of dials is spent.
func (r *Replica) Renew() {
	r.policy.control.Lock()
	defer r.policy.control.Unlock()
	if !r.Ready() || r.renewal.child != nil || !r.mayRenew() {
		return
	}
	c := r.newChild()
	r.beginRenewal(c)
	c.give(r.endpoint, r.resolved)
}

// mayRenew reports whether enough time has passed since the last renewal, and takes the dial from
// the budget.
func (r *Replica) mayRenew() bool {
	s := r.set
	s.mu.Lock()
	defer s.mu.Unlock()
	now, last := s.now(), r.renewal.last
	if last > 0 && now-last < renewGap {
		return false
	}
	ok, _ := s.dials.Take(now, r.addresses)
	return ok
}

// beginRenewal records that the child is making a new connection. control must be held.
func (r *Replica) beginRenewal(c *child) {
	s := r.set
	s.mu.Lock()
	defer s.mu.Unlock()
	r.renewal = renewal{child: c, last: r.renewal.last}
	if t := s.redial.Timeout; t > 0 {
		r.renewal.overdue = time.AfterFunc(t, func() { r.endRenewalOf(c) })
	}
}

// report receives a report of the renewal's child. The Set's mu must be held.
func (n *renewal) report(c *child, s balancer.State) {
	n.state = s
	if s.ConnectivityState != connectivity.Connecting {
		go c.replica.endRenewalOf(c) // the child holds its own lock
	}
}

// endRenewalOf ends the renewal by that child, if it is still under way.
func (r *Replica) endRenewalOf(c *child) {
	r.policy.control.Lock()
	defer r.policy.control.Unlock()
	if r.renewal.child == c {
		r.endRenewal(c)
	}
}

// endRenewal ends the renewal by the child: either its connection replaces the old one, or it is
// closed. control must be held.
func (r *Replica) endRenewal(c *child) {
	s := r.set
	s.mu.Lock()
	done := r.renewal
	stop(&done.overdue)
	r.renewal = renewal{last: done.last}
	obsolete := c
	if done.state.ConnectivityState == connectivity.Ready && r.Ready() {
		obsolete, r.child, r.current = r.child, c, c
		r.renewal.last = s.now()
		r.policy.changed(r, done.state)
	}
	s.mu.Unlock()
	obsolete.Close()
}
