package replicas

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"
)

// policy is the load-balancing policy. It has two locks: control serializes calls to the pick_first
// children, and the Set's mu guards what they report. A child reports with its own lock held,
// perhaps during a call to it. Therefore mu is never held while a child is called, and control is
// never locked in a child's report.
type policy struct {
	cc   balancer.ClientConn
	opts balancer.BuildOptions

	control sync.Mutex
	set     *Set  // set once, before there is a child
	view    *View // the last one published; guarded by control

	refresh *time.Timer // asks the resolver again; guarded by control
	closed  atomic.Bool
}

// UpdateClientConnState sets the resolver's endpoints. Replicas that remain keep their connections.
func (p *policy) UpdateClientConnState(s balancer.ClientConnState) error {
	p.control.Lock()
	defer p.control.Unlock()
	c, ok := s.BalancerConfig.(*config)
	if !ok {
		return errors.New("failover: the service config names the policy without its set: use failover.DialOptions")
	}
	if p.set == nil {
		p.set = c.set
		p.set.want() // gRPC builds the policy because the connection is in use
		p.scheduleRefresh()
	}
	next := new(View)
	for _, ep := range p.set.merge(s.ResolverState.Endpoints) {
		id := next.newID(ep)
		if id == "" {
			continue
		}
		r := p.view.find(id)
		if r == nil {
			r = newReplica(p, id, ep)
		}
		next.Replicas = append(next.Replicas, r)
		r.update(ep, s.ResolverState)
	}
	if len(next.Replicas) == 0 {
		p.replace(&View{Err: errors.New("the target resolves to nothing")})
		return balancer.ErrBadResolverState
	}
	p.replace(next)
	for _, r := range next.Replicas {
		r.connectIfNew()
	}
	return nil
}

// ResolverError sets the error of calls if there is no replica. Known replicas remain.
func (p *policy) ResolverError(err error) {
	p.control.Lock()
	defer p.control.Unlock()
	if p.set == nil {
		return // no config yet, and therefore no set; the next update has it
	}
	if p.view == nil || len(p.view.Replicas) == 0 {
		if _, ok := err.(*DownError); !ok { // of a resolver among the options
			err = newDownError(err)
		}
		p.replace(&View{Err: err})
	}
}

// UpdateSubConnState is not used: pick_first registers listeners.
func (p *policy) UpdateSubConnState(balancer.SubConn, balancer.SubConnState) {}

// ExitIdle dials every replica without a connection. gRPC calls it for ClientConn.Connect, so it
// counts as a call.
func (p *policy) ExitIdle() {
	p.control.Lock()
	defer p.control.Unlock()
	if p.view == nil {
		return
	}
	p.set.want()
	for _, r := range p.view.Replicas {
		r.dial()
	}
}

// scheduleRefresh asks the resolver periodically. Otherwise added replicas would be found only when
// another is lost. control must be held.
func (p *policy) scheduleRefresh() {
	every := p.set.redial.Resolve
	if every <= 0 {
		return
	}
	p.refresh = time.AfterFunc(every, func() {
		p.resolve()
		p.control.Lock()
		defer p.control.Unlock()
		if !p.closed.Load() {
			p.scheduleRefresh()
		}
	})
}

// resolve asks the resolver to resolve again, at once or when a second has passed since the last
// request.
func (p *policy) resolve() {
	p.set.mu.Lock()
	now, wait := p.set.asked.Request(p.set.now())
	p.set.mu.Unlock()
	switch {
	case now:
		p.cc.ResolveNow(resolver.ResolveNowOptions{})
	case wait > 0:
		time.AfterFunc(wait, func() {
			p.set.noteAsked()
			if !p.closed.Load() {
				p.cc.ResolveNow(resolver.ResolveNowOptions{})
			}
		})
	}
}

// Close ends all connections. The Set is left without a view, as before the first.
func (p *policy) Close() {
	p.control.Lock()
	defer p.control.Unlock()
	p.closed.Store(true)
	stop(&p.refresh)
	if p.set != nil {
		p.replace(nil)
	}
}

