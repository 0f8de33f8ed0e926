// Package record reads and writes the folder of a run. Use it to analyze the calls and events of a
// run by a program of your own: Open returns all that was recorded. Package experiment summarizes a
// run, and package check verifies its records.
//
// A folder has these files:
//
//	manifest.json    the design, the seed, the versions and the machine
//	records.jsonl    a Call on each line
//	events.jsonl     an Event on each line
//	predicted/       the same files of a prediction of the run, if there is one
//
// Times are offsets from the start of the trial's load by the monotonic clock, in whole
// microseconds. The files hold raw observations only; nothing in them is computed from the rest.
package record

import (
	"time"

	"google.golang.org/grpc/codes"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/supervisor/event"
)

// Manifest describes a run: its design, and where and by which versions it ran.
type Manifest struct {
	Version     int       `json:"version"` // of the files' format: 1
	Name        string    `json:"name"`    // of the design
	Engine      string    `json:"engine"`  // one of the Engine constants; empty in old runs, meaning EngineProcesses
	Command     []string  `json:"command"` // the command line that repeats the run
	Seed        uint64    `json:"seed"`
	Began       time.Time `json:"began"`
	Ended       time.Time `json:"ended"`                 // zero if the run was killed
	Interrupted bool      `json:"interrupted,omitempty"` // the run ended before its last trial
	Shard       string    `json:"shard,omitempty"`       // which of the trials it has, as INDEX/COUNT; empty means all
	Merged      []Part    `json:"merged,omitempty"`      // the runs that were merged into it
	Versions    Versions  `json:"versions"`
	Machine     Machine   `json:"machine"`

	Design *design.Design `json:"design"`
}

// Part describes a run that was merged with others.
type Part struct {
	Dir         string    `json:"dir"`
	Shard       string    `json:"shard,omitempty"`
	Seed        uint64    `json:"seed"`
	Began       time.Time `json:"began"`
	Ended       time.Time `json:"ended"`
	Interrupted bool      `json:"interrupted,omitempty"`
	Versions    Versions  `json:"versions"`
	Machine     Machine   `json:"machine"`
}

// The values of [Manifest.Engine].
const (
	EngineProcesses  = "processes"  // trials on real processes of this machine
	EngineSimulation = "simulation" // trials in virtual time
	EngineCluster    = "cluster"    // trials on a cluster that was already running
	EngineLoad       = "load"       // not trials, but a load of crashlab load; the replicas' processes are unknown
	EngineLive       = "live"       // not trials, but a live session, in which users may disturb the replicas
)

// Predicted reports whether the run is a prediction, made in virtual time.
func (m Manifest) Predicted() bool { return m.Engine == EngineSimulation }

// Versions are the versions of the software that made a run.
type Versions struct {
	Commit   string `json:"commit,omitempty"` // of crashlab; empty if it was built outside a checkout
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	GRPC     string `json:"grpc"`
}

// Machine describes the machine of a run. What is unknown is empty.
type Machine struct {
	OS     string `json:"os"` // a GOOS, such as linux
	Arch   string `json:"arch"`
	Kernel string `json:"kernel,omitempty"`
	CPU    string `json:"cpu,omitempty"` // model name
	CPUs   int    `json:"cpus"`
	Memory uint64 `json:"memory,omitempty"` // in bytes
}

// Trial describes a trial whose load began.
type Trial struct {
	design.Trial
	Began time.Time     // start of the load
	Took  time.Duration // duration of the load, to the end of its last call
	// Interrupted reports that the run ended before the load did.
	Interrupted bool
	// Late is the number of calls of an open loop that started too late or not at all; see
	// workload.Pace.
	Late int
	// Addrs are the addresses of the replicas, by name.
	Addrs map[string]string
	// Remote identifies the replicas, by name, in a cluster that was already running. It is nil if
	// the trial launched its own cluster.
	Remote map[string]Remote
}

// Remote identifies a replica of the records in a cluster that was already running.
type Remote struct {
	// Name is the replica's name in the cluster.
	Name string
	// FirstIncarnation is the incarnation in the cluster that the records number 1.
	FirstIncarnation int
	// ClockOffset was added to times of the supervisor's clock. It may be wrong by up to ClockError
	// in either direction.
	ClockOffset, ClockError time.Duration
}

// Call is a completed call of a trial.
type Call struct {
	Trial    int           // Trial.Number
	Number   int           // in the trial, from 1
	Intended time.Duration // when the call was due; equals Start in a closed loop
	Start    time.Duration // when it started
	Duration time.Duration // from Start to its end
	Result   Result
	Warmup   bool       // it belongs to the warm-up, and statistics leave it out
	Reason   string     // why it failed, in the words of package failover; empty unless it failed
	Code     codes.Code // its status

	// The answer; zero unless Result is ResultOK.

	Replica     string // name of the replica that answered
	Incarnation int    // of that replica
	Value       uint64 // of its counter

	Attempts []Attempt
}

// Latency returns the time that the user waited, from Intended to the end.
func (c Call) Latency() time.Duration { return c.Start - c.Intended + c.Duration }

// End returns when the call ended.
func (c Call) End() time.Duration { return c.Start + c.Duration }

// Result says how a call ended.
type Result int

const (
	ResultOK          Result = iota // it succeeded
	ResultFailed                    // it failed
	ResultInterrupted               // the end of the run cut it off, so it says nothing about the replicas
)

// Attempt is one attempt of a call.
type Attempt struct {
	Number  int    // within the call, from 1
	Round   int    // of the call, from 1
	Replica string // name
	// Incarnation is the incarnation that gave the call's answer. For any other attempt it is the
	// replica's latest launch when the attempt started, or 0 before its first launch.
	Incarnation int
	Start       time.Duration // when it started
	Duration    time.Duration
	Outcome     failover.Outcome
	Sent        bool // a byte of it may have reached the wire
	Hedge       bool // it was made beside another attempt that was slow
	Code        codes.Code
}

// End returns when the attempt ended.
func (a Attempt) End() time.Duration { return a.Start + a.Duration }

// Event is something that happened in a trial. Exactly one of Process, Count and Ended is set.
type Event struct {
	Trial int
	At    time.Duration // negative before the load began
	// Process is an event of the supervisor.
	Process *event.Event
	// Count has the counts that a replica reported when it ended.
	Count *Count
	// Ended marks the end of the trial's records. Only the file has it; in a Run the trial is in
	// Trials.
	Ended *Trial
}

// Count has the counts that an incarnation of a replica reports when it crashes or stops.
type Count struct {
	Replica     string `json:"replica"`
	Incarnation int    `json:"incarnation"`
	Arrived     uint64 `json:"arrived"`   // requests that arrived, including one that crashed it
	Counted     uint64 `json:"counted"`   // the counter's value
	InFlight    uint64 `json:"in_flight"` // requests that had arrived and not ended, without one that crashed it
	// Crash is the number of the request that crashed it, from 1, or zero if it was stopped.
	Crash uint64 `json:"crash,omitempty"`
}

// Run has the records of a run.
type Run struct {
	Dir      string // its folder; empty if it has none
	Manifest Manifest
	Trials   []TrialRecords // by number
}

// TrialRecords has the records of a trial.
type TrialRecords struct {
	Trial
	Calls  []Call  // in the order in which they ended
	Events []Event // in order of time
}
