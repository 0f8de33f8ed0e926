package failover

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
)

// Policy says how a call is carried through the replicas. The zero value tries every replica once, in the resolver's
// order, with no deadline but the caller's.
type Policy struct {
	// Timeout is the deadline of one attempt. Zero means none of its own: a replica that hangs then holds the call
	// until the caller's deadline. A timeout that ServiceConfig gives the method bounds an attempt as well, but where
	// the replica is quicker to say DeadlineExceeded than we are, that is its answer and ends the call. Neither bounds
	// the wait for a resolver that has not found the replicas yet: only the caller's deadline does.
	Timeout time.Duration

	// Rounds is how often a call may pass through the replicas, each tried at most once in a round. Zero means 1.
	Rounds int

	// Pause is the wait between two rounds. Zero means none.
	Pause time.Duration

	// Order is the order in which a round tries the replicas that are equally ready. Zero means First.
	Order Order

	// Retryable are the status codes after which a call goes on to the next replica. Empty means Unavailable alone.
	// An attempt that ran into Timeout goes on whatever the list says; OK and Canceled are not allowed in it.
	//
	// Mind that a retried call may have been executed before: see Attempt.Sent.
	Retryable []codes.Code

	// ServiceConfig is a gRPC service config in JSON, for the methods' own settings such as message sizes. It may not
	// choose a load-balancing policy, for that is what this package is; a retryPolicy or healthCheckConfig in it is
	// without effect. Empty means none. A service config from the resolver is not looked at.
	ServiceConfig string

	// OnReplica, unless nil, is called whenever a replica is found, changes its state or is gone: one call at a time,
	// in order. It must return at once and must not use the connection.
	OnReplica func(ReplicaEvent)
}

// Order is a start order: which replica a round tries first among those that are equally ready.
type Order int

const (
	// First starts every round at the resolver's first replica, so that the others stand by.
	First Order = iota
	// RoundRobin starts each call one replica further than the call before it.
	RoundRobin
)

var orderNames = []string{First: "first", RoundRobin: "round-robin"}

// String returns the order's name as flags and files spell it.
func (o Order) String() string {
	return name(orderNames, o)
}

// UnmarshalText sets the order to the one of that name. Any other is an error.
func (o *Order) UnmarshalText(text []byte) error {
	i := slices.Index(orderNames, string(text))
	if i < 0 {
		return fmt.Errorf("%q: want first or round-robin", text)
	}
	*o = Order(i)
	return nil
}

// validate returns one error that names every field out of its range.
func (p Policy) validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("failover: Policy."+format, args...))
		}
	}
	check(p.Timeout >= 0, "Timeout %v: want 0 or more", p.Timeout)
	check(p.Rounds >= 0, "Rounds %d: want 0 or more", p.Rounds)
	check(p.Pause >= 0, "Pause %v: want 0 or more", p.Pause)
	check(p.Order >= First && p.Order <= RoundRobin, "Order %d: want First or RoundRobin", p.Order)
	for _, c := range p.Retryable {
		check(c != codes.OK && c != codes.Canceled, "Retryable has %v, which cannot be retried", c)
	}
	return errors.Join(errs...)
}

func (p Policy) rounds() int { return max(p.Rounds, 1) }

func (p Policy) retryable(c codes.Code) bool {
	if len(p.Retryable) == 0 {
		return c == codes.Unavailable
	}
	return slices.Contains(p.Retryable, c)
}
