package live

import (
	"encoding/json"
	"strconv"
	"time"

	"example.com/crashlab/client/failover"
)

// The time spans of a State.
const (
	// Window is how long attempts, bands and crashes are kept.
	Window = time.Minute
	// History is how long points and marks are kept.
	History = 10 * time.Minute
	// Recent is the time span of Load.Recent.
	Recent = 10 * time.Second
	// Frame is the time between two states.
	Frame = time.Second / 10

	maxAttempts = 8192 // in a state
	maxBands    = 2048
	maxCrashes  = 2048
	maxMarks    = 512
	maxRows     = 32 // of a lane
)

// State is what the page shows at a time.
type State struct {
	Session string    `json:"session"` // random; identifies the session
	Began   time.Time `json:"began"`   // the zero of all times
	Frame   uint64    `json:"frame"`   // number of the state in the session
	Now     Micros    `json:"now_us"`

	Cluster   Cluster   `json:"cluster"`
	Replicas  []Replica `json:"replicas"` // in the supervisor's order
	Groups    []Group   `json:"groups"`
	Plans     []Plan    `json:"plans"` // of the loads A and B
	Loads     []Load    `json:"loads"` // A and B
	Scenario  Scenario  `json:"scenario"`
	Recording Recording `json:"recording"`

	// The lists below are in order of time. Their items never change.

	Attempts List[Attempt] `json:"attempts"` // by their ends: at most 8,192, of the last minute
	Bands    List[Band]    `json:"bands"`    // of the last minute; the present state is in Replica
	Crashes  List[Crash]   `json:"crashes"`  // of the last minute
	Marks    List[Mark]    `json:"marks"`    // at most 512, of the last ten minutes
	Points   List[Point]   `json:"points"`   // one a second for each load that is on, of the last ten minutes
}

// Micros is a time since State.Began, or a duration, that is a whole number of microseconds in
// JSON.
type Micros time.Duration

// MarshalJSON returns a whole number.
func (m Micros) MarshalJSON() ([]byte, error) {
	return strconv.AppendInt(nil, time.Duration(m).Microseconds(), 10), nil
}

// UnmarshalJSON parses the form that MarshalJSON returns.
func (m *Micros) UnmarshalJSON(text []byte) error {
	var us int64
	err := json.Unmarshal(text, &us)
	*m = Micros(time.Duration(us) * time.Microsecond)
	return err
}

// List has the latest items of a sequence, which grows at its end and loses items at its front.
type List[T any] struct {
	First uint64 `json:"first"` // number of the first item in the whole sequence, from 0
	Items []T    `json:"items"`
}

// Cluster is the connection to the control service.
type Cluster struct {
	Control string `json:"control,omitempty"` // its address; absent without one
	Target  string `json:"target"`            // gRPC target of the loads
	Own     bool   `json:"own"`               // the session started the cluster and stops it at the end
	// Connected is false until the first connection and while the connection is lost. The states of
	// the replicas may be outdated then. The session reconnects by itself.
	Connected bool   `json:"connected"`
	Error     string `json:"error,omitempty"` // why it is not connected, and what to do
}

// ReplicaState is the state of a replica.
type ReplicaState string

// The states of a replica.
const (
	ReplicaDown     ReplicaState = "down"     // there is no process
	ReplicaStarting ReplicaState = "starting" // the process is not ready yet
	ReplicaReady    ReplicaState = "ready"    // the process serves
	ReplicaUnready  ReplicaState = "unready"  // the process reports that it does not serve
	ReplicaHung     ReplicaState = "hung"     // the process keeps its connections but answers nothing
)

