// Package replicas manages the connections to the replicas of one grpc.ClientConn. It has a
// load-balancing policy with one pick_first child for each endpoint, and the Set through which an
// interceptor sees the replicas and chooses one.
//
// The policy writes the Set and the interceptor reads it; in the other direction flows only the
// demand for connections. All use of gRPC's experimental balancer API is in this package.
package replicas

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/crashlab/client/failover/internal/core"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"
)

// Set holds the replicas of one connection. It outlives the load-balancing policy, which gRPC
// closes when the connection goes idle and builds again later.
type Set struct {
	// OnChange, unless nil, is called for every change of a replica, one call at a time. The state
	// is Connecting at first and when a connection is lost, then Ready or TransientFailure, which
	// lasts until the replica is Ready again, and Shutdown when it is gone. The error is the reason
	// for TransientFailure.
	OnChange func(addr string, s connectivity.State, err error)

	// OnReady, unless nil, is called after a change of a replica's state or, with nil, of the View.
	// It may be called concurrently, and with locks of gRPC held: it must return promptly, and must
	// not use the connection or wait for a goroutine that uses it or is in Wake.
	OnReady func(*Replica)

	// Host, unless nil, returns the host of an address. The addresses of one host form one replica,
	// in the position of the first.
	Host func(addr string) string

	// Seed determines the jitter of dials.
	Seed uint64

	redial Redial

	// mu guards what the children report, here and in each Replica. It is never held while a child
	// is called.
	mu sync.Mutex

	dials   *core.DialBudget // guarded by mu
	asked   core.Throttle    // limits requests to the resolver; guarded by mu
	down    int              // number of addresses of replicas that are not ready; guarded by mu
	created uint32           // number of replicas so far; guarded by mu

	claimed   atomic.Bool
	view      atomic.Pointer[View]
	changed   atomic.Pointer[chan struct{}]
	noReplica *Replica // stands for no replica in an attempt
	born      time.Time
	wanted    atomic.Int64 // when replicas that were down were last in demand, in nanoseconds since born
	waiting   atomic.Int64 // number of calls that wait for a replica
	missing   atomic.Int64 // number of replicas of the view that are not ready; written with mu held
}

// View is the list of replicas at one time. The list does not change, but the states of its
// replicas do.
type View struct {
	// Replicas are in the resolver's order.
	Replicas []*Replica
	// Err is the resolver's error if there are no replicas.
	Err error
}

// NewSet returns a Set without a View.
func NewSet(r Redial) *Set {
	r.PerSecond = cmp.Or(r.PerSecond, 100)
	// Born so long ago that nothing is in demand yet.
	s := &Set{redial: r, born: time.Now().Add(-r.Linger), dials: core.NewDialBudget(r.PerSecond), asked: core.Throttle{Gap: resolveGap}}
	s.noReplica = &Replica{set: s}
	s.renewChanged()
	return s
}

// Claimed reports whether a connection uses the Set's Config.
func (s *Set) Claimed() bool { return s.claimed.Load() }

// View returns the current view. It is nil before the first result of the resolver, and while the
// connection is idle or closed.
func (s *Set) View() *View { return s.view.Load() }

// Changed returns a channel that is closed when the View is replaced. Call Changed before View to
// miss no change.
func (s *Set) Changed() <-chan struct{} { return *s.changed.Load() }

// publish replaces the view old, if it is still the current one. mu must be held.
func (s *Set) publish(old, next *View) {
	if s.view.CompareAndSwap(old, next) {
		s.countMissing()
		close(*s.renewChanged())
	}
}

// countMissing updates missing and down. mu must be held since before the change that requires it.
func (s *Set) countMissing() {
	n := 0
	s.down = 0
	if v := s.View(); v != nil {
		for _, r := range v.Replicas {
			if !r.Ready() {
				n++
				s.down += r.addresses
			}
		}
	}
	s.missing.Store(int64(n))
}

// notify calls OnReady. mu must not be held.
func (s *Set) notify(r *Replica) {
	if s.OnReady != nil {
		s.OnReady(r)
	}
}

func (s *Set) renewChanged() *chan struct{} {
	ch := make(chan struct{})
	return s.changed.Swap(&ch)
}

// Want records that a call is being made, so that replicas that are down are dialed often. If all
// replicas are ready, it costs one atomic load.
func (s *Set) Want() {
	if s.missing.Load() == 0 {
		return
	}
	if s.rules().Fresh(s.sinceWanted()) {
		return
	}
	s.want()
	s.dialMissing()
}

// AddWaiting adds n to the number of calls that wait for a replica. While it is positive, and for
// Linger afterwards, replicas that are down are dialed often.
func (s *Set) AddWaiting(n int) {
	if n < 0 {
		s.want() // before the number falls, so that no dial in between goes unscheduled
	}
	if sum := s.waiting.Add(int64(n)); sum > 0 && sum <= int64(n) {
		s.dialMissing()
	}
}

// dialMissing schedules the dials of replicas that are down.
func (s *Set) dialMissing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if v := s.View(); v != nil {
		for _, r := range v.Replicas {
			r.scheduleDial()
		}
	}
}

// now returns the time on the Set's clock.
func (s *Set) now() time.Duration { return time.Since(s.born) }

func (s *Set) want() { s.wanted.Store(int64(s.now())) }

func (s *Set) sinceWanted() time.Duration { return s.now() - time.Duration(s.wanted.Load()) }

// noteAsked records that the resolver is being asked.
func (s *Set) noteAsked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked.Done(s.now())
}

// merge combines the endpoints of each host.
func (s *Set) merge(endpoints []resolver.Endpoint) []resolver.Endpoint {
	if s.Host == nil {
		return endpoints
	}
	var merged []resolver.Endpoint
	at := map[string]int{}
	for _, ep := range endpoints {
		if len(ep.Addresses) == 0 {
			continue
		}
		host := s.Host(ep.Addresses[0].Addr)
		i, known := at[host]
		if !known {
			at[host] = len(merged)
			merged = append(merged, ep)
			continue
		}
		merged[i].Addresses = append(slices.Clip(merged[i].Addresses), ep.Addresses...)
	}
	return merged
}

// inDemand reports whether calls want the replicas, or wanted them recently.
func (s *Set) inDemand() bool { return s.rules().Wanted(s.waiting.Load() > 0, s.sinceWanted()) }

// find returns the replica with that ID, or nil if there is none. A nil View has no replicas.
func (v *View) find(id string) *Replica {
	if v == nil {
		return nil
	}
	for _, r := range v.Replicas {
		if r.ID == id {
			return r
		}
	}
	return nil
}
