package live

import (
	"encoding/json"
	"strconv"
	"time"

	"example.com/crashlab/client/failover"
)

// What is kept for the picture.
const (
	// Window is how far back attempts, bands and crashes go.
	Window = time.Minute
	// History is how far back points and marks go.
	History = 10 * time.Minute
	// Recent is the time that Load.Recent is about.
	Recent = 10 * time.Second
	// Frame is the time between two states.
	Frame = time.Second / 10

	maxAttempts = 8192 // in a state
	maxBands    = 2048
	maxCrashes  = 2048
	maxMarks    = 512
	maxRows     = 32 // of a lane
)

// State is what the page shows at one moment.
type State struct {
	Session string    `json:"session"` // of the server; another one is another server
	Began   time.Time `json:"began"`   // the zero of all moments, RFC 3339
	Frame   uint64    `json:"frame"`   // counts the states of a session
	Now     Micros    `json:"now_us"`

	Cluster   Cluster   `json:"cluster"`
	Replicas  []Replica `json:"replicas"` // in the order of the supervisor's set; lanes
	Groups    []Group   `json:"groups"`
	Plans     []Plan    `json:"plans"` // of the loads A and B
	Loads     []Load    `json:"loads"` // how they go on
	Scenario  Scenario  `json:"scenario"`
	Recording Recording `json:"recording"`

	// Lists, oldest first. What is in them never changes.

	Attempts List[Attempt] `json:"attempts"` // in the order of their ends: at most 8,192, of the last minute
	Bands    List[Band]    `json:"bands"`    // of the last minute; the state that lasts is in Replica
	Crashes  List[Crash]   `json:"crashes"`  // of the last minute
	Marks    List[Mark]    `json:"marks"`    // at most 512, of the last ten minutes
	Points   List[Point]   `json:"points"`   // one for each load that is on and second, of the last ten minutes
}

// Micros is a moment since State.Began, or a duration, in whole microseconds.
type Micros time.Duration