// replace publishes a view, and closes the replicas that are not in it. control must be held.
func (p *policy) replace(next *View) {
	old := p.view
	p.view = next
	p.set.mu.Lock()
	p.set.publish(old, next)
	if next != nil {
		p.reportState(next)
	}
	p.set.mu.Unlock()
	if old != nil {
		for _, r := range old.Replicas {
			if next == nil || !slices.Contains(next.Replicas, r) {
				r.close()
			}
		}
	}
	p.set.notify(nil)
}

// report applies the state that a child reports. It returns false if the child is not the current
// one.
func (p *policy) report(c *child, s balancer.State) bool {
	p.set.mu.Lock()
	defer p.set.mu.Unlock()
	r := c.replica
	if r.renewal.child == c {
		r.renewal.report(c, s)
		return false
	}
	if r.current != c {
		return false
	}
	switch s.ConnectivityState {
	case connectivity.Connecting:
		if !r.underway { // by itself, as after a change of its addresses
			r.dialing.Begin(p.set.now(), p.set.inDemand(), r.dice())
			r.begun()
		}
	case connectivity.Ready:
		r.connected()
	case connectivity.Idle:
		p.set.asked.Done(p.set.now()) // gRPC asks the resolver after each failure
		if r.underway {
			r.failed(errHungUp, false)
			r.current = c // it can dial again
		}
	case connectivity.TransientFailure:
		p.set.asked.Done(p.set.now())
		_, err := s.Picker.Pick(balancer.PickInfo{})
		r.failed(err, lasting(err, r.reached))
		// In a goroutine, because the child holds its own lock.
		go func() {
			p.control.Lock()
			defer p.control.Unlock()
			r.drop(c)
		}()
	}
	p.changed(r, s)
	return true
}

var errHungUp = errors.New("the server closed the connection as soon as it was established")

// changed applies a new state of a replica. The Set's mu must be held.
func (p *policy) changed(r *Replica, s balancer.State) {
	r.setState(s)
	p.set.countMissing()
	r.scheduleDial()
	if v := p.set.View(); v != nil {
		p.reportState(v)
	}
}

// reportState gives gRPC a new picker, so that it picks again for waiting calls. The Set's mu must
// be held, so that reports arrive in order.
func (p *policy) reportState(v *View) {
	p.cc.UpdateState(balancer.State{ConnectivityState: v.connectivity(), Picker: &picker{set: p.set, view: v}})
}

// connectivity returns the state of the whole connection, which is the best state of its replicas.
func (v *View) connectivity() connectivity.State {
	best := connectivity.TransientFailure
	for _, r := range v.Replicas {
		switch r.state() {
		case connectivity.Ready:
			return connectivity.Ready
		case connectivity.Connecting, connectivity.Idle:
			best = connectivity.Connecting
		}
	}
	return best
}

// newID returns the ID of the next endpoint of the view. It is empty if the endpoint has no address
// or is already in the view. Endpoints with the same name may still differ in their attributes, as
// behind a proxy at which all are dialed; a number distinguishes them.
func (v *View) newID(ep resolver.Endpoint) string {
	name := endpointName(ep)
	if name == "" {
		return ""
	}
	id := name
	for n := 2; ; n++ {
		r := v.find(id)
		switch {
		case r == nil:
			return id
		case sameAddresses(r.endpoint, ep):
			return ""
		}
		id = fmt.Sprintf("%s#%d", name, n)
	}
}

// sameAddresses reports whether two endpoints of the same name have equal addresses, including
// attributes.
func sameAddresses(a, b resolver.Endpoint) bool {
	for _, addr := range a.Addresses {
		if !slices.ContainsFunc(b.Addresses, addr.Equal) {
			return false
		}
	}
	return true
}

// endpointName returns an endpoint's addresses and server names, independent of their order.
func endpointName(ep resolver.Endpoint) string {
	var names []string
	for _, a := range ep.Addresses {
		names = append(names, a.Addr+"/"+a.ServerName)
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}
