package replicas

import (
	"math/rand/v2"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/balancer/pickfirst"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"
)

// Redial says how replicas that are down are dialed while calls want them. gRPC's own backoff grows to two minutes, so
// that a replica is noticed long after it is back.
type Redial struct {
	// Every is the mean time between two dials of a replica, jittered by a fifth. Above zero. gRPC's backoff, which begins
	// at a second after each of them, goes on beside.
	Every time.Duration
	// Linger is how long one call's wish for a replica is remembered. Above zero.
	Linger time.Duration
}

// leisure is when a replica that hung up is dialed again if no call wants it. One that is down is left to gRPC's backoff.
const leisure = time.Second

func (r Redial) jitter() time.Duration { return r.Every / 5 }

// gap is a time between two dials, with its jitter.
func (r Redial) gap() time.Duration {
	return r.Every + time.Duration((2*rand.Float64()-1)*float64(r.jitter()))
}

// Replica is one endpoint, connected through a pick_first child.
type Replica struct {
	// ID identifies the endpoint for as long as its addresses stay the same.
	ID string
	// Addr is its first address, for people.
	Addr string

	policy *policy

	// Guarded by policy.control.
	child    *child
	endpoint resolver.Endpoint
	resolved resolver.State // the resolver's state, whose attributes a child wants to see

	// Guarded by policy.set.mu.
	current  *child      // the child whose reports count
	redial   *time.Timer // a dial to come, or nil
	redialAt time.Time
	lastDial time.Time
	told     connectivity.State // what OnChange was last told

	reported atomic.Pointer[balancer.State]
	// summary is the reported state once more, with the epoch above it, for those who ask on every call.
	summary atomic.Uint64
}

const stateBits = 3 // of a summary

func newReplica(p *policy, id, addr string) *Replica {
	r := &Replica{ID: id, Addr: addr, policy: p}
	p.set.mu.Lock()
	defer p.set.mu.Unlock()
	r.setState(balancer.State{ConnectivityState: connectivity.Connecting})
	return r
}

// Ready reports whether the replica has a connection.
func (r *Replica) Ready() bool { return r.state() == connectivity.Ready }

// Gone reports whether the replica has left the View for good; another value of the same ID may be in it.
func (r *Replica) Gone() bool { return r.state() == connectivity.Shutdown }

// Epoch is how many connections the replica has had: it rises whenever the replica becomes Ready. After idle mode
// another value of the same ID begins at zero.
func (r *Replica) Epoch() uint64 { return r.summary.Load() >> stateBits }

func (r *Replica) state() connectivity.State {
	return connectivity.State(r.summary.Load() & (1<<stateBits - 1))
}

// Wake makes sure that the replica's state is fresh enough to rely on: where the last dial is longer ago than a gap,
// it dials at once, and an attempt at the replica then waits for what comes of it.
func (r *Replica) Wake() {
	r.policy.set.mu.Lock()
	fresh := r.justDialed()
	r.policy.set.mu.Unlock()
	if fresh {
		return
	}
	r.policy.control.Lock()
	defer r.policy.control.Unlock()
	r.dial()
}

// dial connects a replica that is down or idle, unless it was dialed just now: then it sees to it that it is dialed
// soon. control must be held.
func (r *Replica) dial() {
	r.policy.set.mu.Lock()
	state := r.state()
	switch {
	case state != connectivity.Idle && state != connectivity.TransientFailure:
	case r.justDialed():
		r.scheduleDial()
		state = connectivity.Connecting
	default:
		r.lastDial = time.Now()
	}
	r.policy.set.mu.Unlock()
	switch state {
	case connectivity.Idle:
		r.child.ExitIdle()
	case connectivity.TransientFailure:
		// The child sits out its backoff, and gRPC can end that only for all replicas at once: take a new child.
		r.child.Close()
		r.build()
	}
}

// justDialed reports whether the next dial is not due yet. The Set's mu must be held.
func (r *Replica) justDialed() bool {
	redial := r.policy.set.redial
	return time.Since(r.lastDial) < redial.Every-redial.jitter()
}

