package replicas

import (
	"sync/atomic"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"
)

// Replica is one endpoint of the target, connected through a pick_first child.
type Replica struct {
	// ID identifies the endpoint for as long as its addresses stay the same.
	ID string
	// Addr is its first address, for display.
	Addr string

	set       *Set
	policy    *policy
	addresses int    // number of addresses
	key       uint32 // unique in the Set, from 1

	// Guarded by policy.control.
	child    *child // nil while there is neither a connection nor a dial by gRPC
	endpoint resolver.Endpoint
	resolved resolver.State // for a child, which needs its attributes

	// Guarded by set.mu.
	current  *child             // the child whose reports count
	notified connectivity.State // the last state passed to OnChange
	dialing  core.Dialing
	underway bool        // a dial is under way
	reached  bool        // it has found something that accepts connections
	overdue  *time.Timer // ends the dial under way
	unknock  func()      // ends the knock under way, or nil
	redial   *time.Timer // starts the next dial, or nil
	redialAt time.Duration

	renewal renewal

	dials    atomic.Uint64           // how many dials have begun; written with set.mu held
	failure  atomic.Pointer[failure] // of the last dial that failed; nil while there is a connection
	reported atomic.Pointer[balancer.State]
	// summary repeats the reported state, with the epoch in the bits above it, for fast lookups by
	// every call.
	summary atomic.Uint64
}

// failure describes a dial that failed.
type failure struct {
	dial uint64 // its number, from 1
	err  *DownError
}

const stateBits = 3 // in a summary

func newReplica(p *policy, id string, ep resolver.Endpoint) *Replica {
	r := &Replica{ID: id, Addr: ep.Addresses[0].Addr, set: p.set, policy: p, addresses: len(ep.Addresses), endpoint: ep}
	r.set.mu.Lock()
	defer r.set.mu.Unlock()
	r.set.created++
	r.key = r.set.created
	r.setState(balancer.State{ConnectivityState: connectivity.Connecting})
	return r
}

// Ready reports whether the replica has a connection.
func (r *Replica) Ready() bool { return r.state() == connectivity.Ready }

// Down reports whether the last dial failed.
func (r *Replica) Down() bool { return r.state() == connectivity.TransientFailure }

// Dialing reports whether the replica has no connection, and no dial has failed since the last one
// was lost.
func (r *Replica) Dialing() bool {
	return r.state() == connectivity.Connecting && r.failure.Load() == nil
}

// Gone reports whether the replica has left the View for good. The View may contain another value
// with the same ID.
func (r *Replica) Gone() bool { return r.state() == connectivity.Shutdown }

// Epoch returns how many connections the replica has had: it rises whenever the replica becomes
// Ready. After idle mode, another value with the same ID begins at zero.
func (r *Replica) Epoch() uint64 { return r.summary.Load() >> stateBits }

// Err returns why the last dial failed, as a *DownError. It returns nil if there is a connection or
// no dial has failed yet.
func (r *Replica) Err() error {
	if f := r.failure.Load(); f != nil {
		return f.err
	}
	return nil
}

func (r *Replica) state() connectivity.State {
	return connectivity.State(r.summary.Load() & (1<<stateBits - 1))
}

// update sets the resolver's data for the endpoint. control must be held.
func (r *Replica) update(ep resolver.Endpoint, s resolver.State) {
	r.endpoint, r.resolved = ep, s
	for _, c := range []*child{r.child, r.renewal.child} {
		if c != nil {
			c.give(ep, s)
		}
	}
}

// connectIfNew dials a replica for the first time. control must be held.
func (r *Replica) connectIfNew() {
	if r.dials.Load() == 0 {
		r.dial()
	}
}

// build creates a child, which connects. control must be held.
func (r *Replica) build() {
	c := r.newChild()
	r.set.mu.Lock()
	r.current = c
	r.set.mu.Unlock()
	r.child = c
	c.give(r.endpoint, r.resolved)
}

// newChild returns a child that connects once it is given the endpoint.
func (r *Replica) newChild() *child {
	c := &child{ClientConn: r.policy.cc, replica: r}
	c.Balancer = newPickFirst(c, r.policy.opts)
	return c
}

// drop closes the child if it is still the current one; otherwise gRPC would dial again after its
// own backoff. control must be held.
func (r *Replica) drop(c *child) {
	if c != nil && r.child == c {
		r.child = nil
		c.Close()
	}
}

// close ends the connection. control must be held.
func (r *Replica) close() {
	r.set.mu.Lock()
	r.current = nil // ignore a last report of the child
	stop(&r.redial)
	r.endDial()
	r.setState(balancer.State{ConnectivityState: connectivity.Shutdown})
	r.set.mu.Unlock()
	r.drop(r.child)
	if c := r.renewal.child; c != nil {
		r.endRenewal(c)
	}
}

func stop(t **time.Timer) {
	if *t != nil {
		(*t).Stop()
		*t = nil
	}
}

// setState sets the state, and calls OnChange if it has changed for an observer. The Set's mu must
// be held.
func (r *Replica) setState(s balancer.State) {
	r.reported.Store(&s)
	epoch := r.Epoch()
	if s.ConnectivityState == connectivity.Ready && !r.Ready() {
		epoch++
	}
	r.summary.Store(epoch<<stateBits | uint64(s.ConnectivityState))
	state := s.ConnectivityState
	if state == connectivity.Idle {
		state = connectivity.Connecting
	}
	redialing := r.notified == connectivity.TransientFailure && state == connectivity.Connecting
	if f := r.set.OnChange; f != nil && state != r.notified && !redialing {
		r.notified = state
		var err error
		if state == connectivity.TransientFailure {
			err = r.Err()
		}
		f(r.Addr, state, err)
	}
}

// child is the pick_first policy of one replica, and the ClientConn that it sees.
type child struct {
	balancer.ClientConn
	balancer.Balancer
	replica *Replica
}

// give passes the endpoint to the child.
func (c *child) give(ep resolver.Endpoint, s resolver.State) {
	s.Endpoints = []resolver.Endpoint{ep}
	s.Addresses = nil
	// The only possible error is that there is no address, which UpdateClientConnState rules out.
	_ = c.UpdateClientConnState(balancer.ClientConnState{ResolverState: s})
}

// UpdateState receives a report of the child. It may be called during a call to the child, or at
// any other time.
func (c *child) UpdateState(s balancer.State) {
	if c.replica.policy.report(c, s) {
		c.replica.set.notify(c.replica)
	}
}
