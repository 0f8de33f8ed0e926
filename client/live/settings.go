package live

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
)

// Settings are the settings of a load: its calls and their policy.
type Settings struct {
	Concurrency int               // concurrent calls of a closed loop
	Rate        float64           // calls a second of an open loop; 0 means a closed loop
	Arrivals    workload.Arrivals // of an open loop
	Deadline    time.Duration     // of a call; 0 means none
	// Policy leaves hooks, Methods, ReplayLimit, ServiceConfig and texts unset, which have no
	// meaning for the calls of a load.
	Policy failover.Policy
}

// The names of the presets.
const (
	PresetOriginal    = "original"
	PresetRecommended = "recommended"
)

// Presets returns the named policies.
func Presets() []Preset {
	return []Preset{
		{PresetOriginal, "The client of the original course: tries one replica after the other, in three rounds with a pause between.", presetSettings(PresetOriginal).policyValues()},
		{PresetRecommended, "Waits for a replica, learns how many calls to risk at each, and limits retries.", presetSettings(PresetRecommended).policyValues()},
	}
}

// presetSettings returns settings with a named policy and five concurrent calls.
func presetSettings(name string) Settings {
	s := Settings{Concurrency: 5, Policy: design.Defaults().Policy()}
	if name == PresetRecommended {
		s.Policy, s.Deadline = failover.Recommended(), 10*time.Second
	}
	return s
}

// DefaultSettings returns the initial settings of a load: the original policy and five concurrent
// calls.
func DefaultSettings() Settings { return presetSettings(PresetOriginal) }

// With returns the settings after a change: first the policy of the preset, unless that is empty,
// then the values, by the names of [SettingsFields]. An error is a [*FieldError] unless it is about
// the preset.
func (s Settings) With(preset string, values map[string]string) (Settings, error) {
	switch preset {
	case "":
	case PresetOriginal, PresetRecommended:
		p := presetSettings(preset)
		s.Policy, s.Deadline = p.Policy, p.Deadline
	default:
		return s, fmt.Errorf("preset %q: want %s or %s", preset, PresetOriginal, PresetRecommended)
	}
	if s.Policy.Ejection == (failover.Ejection{}) {
		s.Policy.Ejection.After = 3 // the zero Ejection means 3; keep that when another field is set
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.ContainsFunc(settings, func(f setting) bool { return f.Name == name }) {
			return s, &FieldError{name, fmt.Errorf("unknown setting %q: want one of %s", name, names(SettingsFields()))}
		}
	}
	for _, f := range settings { // in a fixed order, so that of two mistakes always the same is reported
		if text, ok := values[f.Name]; ok {
			if err := f.set(&s, text); err != nil {
				return s, &FieldError{f.Name, fmt.Errorf("%s %w", f.Name, err)}
			}
		}
	}
	return s, nil
}

// FieldError is an error in the value of a field.
type FieldError struct {
	Field string
	Err   error
}

// Error returns the text of Err.
func (e *FieldError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *FieldError) Unwrap() error { return e.Err }

// Values returns the values of all settings by name.
func (s Settings) Values() map[string]string {
	all := make(map[string]string, len(settings))
	for _, f := range settings {
		all[f.Name] = f.get(&s)
	}
	return all
}

// Preset returns the name of the preset whose policy the settings have, or an empty string.
func (s Settings) Preset() string {
	values := s.policyValues()
	for _, p := range Presets() {
		if maps.Equal(values, p.Set) {
			return p.Name
		}
	}
	return ""
}

// policyValues returns the values of all settings except those of the group "load".
func (s Settings) policyValues() map[string]string {
	all := s.Values()
	for _, f := range settings {
		if f.Group == groupLoad {
			delete(all, f.Name)
		}
	}
	return all
}

// SettingsFields returns the fields of a load's settings.
func SettingsFields() []Field {
	all := make([]Field, len(settings))
	for i, f := range settings {
		all[i] = f.Field
	}
	return all
}
