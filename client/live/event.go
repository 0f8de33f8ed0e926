package live

import (
	"time"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
	"example.com/crashlab/supervisor/event"
)

// Event is something that a [Fold] takes: one of the types below.
type Event interface {
	apply(f *Fold, at time.Time)
}

// ClusterChanged says how the connection to the control service is.
type ClusterChanged Cluster

// ReplicasListed says how all replicas and groups are, as after connecting, or when some were added
// or removed. Times of the statuses are wall-clock times.
type ReplicasListed struct {
	Replicas []ReplicaStatus
	Groups   []Group
	// Anew is true after connecting: what was known of the replicas' processes may be old. Else
	// only replicas that were not known take their state from the list, and the events say how it
	// goes on.
	Anew bool
}

// ReplicaStatus is how a replica is when it is listed.
type ReplicaStatus struct {
	Name, Group, Addr string
	State             ReplicaState // never ReplicaHung
	Since             time.Time    // zero: not known
	Incarnation, PID  int
	Next              time.Time // zero: no launch is due
	Note              string
}

// ProcessEvent is an event of the supervisor. It happened at its own time.
type ProcessEvent event.Event

// FaultsChanged says which faults a replica has, and which of them it is given again at a relaunch.
// Nil: not known, or none.
type FaultsChanged struct {
	Replica      string
	Faults, Kept map[string]string
}

// LoadChanged says how a load is set.
type LoadChanged struct {
	Load     string
	On       bool
	Settings map[string]string
	Preset   string
	Began    bool // its numbers begin from zero
	Swapped  bool // its client is another one, which has ejected no replica
}

// AttemptEnded is the end of an attempt of a call.
type AttemptEnded struct {
	Load    string
	Call    int
	Attempt failover.Attempt
}

// CallEnded is the end of a call. Its attempts have ended before it, each with an AttemptEnded.
type CallEnded struct {
	Load   string
	Record workload.Record
}

// LinkChanged is what a load's client says of its connection to a replica.
type LinkChanged struct {
	Load  string
	Event failover.ReplicaEvent
}

// Marked is a mark; its moment is that of the event.
type Marked Mark

// ScenarioChanged says how the scenario goes on.
type ScenarioChanged Scenario

// RecordingChanged says how the recording goes on.
type RecordingChanged Recording

// Tick ends a frame.
type Tick struct {
	Samples []Sample // one for each load that is on
}

// Sample is what has to be read from a load, as no event reports it.
type Sample struct {
	Load     string
	UnderWay int
	Late     bool
	failover.Statistics
}
