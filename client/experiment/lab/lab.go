// Package lab is the engine that runs trials on real processes of this machine.
//
// Each trial launches a cluster of its own, with counterd as the program of the replicas, under a
// supervisor inside the calling process, and ends it afterwards. Use lab when the machine's own
// limits should count: scheduling, sockets, launching. A trial takes as long as its load; package
// simulate computes the same trials in virtual time, and package remote runs them on a cluster that
// is already running.
package lab

import "example.com/crashlab/client/experiment/record"

// Lab is an engine for package trials. It runs each trial on a new cluster on this machine's
// loopback interface. Its methods are safe for concurrent use.
type Lab struct {
	// Counterd is the path of counterd, the replicas' program. It is required.
	Counterd string
	// Guardian is the command of the supervisor's guardian, which kills the replicas if this
	// process is killed; see supervisor.Config. Empty means no guardian.
	Guardian []string
}

// Name implements trials.Engine.
func (*Lab) Name() string { return record.EngineProcesses }