// Replica is a replica, shown as a lane.
type Replica struct {
	Name        string       `json:"name"`
	Group       string       `json:"group,omitempty"`
	Addr        string       `json:"addr"`
	State       ReplicaState `json:"state"`
	Since       Micros       `json:"since_us"` // when the state began; may be negative
	Incarnation int          `json:"incarnation"`
	PID         int          `json:"pid,omitempty"`     // absent if there is no process
	Next        Micros       `json:"next_us,omitempty"` // when it will be launched; absent if unknown or never
	Crashes     int          `json:"crashes"`           // unrequested exits in this session
	Rows        int          `json:"rows"`              // rows of its lane; Attempt.Row is below it
	// Faults are the present faults, by the names of About.Faults; absent if unknown.
	Faults map[string]string `json:"faults,omitempty"`
	// Kept are the faults that the session sets again after a relaunch, since a process starts with
	// those of its command line.
	Kept map[string]string `json:"kept,omitempty"`
	// Note says why the replica stays down or what is wrong with it.
	Note string `json:"note,omitempty"`
}

// Group is a group of replicas with a common restart policy.
type Group struct {
	Name     string            `json:"name"` // may be empty
	Count    int               `json:"count"`
	Relaunch map[string]string `json:"relaunch"` // by the names of About.Relaunch
}

// Plan has the settings of a load.
type Plan struct {
	ID string `json:"id"` // "A" or "B"
	On bool   `json:"on"`
	// Settings has the load and the policy, by the names of About.Settings.
	Settings map[string]string `json:"settings"`
	Preset   string            `json:"preset,omitempty"` // the preset that the policy equals, if one
}

// Load has the progress of a load.
type Load struct {
	ID string `json:"id"` // "A" or "B"

	UnderWay  int      `json:"under_way"`        // calls under way
	Waiting   int      `json:"waiting"`          // calls of these that wait for a replica
	Limit     int      `json:"limit"`            // of attempts in flight at a replica, fixed or learned; 0 means none
	CrashRate float64  `json:"crash_rate"`       // from which the limit is learned
	Budget    *float64 `json:"budget,omitempty"` // retries that the budget allows now; absent without a budget
	Denied    int64    `json:"denied"`           // retries that the budget denied
	Ejections int64    `json:"ejections"`
	Late      bool     `json:"late,omitempty"` // calls start late: too busy a machine, or 10,000 calls under way
	Skipped   int64    `json:"skipped"`        // attempts left out of State.Attempts; Numbers include them
	Links     []Link   `json:"links"`          // to each replica that the client knows

	Total  Numbers `json:"total"`  // since the load was last started
	Recent Numbers `json:"recent"` // of the last ten seconds
}

// Link is a client's connection to a replica.
type Link struct {
	Replica  string `json:"replica"`
	Ready    bool   `json:"ready"`
	Ejected  bool   `json:"ejected"`
	InFlight int    `json:"in_flight"` // attempts that have not ended
	OK       int64  `json:"ok"`        // ok attempts of this client; a new policy has a new client
}

// Numbers summarize the calls that ended in a time span, without interrupted calls.
type Numbers struct {
	OK       int64   `json:"ok"`
	Failed   int64   `json:"failed"`
	Attempts int64   `json:"attempts"`       // of these calls
	Sent     int64   `json:"sent"`           // attempts of these that were sent
	P50      Micros  `json:"p50_us"`         // median latency of ok calls; 0 without any
	P99      Micros  `json:"p99_us"`         // 99th percentile of the same
	Rate     float64 `json:"ended_a_second"` // calls that ended per second
	// Outcomes counts the attempts by outcome. It has a key for every outcome.
	Outcomes map[failover.Outcome]int64 `json:"outcomes"`
}

// Attempt is an attempt that has ended, shown as a bar.
type Attempt struct {
	Load        string           `json:"load"`
	Call        int              `json:"call"`
	Number      int              `json:"attempt"` // within the call, from 1
	Round       int              `json:"round"`
	Replica     string           `json:"replica"`
	Incarnation int              `json:"incarnation,omitempty"` // when the attempt ended; absent if unknown
	Start       Micros           `json:"start_us"`
	Took        Micros           `json:"took_us"`
	Outcome     failover.Outcome `json:"outcome"` // ok, refused, lost, failed, timeout, rejected or canceled
	Sent        bool             `json:"sent,omitempty"`
	Hedge       bool             `json:"hedge,omitempty"`
	Code        string           `json:"code,omitempty"` // gRPC status, such as UNAVAILABLE; absent means OK
	Row         int              `json:"row"`            // row of its lane, such that bars do not overlap
}