// MarshalJSON returns a whole number.
func (m Micros) MarshalJSON() ([]byte, error) {
	return strconv.AppendInt(nil, time.Duration(m).Microseconds(), 10), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (m *Micros) UnmarshalJSON(text []byte) error {
	var us int64
	err := json.Unmarshal(text, &us)
	*m = Micros(time.Duration(us) * time.Microsecond)
	return err
}

// List is the end of a sequence that grows at its end and is cut off at its beginning.
type List[T any] struct {
	First uint64 `json:"first"` // the number of the first item here in the whole sequence, from 0
	Items []T    `json:"items"`
}

// Cluster is the connection to the control service.
type Cluster struct {
	Control string `json:"control,omitempty"` // its address; absent: there is none, and no command to replicas
	Target  string `json:"target"`            // of the loads
	Own     bool   `json:"own"`               // this session started it, and stops it at its end
	// Connected is false before the first connection, and while it is lost: what is known of the
	// replicas' processes may be old. It is tried again by itself.
	Connected bool   `json:"connected"`
	Error     string `json:"error,omitempty"` // why it is not connected, and what to do
}

// ReplicaState is what a replica's process is doing.
type ReplicaState string

// The states.
const (
	ReplicaDown     ReplicaState = "down"     // there is no process
	ReplicaStarting ReplicaState = "starting" // it is not ready yet
	ReplicaReady    ReplicaState = "ready"
	ReplicaUnready  ReplicaState = "unready" // it reports that it does not serve
	ReplicaHung     ReplicaState = "hung"    // stopped by a signal, or its faults have it hang: it holds its connections and answers nothing
)

// Replica is a lane.
type Replica struct {
	Name        string       `json:"name"`
	Group       string       `json:"group,omitempty"`
	Addr        string       `json:"addr"`
	State       ReplicaState `json:"state"`
	Since       Micros       `json:"since_us"` // when the state began; the last band, which lasts. May be below zero
	Incarnation int          `json:"incarnation"`
	PID         int          `json:"pid,omitempty"`     // absent: no process
	Next        Micros       `json:"next_us,omitempty"` // when it will be launched; absent: not known, or not at all
	Crashes     int          `json:"crashes"`           // in this session: ends of processes that were not requested
	Rows        int          `json:"rows"`              // in which its attempts are stacked: Attempt.Row is below it
	// Faults are those in force, by the names of About.Faults; absent: not known.
	Faults map[string]string `json:"faults,omitempty"`
	// Kept are the faults that were set on this page. A relaunched replica is given them again, as
	// it starts with those of its command line.
	Kept map[string]string `json:"kept,omitempty"`
	// Note is why it stays down, or what is wrong with it; absent: nothing.
	Note string `json:"note,omitempty"`
}

// Group is a group of replicas with one policy of relaunching.
type Group struct {
	Name     string            `json:"name"` // may be empty
	Count    int               `json:"count"`
	Relaunch map[string]string `json:"relaunch"` // by the names of About.Relaunch
}

// Plan is what is asked of a load: the calls of one policy.
type Plan struct {
	ID string `json:"id"` // "A" or "B"
	On bool   `json:"on"`
	// Settings are by the names of About.Settings: the load and the policy.
	Settings map[string]string `json:"settings"`
	Preset   string            `json:"preset,omitempty"` // whose settings the policy has; absent: of none
}

// Load is how a load goes on.
type Load struct {
	ID string `json:"id"` // "A" or "B"

	UnderWay  int      `json:"under_way"`        // calls
	Waiting   int      `json:"waiting"`          // of these, those that wait for a replica: the waiting line
	Limit     int      `json:"limit"`            // attempts in flight at a replica, fixed or learned; 0: any number
	CrashRate float64  `json:"crash_rate"`       // from which the limit is learned
	Budget    *float64 `json:"budget,omitempty"` // repetitions that it would grant now; absent: any number
	Denied    int64    `json:"denied"`           // repetitions that it did not grant
	Ejections int64    `json:"ejections"`
	Late      bool     `json:"late,omitempty"` // calls of a rate start late: this machine is too busy, or 10,000 are under way
	Skipped   int64    `json:"skipped"`        // attempts that came too fast to be drawn; they count
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
	OK       int64  `json:"ok"`        // attempts, since the client was made: a new policy has a new one
}

// Numbers are what the calls that have ended in some time say together. Interrupted calls do not
// count.
type Numbers struct {
	OK       int64   `json:"ok"`
	Failed   int64   `json:"failed"`
	Attempts int64   `json:"attempts"`       // of these calls
	Sent     int64   `json:"sent"`           // of these attempts
	P50      Micros  `json:"p50_us"`         // of the latency of those that are ok; 0: none
	P99      Micros  `json:"p99_us"`         //
	Rate     float64 `json:"ended_a_second"` // calls
	// Outcomes counts the attempts by outcome, and has every outcome.
	Outcomes map[failover.Outcome]int64 `json:"outcomes"`
}

// Attempt is one try of a call, after its end. A bar.
type Attempt struct {
	Load        string           `json:"load"`
	Call        int              `json:"call"`
	Number      int              `json:"attempt"` // among the call's, from 1
	Round       int              `json:"round"`
	Replica     string           `json:"replica"`
	Incarnation int              `json:"incarnation,omitempty"` // the replica's latest when the attempt ended; absent: not known
	Start       Micros           `json:"start_us"`
	Took        Micros           `json:"took_us"`
	Outcome     failover.Outcome `json:"outcome"` // ok, refused, lost, failed, timeout, rejected or canceled
	Sent        bool             `json:"sent,omitempty"`
	Hedge       bool             `json:"hedge,omitempty"`
	Code        string           `json:"code,omitempty"` // as gRPC spells it, such as UNAVAILABLE; absent: OK
	Row         int              `json:"row"`            // in its lane, so that no bar covers another
}

// End is when the attempt ended.
func (a Attempt) End() Micros { return a.Start + a.Took }

// Band is a time in which a replica was in one state, over.
type Band struct {
	Replica string       `json:"replica"`
	State   ReplicaState `json:"state"`
	From    Micros       `json:"from_us"`
	To      Micros       `json:"to_us"`
}

// Crash is the end of a process that was not requested.
type Crash struct {
	Replica     string `json:"replica"`
	Incarnation int    `json:"incarnation"`
	At          Micros `json:"at_us"`
	Exit        string `json:"exit"` // such as "exit code 1" or "SIGKILL"
}

// MarkKind is what a mark is about.
type MarkKind string

// The kinds.
const (
	MarkCommand  MarkKind = "command"  // of the page
	MarkScenario MarkKind = "scenario" // a step of a scenario, or what to look at
	MarkCluster  MarkKind = "cluster"  // the control service was lost or is back, replicas were added or removed
	MarkEjection MarkKind = "ejection" // a client takes a replica out of use, or back
	MarkRecord   MarkKind = "record"   // a recording began or ended
)

// Mark is a moment on the time axis.
type Mark struct {
	At       Micros   `json:"at_us"`
	Kind     MarkKind `json:"kind"`
	Text     string   `json:"text"`               // such as "kill b"
	Replicas []string `json:"replicas,omitempty"` // whose lanes it is about; absent: all
	Load     string   `json:"load,omitempty"`
	Error    string   `json:"error,omitempty"` // why a command did not do
}

// Point is what became of a load's calls in one second.
type Point struct {
	Load     string `json:"load"`
	At       Micros `json:"at_us"` // the end of the second
	OK       int    `json:"ok"`
	Failed   int    `json:"failed"`
	Attempts int    `json:"attempts"`
	P50      Micros `json:"p50_us"` // of those that are ok; 0: none
	P99      Micros `json:"p99_us"`
	Waiting  int    `json:"waiting"` // at its end
	Limit    int    `json:"limit"`
}

// Scenario is how the scenario goes on that runs.
type Scenario struct {
	Name  string `json:"name,omitempty"` // of one of About.Scenarios; absent: none runs
	Began Micros `json:"began_us,omitempty"`
	Done  int    `json:"done,omitempty"` // how many of its steps
	Say   string `json:"say,omitempty"`  // of the latest step that says something
}

// Recording is the run that is being recorded, or was last.
type Recording struct {
	On    bool   `json:"on"`
	Since Micros `json:"since_us,omitempty"`
	Calls int    `json:"calls,omitempty"`
	Dir   string `json:"dir,omitempty"`   // of the last one that was written: "crashlab report DIR" shows it
	Error string `json:"error,omitempty"` // why the last one ended early, or could not be written
}

// Result is how a call ended.
type Result string

// The results.
const (
	ResultOK          Result = "ok"
	ResultFailed      Result = "failed"
	ResultInterrupted Result = "interrupted" // by the end of the session
	ResultUnderWay    Result = "under way"   // not at all yet
)

// Call is the way of a call.
type Call struct {
	Load     string    `json:"load"`
	Number   int       `json:"call"`
	Result   Result    `json:"result"`
	Intended Micros    `json:"intended_us"` // when it was due; of a closed loop, when it started
	Start    Micros    `json:"start_us"`    // of one under way, the start of its first attempt that has ended
	Took     Micros    `json:"took_us"`
	Reason   string    `json:"reason,omitempty"` // why it failed, in failover's words
	Error    string    `json:"error,omitempty"`  // all of it
	Replica  string    `json:"replica,omitempty"`
	Value    uint64    `json:"value,omitempty"` // that was answered
	Attempts []Attempt `json:"attempts"`        // in their order; Row is 0
}
