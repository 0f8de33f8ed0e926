// Package record is the files of a run: what was seen while its trials ran, and under what
// circumstances.
//
//	manifest.json    what was run, where, by which versions, and which trials
//	records.jsonl    a [Call] a line
//	events.jsonl     an [Event] a line
//	predicted/       the same files of the same trials in virtual time, where those were predicted
//
// Times in them are offsets from the start of the trial's load, by the monotonic clock, in
// microseconds. Nothing in them is computed from anything else in them.
package record

import (
	"time"

	"google.golang.org/grpc/codes"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/supervisor/event"
)

// Manifest says what was run, where, and by which versions.
type Manifest struct {
	Version     int       `json:"version"` // of these files: 1
	Name        string    `json:"name"`    // the design's
	Engine      string    `json:"engine"`  // where the trials ran, one of those below; empty in old runs: EngineProcesses
	Command     []string  `json:"command"` // that repeats the run
	Seed        uint64    `json:"seed"`
	Began       time.Time `json:"began"`
	Ended       time.Time `json:"ended"`                 // zero: the run was killed
	Interrupted bool      `json:"interrupted,omitempty"` // it was ended before its last trial
	Shard       string    `json:"shard,omitempty"`       // which of the trials it has, as INDEX/COUNT; empty: all
	Merged      []Part    `json:"merged,omitempty"`      // the runs that it was merged from
	Versions    Versions  `json:"versions"`
	Machine     Machine   `json:"machine"`

	Design *design.Design `json:"design"`
}

// Part is a run that was merged with others.
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

// The engines of [Manifest.Engine].
const (
	EngineProcesses  = "processes"  // of this machine
	EngineSimulation = "simulation" // in virtual time
	EngineCluster    = "cluster"    // on one that was there before, of this machine or others
	EngineLoad       = "load"       // no trials: a load whose replicas' processes are unknown, see crashlab load
	EngineLive       = "live"       // a live session: its replicas were there before, and were changed and commanded meanwhile
)

// Predicted reports whether the run says what would happen, not what has.
func (m Manifest) Predicted() bool { return m.Engine == EngineSimulation }

// Versions are those of the programs that took part.
type Versions struct {
	Commit   string `json:"commit,omitempty"` // of crashlab; empty when it was built outside a checkout
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	GRPC     string `json:"grpc"`
}

// Machine is where it ran. What could not be found out is empty.
type Machine struct {
	OS     string `json:"os"` // as go has it, such as linux
	Arch   string `json:"arch"`
	Kernel string `json:"kernel,omitempty"`
	CPU    string `json:"cpu,omitempty"` // the model
	CPUs   int    `json:"cpus"`
	Memory uint64 `json:"memory,omitempty"` // in bytes
}

// Trial is a trial whose load began.
type Trial struct {
	design.Trial
	Began time.Time     // the start of its load
	Took  time.Duration // of its load, to the end of its last call
	// Interrupted is true when the end of the run ended it before its load was done.
	Interrupted bool
	// Late is how many calls of an open loop started later than they may or never, see
	// workload.Pace.
	Late int
	// Addrs are the addresses of the replicas, by name.
	Addrs map[string]string
	// Remote relates the replicas, by name, to a cluster that was there before; nil for a cluster
	// of the trial's own.
	Remote map[string]Remote
}

// Remote is what a replica of the records is on a cluster that was there before.
type Remote struct {
	// Name is its name there.
	Name string
	// FirstIncarnation is the number there of what is incarnation 1 in the records.
	FirstIncarnation int
	// ClockOffset was added to the times by the clock of its supervisor; ClockError is how far that
	// may be wrong, to either side.
	ClockOffset, ClockError time.Duration
}

// Call is one call of a trial, after its end.
type Call struct {
	Trial    int           // Trial.Number
	Number   int           // in the trial, from 1
	Intended time.Duration // when it was to start; in a closed loop, when it did
	Start    time.Duration // when it started
	Duration time.Duration // from Start to its end
	Result   Result
	Warmup   bool       // it does not count
	Reason   string     // why it failed, in failover's words; empty otherwise
	Code     codes.Code // its status

	// What the replica answered; zero unless Result is OK.

	Replica     string // name
	Incarnation int
	Value       uint64

	Attempts []Attempt
}

// Latency is what the call's user waited: from Intended to the end.
func (c Call) Latency() time.Duration { return c.Start - c.Intended + c.Duration }

// End is when the call ended.
func (c Call) End() time.Duration { return c.Start + c.Duration }

// Result is how a call ended.
type Result int

const (
	ResultOK          Result = iota // it succeeded
	ResultFailed                    // it failed
	ResultInterrupted               // the end of the run ended it; it says nothing of the replicas
)

// Attempt is one attempt of a call.
type Attempt struct {
	Number      int // among the call's, from 1
	Round       int
	Replica     string        // name
	Incarnation int           // the replica's latest launch when the attempt began; of one that is OK, the one that answered; 0 before the first
	Start       time.Duration // as of Call
	Duration    time.Duration
	Outcome     failover.Outcome
	Sent        bool
	Hedge       bool
	Code        codes.Code
}

// End is when the attempt ended.
func (a Attempt) End() time.Duration { return a.Start + a.Duration }

// Event is something that happened in a trial. One of Process, Count and Ended is set.
type Event struct {
	Trial int
	At    time.Duration // negative: before the load began
	// Process is an event of the supervisor.
	Process *event.Event
	// Count is what a replica said of itself as it ended.
	Count *Count
	// Ended is the trial, which has ended, and whose records are all there. A run has it in Trials,
	// not among the events.
	Ended *Trial
}

// Count is what an incarnation of a replica has counted itself, told as it crashes or stops.
type Count struct {
	Replica     string `json:"replica"`
	Incarnation int    `json:"incarnation"`
	Arrived     uint64 `json:"arrived"`   // requests, the one that crashed it among them
	Counted     uint64 `json:"counted"`   // the counter's value
	InFlight    uint64 `json:"in_flight"` // requests that had arrived and not ended, the one that crashed it left out
	// Crash is the number of the request that crashed it, from 1; zero when it was stopped.
	Crash uint64 `json:"crash,omitempty"`
}

// Run is what the files of a run say.
type Run struct {
	Dir      string
	Manifest Manifest
	Trials   []TrialRecords // in the order of their numbers
}

// TrialRecords is what was seen in one trial.
type TrialRecords struct {
	Trial
	Calls  []Call  // in the order in which they ended
	Events []Event // in the order of their times
}
