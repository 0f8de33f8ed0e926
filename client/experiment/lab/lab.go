// Package lab runs trials on real clusters: replicas that are processes, a supervisor, a client
// with its policy.
package lab

import "example.com/crashlab/client/experiment/record"

// Lab is the engine of trials on clusters of this machine.
type Lab struct {
	// Counterd is the program of a replica.
	Counterd string
	// Guardian is the command of the supervisor's guardian, see supervisor.Config; empty: none.
	Guardian []string
}

// Name is part of trials.Engine.
func (*Lab) Name() string { return record.EngineProcesses }
