package failover

import (
	"fmt"

	"google.golang.org/grpc/connectivity"
)

// ReplicaEvent reports that a replica was found, changed state or is gone.
type ReplicaEvent struct {
	// Replica is the address, as the resolver returned it.
	Replica string
	// State is the new state.
	State ReplicaState
	// Err is why the dial failed if State is ReplicaDown, and nil otherwise.
	Err error
}

// ReplicaState is the state of the connection to a replica.
type ReplicaState int

const (
	// ReplicaConnecting: a connection is wanted but not established yet. Every replica starts in
	// this state.
	ReplicaConnecting ReplicaState = iota
	// ReplicaReady: there is a connection.
	ReplicaReady
	// ReplicaDown: the last dial failed. The state lasts until a dial succeeds.
	ReplicaDown
	// ReplicaGone: the resolver no longer returns the replica, or the whole connection was closed
	// or has gone idle. After idling, the next call finds its replicas again.
	ReplicaGone
	// ReplicaEjected: the replica is ejected (see Policy.Ejection), though it may have a
	// connection. ReplicaReady follows when it is put back, or another state when its connection is
	// lost.
	ReplicaEjected
)

var replicaStateNames = []string{ReplicaConnecting: "connecting", ReplicaReady: "ready", ReplicaDown: "down", ReplicaGone: "gone", ReplicaEjected: "ejected"}

// String returns the name in lower case, such as "ready".
func (s ReplicaState) String() string {
	return name(replicaStateNames, s)
}

func replicaState(s connectivity.State) ReplicaState {
	switch s {
	case connectivity.Ready:
		return ReplicaReady
	case connectivity.TransientFailure:
		return ReplicaDown
	case connectivity.Shutdown:
		return ReplicaGone
	default:
		return ReplicaConnecting
	}
}

// name returns the name of a constant, or its type and number if it has none.
func name[T ~int](names []string, v T) string {
	if v < 0 || int(v) >= len(names) {
		return fmt.Sprintf("%T(%d)", v, int(v))
	}
	return names[v]
}
