package live_test

import (
	"maps"
	"reflect"
	"strings"
	"testing"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/live"
)

// Values returns what With has set, for every field and preset.
func TestSettingsRoundTrip(t *testing.T) {
	for _, preset := range []string{live.PresetOriginal, live.PresetRecommended} {
		s, err := live.DefaultSettings().With(preset, nil)
		if err != nil || s.Preset() != preset {
			t.Fatalf("%s: %v, it is %q", preset, err, s.Preset())
		}
		again, err := live.Settings{}.With("", s.Values())
		if err != nil || !maps.Equal(again.Values(), s.Values()) || again.Preset() != preset {
			t.Errorf("%s: %v: %v became %v", preset, err, s.Values(), again.Values())
		}
	}
	for name, value := range map[string]string{
		"concurrency": "7", "rate": "12.5", "arrivals": "poisson", "deadline": "3s", "timeout": "1.5s", "min_timeout": "20ms", "rounds": "9",
		"pause": "10ms", "pause_factor": "2", "pause_max": "5s", "pause_jitter": "0.2", "order": "sticky", "retryable": "UNAVAILABLE,INTERNAL",
		"not_executed": "RESOURCE_EXHAUSTED", "only_unsent": "true", "when_down": "wait", "max_wait": "4s", "max_waiting": "77",
		"max_in_flight": "3", "adaptive_limit": "true", "budget": "0.1", "budget_per_second": "2.5", "budget_burst": "11", "eject_after": "0",
		"eject_probe": "100ms", "eject_share": "0.5", "hedge_after": "50ms", "hedge_quantile": "0.95", "hedge_share": "0.02",
		"redial_every": "10ms", "redial_linger": "2s", "redial_per_second": "50", "redial_timeout": "1s", "resolve_every": "10s",
	} {
		s, err := live.DefaultSettings().With("", map[string]string{name: value})
		if err != nil || s.Values()[name] != value {
			t.Errorf("%s %s: %v, it is %q", name, value, err, s.Values()[name])
		}
		if _, err := failover.DialOptions(s.Policy); err != nil {
			t.Errorf("%s %s: %v", name, value, err)
		}
	}
}

// Every field of the policy can be set, except those that have no meaning for the calls of a load.
func TestEveryPolicyFieldHasASetting(t *testing.T) {
	set := map[string]string{}
	for _, f := range live.SettingsFields() {
		switch f.Kind {
		case "duration":
			set[f.Name] = "7s"
		case "whole":
			set[f.Name] = "7"
		case "number":
			set[f.Name] = "0.5"
		case "bool":
			set[f.Name] = "true"
		case "choice":
			set[f.Name] = f.Choices[1]
		case "codes":
			set[f.Name] = "INTERNAL"
		}
		if f.Doc == "" || f.Group == "" {
			t.Errorf("%s: no doc or group", f.Name)
		}
	}
	s, err := live.DefaultSettings().With("", set)
	if err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{"NotExecuted.Trailer": true, "Ejection.Off": true, "Ejection.Service": true, "ReplayLimit": true, "Methods": true, "SameHost": true, "ServiceConfig": true, "OnReplica": true, "OnAttempt": true, "OnCall": true}
	var check func(prefix string, v reflect.Value)
	check = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			name := prefix + v.Type().Field(i).Name
			switch f := v.Field(i); {
			case f.Kind() == reflect.Struct:
				check(name+".", f)
			case f.IsZero() != left[name]:
				t.Errorf("Policy.%s is %v: want it set %v", name, f, !left[name])
			}
		}
	}
	check("", reflect.ValueOf(s.Policy))
}

func TestBadSettings(t *testing.T) {
	for _, c := range []struct{ preset, field, value, want string }{
		{"", "rounds", "0", `rounds "0": want `},
		{"", "order", "last", `order "last": want first, round-robin, random, least-in-flight or sticky`},
		{"", "timeout", "1", `timeout "1": want `},
		{"", "timeout", "9000h", `timeout "9000h": want a duration with its unit, from 0s to 8760h`},
		{"", "retryable", "OK", `retryable "OK": want `},
		{"", "retryable", "NOPE", `retryable "NOPE": want `},
		{"", "adaptive_limit", "yes", `adaptive_limit "yes": want `},
		{"", "round", "3", `unknown setting "round": want one of concurrency, `},
		{"best", "rounds", "3", `preset "best": want original or recommended`},
	} {
		s, err := live.DefaultSettings().With(c.preset, map[string]string{c.field: c.value})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%v: got %v (%v), want %s", c, err, s.Values()[c.field], c.want)
		}
	}
}

func TestBadFaultsAndRelaunches(t *testing.T) {
	for field, value := range map[string]string{
		"crash_probability": "2", "crash_point": "never", "service_time": "slow", "hang": "1", "error_probability": "-1", "error_code": "OK", "crash": "1",
	} {
		if _, err := live.FaultRequest(map[string]string{field: value}); err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("fault %s %s: %v", field, value, err)
		}
	}
	for field, value := range map[string]string{
		"restart": "sometimes", "delay": "soon", "backoff_factor": "1e9", "backoff_max": "-1s", "backoff_jitter": "2", "backoff_reset": "x", "limit": "1",
	} {
		if _, err := live.RelaunchPolicy(map[string]string{field: value}); err == nil || !strings.Contains(err.Error(), "want") {
			t.Errorf("relaunch %s %s: %v", field, value, err)
		}
	}
}

// The commands of all scenarios are valid, and their steps are in order.
func TestScenarios(t *testing.T) {
	names := map[string]bool{}
	for _, g := range live.Scenarios() {
		if names[g.Name] || g.Title == "" || g.Look == "" || len(g.Steps) == 0 || g.Steps[0].At != 0 {
			t.Errorf("%s: %+v", g.Name, g)
		}
		names[g.Name] = true
		last := live.Micros(0)
		for _, step := range g.Steps {
			if step.At < last {
				t.Errorf("%s: a step at %v after one at %v", g.Name, step.At, last)
			}
			last = step.At
			for _, c := range step.Do {
				var err error
				switch c.Do {
				case live.ActionLoad:
					_, err = live.DefaultSettings().With(c.Preset, c.Set)
				case live.ActionFaults:
					_, err = live.FaultRequest(c.Set)
				case live.ActionRelaunch:
					_, err = live.RelaunchPolicy(c.Set)
				}
				if err != nil {
					t.Errorf("%s: %+v: %v", g.Name, c, err)
				}
			}
		}
	}
}
