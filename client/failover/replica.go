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
}

// ReplicaState is the state of the connection to a replica.
type ReplicaState int

const (
	// Connecting: a connection is wanted and not yet there. The first state of every replica.
	Connecting ReplicaState = iota
	// Ready: there is a connection.
	Ready
	// Down: the last dial failed. It lasts until a dial succeeds.
	Down
	// Gone: the resolver no longer names the replica, or the connection was closed or has gone idle, in which case its
	// replicas are found again by the next call.
	Gone
	// Ejected: it is left out, as Policy.Ejection says, though there may be a connection. Ready follows when it is taken
	// back, or another state when its connection is lost.
	Ejected
)

var replicaStateNames = []string{Connecting: "connecting", Ready: "ready", Down: "down", Gone: "gone", Ejected: "ejected"}

// String returns the state's name, in lower case.
func (s ReplicaState) String() string {
	return name(replicaStateNames, s)
}

func replicaState(s connectivity.State) ReplicaState {
	switch s {
	case connectivity.Ready:
		return Ready
	case connectivity.TransientFailure:
		return Down
	case connectivity.Shutdown:
		return Gone
	default:
		return Connecting
	}
}

// name returns the name of a constant, or its number where it is none of the package's.
func name[T ~int](names []string, v T) string {
	if v < 0 || int(v) >= len(names) {
		return fmt.Sprintf("%T(%d)", v, int(v))
	}
	return names[v]
}
