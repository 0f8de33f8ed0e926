package simulate

import "time"

// Model is what a machine takes its time for, beside the service time: medians.
type Model struct {
	// RoundTrip is from a request to its reply, without the service time.
	RoundTrip time.Duration `json:"round_trip"`
	// Connect is from the beginning of a dial to the connection.
	Connect time.Duration `json:"connect"`
	// Refuse is from the beginning of a dial until it is known that nothing listens.
	Refuse time.Duration `json:"refuse"`
	// Notice is from a replica's end until its client knows that the connection is lost.
	Notice time.Duration `json:"notice"`
	// Relaunch is from a replica's end to its relaunch, beside the restart delay.
	Relaunch time.Duration `json:"relaunch"`
	// Boot is from a launch until the replica listens.
	Boot time.Duration `json:"boot"`
}

// DefaultModel is that of a machine of two cores of 2024, where nothing else runs: calibrate measures another.
func DefaultModel() Model {
	return Model{
		RoundTrip: 300 * time.Microsecond, Connect: 600 * time.Microsecond, Refuse: 200 * time.Microsecond,
		Notice: 300 * time.Microsecond, Relaunch: time.Millisecond, Boot: 6 * time.Millisecond,
	}
}
