package live

import "fmt"

// Action is what a command does.
type Action string

// The actions, and which fields of the command they read.
const (
	// ActionKill sends SIGKILL to Replicas: a crash.
	ActionKill Action = "kill"
	// ActionStop sends SIGSTOP to Replicas: they hang, until ActionContinue or until the
	// supervisor's probes have them killed.
	ActionStop Action = "stop"
	// ActionContinue sends SIGCONT to Replicas.
	ActionContinue Action = "continue"
	// ActionRestart stops Replicas and launches them at once. Those that are down are launched.
	ActionRestart Action = "restart"
	// ActionFaults sets the faults of Replicas that are named in Set, by the names of About.Faults.
	// They are set again when a replica is relaunched. Without Set, nothing more is set at a
	// relaunch.
	ActionFaults Action = "faults"
	// ActionRelaunch changes when the replicas of Group are relaunched: Set, by the names of
	// About.Relaunch.
	ActionRelaunch Action = "relaunch"
	// ActionScale changes the number of replicas of Group to Count.
	ActionScale Action = "scale"
	// ActionLoad changes Load: On, then the policy of Preset, then what Set names, by the names of
	// About.Settings. Any of the three may be absent. Calls under way go on under the settings with
	// which they began.
	ActionLoad Action = "load"
	// ActionRecord begins a recording, or ends it and writes the folder of the run: On.
	ActionRecord Action = "record"
	// ActionScenario begins a scenario, and ends the one that runs: Scenario; empty begins none.
	ActionScenario Action = "scenario"
)

// Command is a request of the page, such as
//
//	{"do":"kill","replicas":["b"]}
//	{"do":"faults","set":{"crash_probability":"0.5","hang":"false"}}
//	{"do":"relaunch","set":{"delay":"2s"}}
//	{"do":"scale","count":5}
//	{"do":"load","load":"B","on":true,"preset":"recommended","set":{"concurrency":"20"}}
//	{"do":"record","on":true}
//	{"do":"scenario","scenario":"retry-storm"}
type Command struct {
	Do       Action            `json:"do"`
	Replicas []string          `json:"replicas,omitempty"` // names; absent: all
	Group    string            `json:"group,omitempty"`    // may be absent where there is only one
	Count    *int              `json:"count,omitempty"`    // from 1
	Load     string            `json:"load,omitempty"`     // "A" or "B"; absent: A
	On       *bool             `json:"on,omitempty"`
	Preset   string            `json:"preset,omitempty"` // name of one of About.Presets
	Set      map[string]string `json:"set,omitempty"`    // values are text, as in files and flags
	Scenario string            `json:"scenario,omitempty"`
}

// Done is the reply to a command that was done.
type Done struct {
	Text string `json:"text"` // what was done: the text of its mark
}

// Refusal is an error with the status of the reply.
type Refusal struct {
	Status int
	Err    error
}

// Refuse returns a refusal.
func Refuse(status int, format string, args ...any) error {
	return &Refusal{status, fmt.Errorf(format, args...)}
}

func (r *Refusal) Error() string { return r.Err.Error() }
func (r *Refusal) Unwrap() error { return r.Err }

// Problem is the reply to a request that failed.
type Problem struct {
	// Error is one line: what is wrong, with the value and what is allowed, and what to do.
	Error string `json:"error"`
	// Field is the key of Command.Set that is at fault; absent: none of them.
	Field string `json:"field,omitempty"`
}

// About is what does not change in a session.
type About struct {
	Version  string  `json:"version"`
	Settings []Field `json:"settings"` // of a load
	Faults   []Field `json:"faults"`
	Relaunch []Field `json:"relaunch"`
	// Presets are named policies. Each has all settings of a load but those of the group "load".
	Presets   []Preset `json:"presets"`
	Scenarios []Guide  `json:"scenarios"`
	// Recordings is the folder of the recordings; absent: recording is off.
	Recordings string `json:"recordings,omitempty"`
}

// Field is something that can be set.
type Field struct {
	Name    string   `json:"name"`
	Group   string   `json:"group"`             // a heading: load, attempts, waiting, protection, hedging, dialing
	Kind    string   `json:"kind"`              // duration ("1.5s"), number, whole, bool ("true"), choice, codes ("UNAVAILABLE,INTERNAL") or text
	Choices []string `json:"choices,omitempty"` // of the kind choice
	Doc     string   `json:"doc"`               // a sentence for a tooltip: what it is, and what zero means
}

// Preset is a named policy.
type Preset struct {
	Name string            `json:"name"` // original or recommended
	Doc  string            `json:"doc"`
	Set  map[string]string `json:"set"`
}

// Guide is a scenario: it sets the stage, says what to look for, and disturbs on cue.
type Guide struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Look  string `json:"look"` // what to look for
	Steps []Step `json:"steps"`
}

// Step is a moment of a scenario.
type Step struct {
	At  Micros    `json:"at_us"`         // after its beginning
	Say string    `json:"say,omitempty"` // what happens now; may be absent
	Do  []Command `json:"do,omitempty"`
}
