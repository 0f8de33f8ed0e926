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

// policy is the load-balancing policy. Two locks are in play: control serialises what is done to
// the pick_first children, the Set's mu guards what they report. A child reports with its own lock
// held, and may do so from within a call to it: so mu is never held while a child is called, and
// control is never taken on a child's report.
type policy struct {
	cc   balancer.ClientConn
	opts balancer.BuildOptions

	control sync.Mutex
	set     *Set  // written once, before there is a child
	view    *View // the last one published; guarded by control

	refresh *time.Timer // asks the resolver again; guarded by control
	closed  atomic.Bool
}

// UpdateClientConnState takes over the resolver's endpoints. A replica that was known stays, with
// its connection.
func (p *policy) UpdateClientConnState(s balancer.ClientConnState) error {
	p.control.Lock()
	defer p.control.Unlock()
	c, ok := s.BalancerConfig.(*config)
	if !ok {
		return errors.New("failover: the service config names the policy without its set: use failover.DialOptions")
	}
	if p.set == nil {
		p.set = c.set
		p.set.want() // the policy was built because somebody wants the connection
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

// ResolverError is what calls fail with while there is no replica; known replicas stay.
func (p *policy) ResolverError(err error) {
	p.control.Lock()
	defer p.control.Unlock()
	if p.set == nil {
		return // no config, hence no set to tell; the next update brings it
	}
	if p.view == nil || len(p.view.Replicas) == 0 {
		p.replace(&View{Err: err})
	}
}

// UpdateSubConnState is not used: pick_first registers listeners.
func (p *policy) UpdateSubConnState(balancer.SubConn, balancer.SubConnState) {}

// ExitIdle dials every replica that has no connection. It is what ClientConn.Connect comes to, so
// somebody wants them.
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

// scheduleRefresh sees to it that the resolver is asked again after a time, and again: else
// replicas that are added would be found only when another is lost. control must be held.
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

// resolve asks the resolver to look again, at once or when a second has passed since it was asked
// last.
func (p *policy) resolve() {
	p.set.mu.Lock()
	now, wait := p.set.asked.Wish(p.set.now())
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

// replace publishes a view and closes the replicas that are not in it. control must be held.
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

// report takes over the state that a child reports, unless the child has been replaced; pick_first
// should be silent then.
func (p *policy) report(c *child, s balancer.State) bool {
	p.set.mu.Lock()
	defer p.set.mu.Unlock()
	r := c.replica
	if r.current != c {
		return false
	}
	switch s.ConnectivityState {
	case connectivity.Connecting:
		if !r.underway { // by itself, as when the resolver has given it other addresses
			r.dialing.Begin(p.set.now(), p.set.inDemand(), r.dice())
			r.begun()
		}
	case connectivity.Ready:
		r.connected()
	case connectivity.Idle:
		p.set.asked.Later(p.set.now()) // gRPC has asked the resolver, as it does after each failure
		if r.underway {
			r.failed(errHungUp, false)
			r.current = c // which has a next dial in it
		}
	case connectivity.TransientFailure:
		p.set.asked.Later(p.set.now())
		_, err := s.Picker.Pick(balancer.PickInfo{})
		r.failed(err, lasting(err, r.reached))
		// In a goroutine, as the child holds its own lock.
		go func() {
			p.control.Lock()
			defer p.control.Unlock()
			r.drop(c)
		}()
	}
	p.changed(r, s)
	return true
}

var errHungUp = errors.New("the connection was closed as soon as it was there")

// changed takes over a new state of a replica. The Set's mu must be held.
func (p *policy) changed(r *Replica, s balancer.State) {
	r.setState(s)
	p.set.countMissing()
	r.scheduleDial()
	if v := p.set.View(); v != nil {
		p.reportState(v)
	}
}

// reportState gives gRPC a new picker, which makes it ask again for the calls that wait. The Set's
// mu must be held, so that reports arrive in order.
func (p *policy) reportState(v *View) {
	p.cc.UpdateState(balancer.State{ConnectivityState: v.connectivity(), Picker: &picker{set: p.set, view: v}})
}

// connectivity is the state of the whole connection: the best of its replicas'.
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

// newID returns the identity of an endpoint that comes next in the view; empty if it has no
// address, or is there already. Endpoints of the same name differ still where their attributes do,
// as behind a proxy, which all are dialed at: there the number among those of the name tells them
// apart.
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

// sameAddresses compares endpoints of one name, so of one number of addresses.
func sameAddresses(a, b resolver.Endpoint) bool {
	for _, addr := range a.Addresses {
		if !slices.ContainsFunc(b.Addresses, addr.Equal) {
			return false
		}
	}
	return true
}

// endpointName returns an endpoint's addresses and server names, in whatever order the resolver
// gives them.
func endpointName(ep resolver.Endpoint) string {
	var names []string
	for _, a := range ep.Addresses {
		names = append(names, a.Addr+"/"+a.ServerName)
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}
