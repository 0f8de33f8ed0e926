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

// Settings are what can be set of a load: how many calls are made, and how each is carried through
// the replicas.
type Settings struct {
	Concurrency int     // calls under way at a time, of a closed loop
	Rate        float64 // calls a second, of an open loop; 0: a closed loop
	Arrivals    workload.Arrivals
	Deadline    time.Duration // of a call; 0: none
	// Policy has its functions, Methods, ReplayLimit, ServiceConfig and texts unset: they mean
	// nothing to the calls of a load.
	Policy failover.Policy
}

// The presets.
const (
	PresetOriginal    = "original"
	PresetRecommended = "recommended"
)

// Presets returns the named policies.
func Presets() []Preset {
	return []Preset{
		{PresetOriginal, "The original lab's client: on to the next replica, three rounds, a pause after each.", presetSettings(PresetOriginal).policyValues()},
		{PresetRecommended, "Waits for a replica, learns how many calls to risk at each, and bounds the repetitions.", presetSettings(PresetRecommended).policyValues()},
	}
}

// presetSettings returns settings with a named policy, and five calls at a time.
func presetSettings(name string) Settings {
	s := Settings{Concurrency: 5, Policy: design.Defaults().Policy()}
	if name == PresetRecommended {
		s.Policy, s.Deadline = failover.Recommended(), 10*time.Second
	}
	return s
}

// DefaultSettings returns those of a load before anything is set: the original policy, with five
// calls at a time.
func DefaultSettings() Settings { return presetSettings(PresetOriginal) }

// With returns the settings after a change: the policy of the preset, unless that is empty, and
// then the values, by the names of [SettingsFields]. An error is a [*FieldError], or names the
// preset.
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
		s.Policy.Ejection.After = 3 // which it means, also when another field of it is set
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.ContainsFunc(settings, func(f setting) bool { return f.Name == name }) {
			return s, &FieldError{name, fmt.Errorf("unknown setting %q: want one of %s", name, names(SettingsFields()))}
		}
	}
	for _, f := range settings { // in their order, so that the same one of two mistakes is reported each time
		if text, ok := values[f.Name]; ok {
			if err := f.set(&s, text); err != nil {
				return s, &FieldError{f.Name, fmt.Errorf("%s %w", f.Name, err)}
			}
		}
	}
	return s, nil
}

// FieldError is a mistake in the value of a field.
type FieldError struct {
	Field string
	Err   error
}

func (e *FieldError) Error() string { return e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// Values returns the settings by their names.
func (s Settings) Values() map[string]string {
	all := make(map[string]string, len(settings))
	for _, f := range settings {
		all[f.Name] = f.get(&s)
	}
	return all
}

// Preset returns the name of the preset whose policy the settings have; empty for none.
func (s Settings) Preset() string {
	mine := s.policyValues()
	for _, p := range Presets() {
		if maps.Equal(mine, p.Set) {
			return p.Name
		}
	}
	return ""
}

// policyValues returns the settings but those of the load.
func (s Settings) policyValues() map[string]string {
	all := s.Values()
	for _, f := range settings {
		if f.Group == groupLoad {
			delete(all, f.Name)
		}
	}
	return all
}

// SettingsFields returns what can be set of a load.
func SettingsFields() []Field {
	all := make([]Field, len(settings))
	for i, f := range settings {
		all[i] = f.Field
	}
	return all
}
