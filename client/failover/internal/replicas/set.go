// Package replicas keeps the connections to the replicas of one grpc.ClientConn: a load-balancing policy with one
// pick_first child for each endpoint, and the Set through which an interceptor sees them and chooses.
//
// The policy writes the Set and the interceptor reads it; nothing flows back but the wish for a connection. All use of
// gRPC's experimental balancer API is in here.
package replicas

import (
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc/connectivity"
)

// Set is the replicas of one connection. It outlives the load-balancing policy, which gRPC destroys when the
// connection goes idle and builds again afterwards.
type Set struct {
	// OnChange, unless nil, is called for every change of a replica, one call at a time: Connecting at first and when a
	// connection is lost, then Ready or TransientFailure, which lasts until it is Ready again; Shutdown when it is gone.
	OnChange func(addr string, s connectivity.State)

	// mu guards what the replicas report, here and in each Replica. It is never held while a child is called.
	mu sync.Mutex

	claimed atomic.Bool
	view    atomic.Pointer[View]
	changed atomic.Pointer[chan struct{}]
	born    time.Time
	wanted  atomic.Int64 // when somebody last wanted replicas that were down: nanoseconds since born
}

// View is the list of replicas at one time. The list does not change; the states of its replicas do.
type View struct {
	// Replicas are in the resolver's order.
	Replicas []*Replica
	// Err is why there are none: the resolver's error.
	Err error
}

// NewSet returns a Set whose View is not known yet.
func NewSet() *Set {
	// Born a window ago, so that nothing is in demand yet.
	s := &Set{born: time.Now().Add(-demandWindow)}
	s.renewChanged()
	return s
}

// Claimed reports whether a connection has taken the Set's Config as its own.
func (s *Set) Claimed() bool { return s.claimed.Load() }

// View returns what the resolver found; nil before it has spoken, and while the connection is idle or closed.
func (s *Set) View() *View { return s.view.Load() }

// Changed returns a channel that is closed when the View is replaced. Take it before the View.
func (s *Set) Changed() <-chan struct{} { return *s.changed.Load() }

// publish replaces the view old, if that is still the one in force.
func (s *Set) publish(old, next *View) {
	if s.view.CompareAndSwap(old, next) {
		close(*s.renewChanged())
	}
}

func (s *Set) renewChanged() *chan struct{} {
	ch := make(chan struct{})
	return s.changed.Swap(&ch)
}

// Want says that a call is being made, so that replicas that are down are worth dialing often. While all are well it
// costs one atomic load for each.
func (s *Set) Want() {
	v := s.View()
	if v == nil || !v.anyDown() {
		return
	}
	if s.sinceWanted() < redialGap/2 {
		return // calls come in crowds, and the first has seen to it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want()
	for _, r := range v.Replicas {
		r.scheduleDial()
	}
}

func (s *Set) want() { s.wanted.Store(int64(time.Since(s.born))) }

func (s *Set) sinceWanted() time.Duration { return time.Since(s.born) - time.Duration(s.wanted.Load()) }

// inDemand reports whether somebody has wanted the replicas within the demand window.
func (s *Set) inDemand() bool { return s.sinceWanted() < demandWindow }

func (v *View) anyDown() bool {
	for _, r := range v.Replicas {
		if !r.Ready() {
			return true
		}
	}
	return false
}

// find returns the replica of that id, or nil; a View of nil has none.
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