// update takes over what the resolver says of the endpoint. control must be held.
func (r *Replica) update(ep resolver.Endpoint, s resolver.State) {
	r.endpoint, r.resolved = ep, s
	if r.child != nil {
		r.child.give(ep, s)
	}
}

// connectIfNew builds the first child. control must be held.
func (r *Replica) connectIfNew() {
	if r.child != nil {
		return
	}
	r.policy.set.mu.Lock()
	r.lastDial = time.Now()
	r.policy.set.mu.Unlock()
	r.build()
}

// build makes a child and lets it connect. control must be held.
func (r *Replica) build() {
	c := &child{ClientConn: r.policy.cc, replica: r}
	r.policy.set.mu.Lock()
	r.current = c
	r.policy.set.mu.Unlock()
	r.child = c
	c.Balancer = balancer.Get(pickfirst.Name).Build(c, r.policy.opts)
	c.give(r.endpoint, r.resolved)
}

// close ends the connection. control must be held.
func (r *Replica) close() {
	r.policy.set.mu.Lock()
	r.current = nil // a last report of the child does not count
	if r.redial != nil {
		r.redial.Stop()
		r.redial = nil
	}
	r.setState(balancer.State{ConnectivityState: connectivity.Shutdown})
	r.policy.set.mu.Unlock()
	if r.child != nil {
		r.child.Close()
	}
}

// setState takes over a report, and tells who wants to know. The Set's mu must be held.
func (r *Replica) setState(s balancer.State) {
	r.reported.Store(&s)
	epoch := r.Epoch()
	if s.ConnectivityState == connectivity.Ready && !r.Ready() {
		epoch++
	}
	r.summary.Store(epoch<<stateBits | uint64(s.ConnectivityState))
	news := s.ConnectivityState
	if news == connectivity.Idle {
		news = connectivity.Connecting
	}
	redialing := r.told == connectivity.TransientFailure && news == connectivity.Connecting
	if f := r.policy.set.OnChange; f != nil && news != r.told && !redialing {
		r.told = news
		f(r.Addr, news)
	}
}

// scheduleDial sees to it that a replica that is down or idle is dialed: a gap after its last dial where calls want it.
// Else only an idle one is, at leisure. The Set's mu must be held.
func (r *Replica) scheduleDial() {
	redial := r.policy.set.redial
	wait := redial.gap()
	switch state := r.state(); {
	case state != connectivity.Idle && state != connectivity.TransientFailure:
		return
	case r.policy.set.inDemand():
	case state == connectivity.Idle:
		wait = max(wait, leisure)
	default:
		return
	}
	at := r.lastDial.Add(wait)
	if r.redial != nil && !at.Before(r.redialAt.Add(-redial.Every)) {
		return // it is to come about then
	}
	if r.redial != nil {
		r.redial.Stop()
	}
	r.redialAt = at
	r.redial = time.AfterFunc(max(0, time.Until(at)), r.redialNow)
}

func (r *Replica) redialNow() {
	r.policy.set.mu.Lock()
	r.redial = nil
	r.policy.set.mu.Unlock()
	r.policy.control.Lock()
	defer r.policy.control.Unlock()
	r.dial()
}

// child is the pick_first policy of one replica, and the ClientConn that it sees.
type child struct {
	balancer.ClientConn
	balancer.Balancer
	replica *Replica
}

// give hands the child its one endpoint.
func (c *child) give(ep resolver.Endpoint, s resolver.State) {
	s.Endpoints = []resolver.Endpoint{ep}
	s.Addresses = nil
	// The only error is that the state has no address, which update's caller has ruled out.
	_ = c.UpdateClientConnState(balancer.ClientConnState{ResolverState: s})
}

// UpdateState is the child's report. It may come from within a call to the child, or at any time.
func (c *child) UpdateState(s balancer.State) {
	if c.replica.policy.report(c, s) {
		c.replica.policy.set.notify()
	}
}
