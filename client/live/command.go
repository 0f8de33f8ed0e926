package live

import "fmt"

// Action is the kind of a command.
type Action string

// The actions. Each names the fields of the command that it uses.
const (
	// ActionKill sends SIGKILL to Replicas, as a crash.
	ActionKill Action = "kill"
	// ActionStop sends SIGSTOP to Replicas. They hang until ActionContinue, or until the supervisor
	// kills them because its probes fail.
	ActionStop Action = "stop"
	// ActionContinue sends SIGCONT to Replicas.
	ActionContinue Action = "continue"
	// ActionRestart stops Replicas and launches them again at once. It launches those that are
	// down.
	ActionRestart Action = "restart"
	// ActionFaults sets the faults in Set of Replicas, by the names of About.Faults, now and after
	// each relaunch. Without Set, the session stops doing so: the next process has only the faults
	// of its command line.
	ActionFaults Action = "faults"
	// ActionRelaunch changes the restart policy of Group to Set, by the names of About.Relaunch.
	ActionRelaunch Action = "relaunch"
	// ActionScale changes the number of replicas of Group to Count.
	ActionScale Action = "scale"
	// ActionLoad changes Load: it applies On, then the policy of Preset, then Set, by the names of
	// About.Settings. Any of the three may be absent. Calls under way keep the settings with which
	// they began.
	ActionLoad Action = "load"
	// ActionRecord starts a recording if On is true; otherwise it ends the recording and writes the
	// folder of the run.
	ActionRecord Action = "record"
	// ActionScenario ends the running scenario and begins Scenario, or none if that is empty.
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
	Replicas []string          `json:"replicas,omitempty"` // names; absent means all
	Group    string            `json:"group,omitempty"`    // may be absent if there is only one
	Count    *int              `json:"count,omitempty"`    // from 1
	Load     string            `json:"load,omitempty"`     // "A" or "B"; absent means "A"
	On       *bool             `json:"on,omitempty"`
	Preset   string            `json:"preset,omitempty"`   // name of one of About.Presets
	Set      map[string]string `json:"set,omitempty"`      // values are text, as in files and flags
	Scenario string            `json:"scenario,omitempty"` // name of one of About.Scenarios
}

// Done is the reply to a command that has taken effect.
type Done struct {
	Text string `json:"text"` // what was done, as in its mark
}

// Refusal is an error with the HTTP status of the reply.
type Refusal struct {
	Status int
	Err    error
}

// Refuse returns a [*Refusal] with a formatted error.
func Refuse(status int, format string, args ...any) error {
	return &Refusal{status, fmt.Errorf(format, args...)}
}

// Error returns the text of Err.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap returns Err.
func (r *Refusal) Unwrap() error { return r.Err }

// Problem is the reply to a request that failed.
type Problem struct {
	// Error is one line that names the wrong value, what is allowed, and what to do.
	Error string `json:"error"`
	// Field is the key of Command.Set that is at fault, if one is.
	Field string `json:"field,omitempty"`
}

// About has what does not change in a session.
type About struct {
	Version  string  `json:"version"`
	Settings []Field `json:"settings"` // of a load
	Faults   []Field `json:"faults"`
	Relaunch []Field `json:"relaunch"`
	// Presets are named policies. Each has all settings except those of the group "load".
	Presets   []Preset `json:"presets"`
	Scenarios []Guide  `json:"scenarios"`
	// Recordings is the folder of the recordings; absent if recording is off.
	Recordings string `json:"recordings,omitempty"`
}

// Field describes a value that can be set. Its kind is duration (such as "1.5s"), number, whole,
// bool ("true"), choice, codes ("UNAVAILABLE,INTERNAL") or text.
type Field struct {
	Name    string   `json:"name"`
	Group   string   `json:"group"` // a heading, such as load, attempts, waiting or protection
	Kind    string   `json:"kind"`
	Choices []string `json:"choices,omitempty"` // of the kind choice
	Doc     string   `json:"doc"`               // a sentence for a tooltip: what it is and what zero means
}

// Preset is a named policy.
type Preset struct {
	Name string            `json:"name"` // PresetOriginal or PresetRecommended
	Doc  string            `json:"doc"`
	Set  map[string]string `json:"set"` // settings by name
}

// Guide is a guided scenario: it prepares the cluster and the loads, says what to look for, and
// disturbs the replicas at given times.
type Guide struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	Look  string `json:"look"` // what to look for
	Steps []Step `json:"steps"`
}

// Step is a step of a scenario.
type Step struct {
	At  Micros    `json:"at_us"`         // since the beginning of the scenario
	Say string    `json:"say,omitempty"` // what happens now
	Do  []Command `json:"do,omitempty"`
}