// End returns when the attempt ended.
func (a Attempt) End() Micros { return a.Start + a.Took }

// Band is a past time span in which a replica was in one state.
type Band struct {
	Replica string       `json:"replica"`
	State   ReplicaState `json:"state"`
	From    Micros       `json:"from_us"`
	To      Micros       `json:"to_us"`
}

// Crash is an unrequested exit of a process.
type Crash struct {
	Replica     string `json:"replica"`
	Incarnation int    `json:"incarnation"`
	At          Micros `json:"at_us"`
	Exit        string `json:"exit"` // such as "exit code 1" or "SIGKILL"
}

// MarkKind is the kind of a mark.
type MarkKind string

// The kinds of marks.
const (
	MarkCommand  MarkKind = "command"  // a command
	MarkScenario MarkKind = "scenario" // a step of a scenario
	MarkCluster  MarkKind = "cluster"  // the control service was lost or is connected again
	MarkEjection MarkKind = "ejection" // a client ejected a replica or uses it again
	MarkRecord   MarkKind = "record"   // a recording began or ended
)

// Mark is a mark on the time axis.
type Mark struct {
	At       Micros   `json:"at_us"`
	Kind     MarkKind `json:"kind"`
	Text     string   `json:"text"`               // such as "kill b"
	Replicas []string `json:"replicas,omitempty"` // the replicas that it affects; absent means all
	Load     string   `json:"load,omitempty"`
	Error    string   `json:"error,omitempty"` // why the command failed
}

// Point summarizes one second of a load.
type Point struct {
	Load     string `json:"load"`
	At       Micros `json:"at_us"` // the end of the second
	OK       int    `json:"ok"`
	Failed   int    `json:"failed"`
	Attempts int    `json:"attempts"`
	P50      Micros `json:"p50_us"` // median latency of ok calls; 0 without any
	P99      Micros `json:"p99_us"`
	Waiting  int    `json:"waiting"` // calls waiting at the end of the second
	Limit    int    `json:"limit"`   // as Load.Limit
}

// Scenario is the progress of the running scenario.
type Scenario struct {
	Name  string `json:"name,omitempty"` // of one of About.Scenarios; absent if none runs
	Began Micros `json:"began_us,omitempty"`
	Done  int    `json:"done,omitempty"` // number of its steps so far
	Say   string `json:"say,omitempty"`  // of the latest step that has one
}

// Recording describes the present or the last recording.
type Recording struct {
	On    bool   `json:"on"`
	Since Micros `json:"since_us,omitempty"`
	Calls int    `json:"calls,omitempty"`
	Dir   string `json:"dir,omitempty"`   // folder of the last one; "crashlab report DIR" shows it
	Error string `json:"error,omitempty"` // why the last one ended early or could not be written
}

// Result says how a call ended.
type Result string

// The results of a call.
const (
	ResultOK          Result = "ok"
	ResultFailed      Result = "failed"
	ResultInterrupted Result = "interrupted" // by the end of the session
	ResultUnderWay    Result = "under way"   // it has not ended yet
)

// Call is a call with its attempts.
type Call struct {
	Load     string    `json:"load"`
	Number   int       `json:"call"`
	Result   Result    `json:"result"`
	Intended Micros    `json:"intended_us"` // when it was due; equals Start in a closed loop
	Start    Micros    `json:"start_us"`    // if under way, when its first completed attempt started
	Took     Micros    `json:"took_us"`
	Reason   string    `json:"reason,omitempty"` // why it failed, in the words of package failover
	Error    string    `json:"error,omitempty"`  // the whole error
	Replica  string    `json:"replica,omitempty"`
	Value    uint64    `json:"value,omitempty"` // of the counter
	Attempts []Attempt `json:"attempts"`        // by number; Row is 0
}
