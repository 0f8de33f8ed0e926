package live

import (
	"time"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
	"example.com/crashlab/supervisor/event"
)

// Event is an event that a [Fold] takes. The types below implement it.
type Event interface {
	apply(f *Fold, at time.Time)
}

// ClusterChanged reports the state of the connection to the control service.
type ClusterChanged Cluster

// ReplicasListed has the status of all replicas and groups, after connecting or after replicas were
// added or removed.
type ReplicasListed struct {
	Replicas []ReplicaStatus
	Groups   []Group
	// Anew is true after connecting, when earlier states may be outdated. If it is false, only new
	// replicas take their state from the list, since events report the changes of the others.
	Anew bool
}

// ReplicaStatus is the status of a replica in a list. Times are wall-clock times.
type ReplicaStatus struct {
	Name, Group, Addr string
	State             ReplicaState // never ReplicaHung
	Since             time.Time    // zero if unknown
	Incarnation, PID  int
	Next              time.Time // of the next launch; zero if none is due
	Note              string    // as Replica.Note
}

// ProcessEvent is an event of the supervisor. Its own time counts, not that of Fold.Apply.
type ProcessEvent event.Event

// FaultsChanged reports a replica's faults, and which of them it gets again after a relaunch. Nil
// Faults are unknown; nil Kept means none.
type FaultsChanged struct {
	Replica      string
	Faults, Kept map[string]string
}

// LoadChanged reports the settings of a load.
type LoadChanged struct {
	Load     string
	On       bool
	Settings map[string]string
	Preset   string
	Began    bool // the load was started, so its numbers begin at zero
	Swapped  bool // the load has a new client, which has not ejected any replica
}

// AttemptEnded reports the end of an attempt of a call.
type AttemptEnded struct {
	Load    string
	Call    int
	Attempt failover.Attempt
}

// CallEnded reports the end of a call, after an AttemptEnded for each of its attempts.
type CallEnded struct {
	Load   string
	Record workload.Record
}

// LinkChanged reports a change of the connection between a load's client and a replica.
type LinkChanged struct {
	Load  string
	Event failover.ReplicaEvent
}

// Marked adds a mark at the time of the event.
type Marked Mark

// ScenarioChanged reports the progress of the scenario.
type ScenarioChanged Scenario

// RecordingChanged reports the progress of the recording.
type RecordingChanged Recording

// Tick ends a frame.
type Tick struct {
	Samples []Sample // one for each load that is on
}

// Sample has values of a load that no event reports.
type Sample struct {
	Load     string
	UnderWay int
	Late     bool
	failover.Statistics
}
