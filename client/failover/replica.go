package failover

import (
	"fmt"

	"google.golang.org/grpc/connectivity"
)

// ReplicaEvent says that a replica was found, changed its state, or is gone.
type ReplicaEvent struct {
	// Replica is the address, as the resolver gave it.
	Replica string
	State   ReplicaState
	// Err is why the dial failed, with ReplicaDown; else nil.
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
	// ReplicaDown: the last dial failed. It lasts until a dial succeeds.
	ReplicaDown
	// ReplicaGone: the resolver no longer names the replica, or the connection was closed or has
	// gone idle, in which case its replicas are found again by the next call.
	ReplicaGone
	// ReplicaEjected: the replica is ejected (see Policy.Ejection), though there may be a
	// connection. ReplicaReady follows when it is taken back, or another state when its connection
	// is lost.
	ReplicaEjected
)

var replicaStateNames = []string{ReplicaConnecting: "connecting", ReplicaReady: "ready", ReplicaDown: "down", ReplicaGone: "gone", ReplicaEjected: "ejected"}

// String returns the state's name, in lower case.
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

// name returns the name of a constant, or its number where it is none of the package's.
func name[T ~int](names []string, v T) string {
	if v < 0 || int(v) >= len(names) {
		return fmt.Sprintf("%T(%d)", v, int(v))
	}
	return names[v]
}
