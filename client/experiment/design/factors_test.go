package design

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
	"example.com/crashlab/services/fault"
)

// Every field of Settings is a factor, and JSON preserves it.
func TestFactorsAreTheFieldsOfSettings(t *testing.T) {
	values := map[string]string{
		"replicas": "5", "p_crash": "0.25", "crash_point": "reply", "service_time": "uniform:50ms:1.5s", "capacity": "4",
		"restart_delay": "1m30s", "timeout": "2m", "deadline": "1h", "rounds": "7", "pause": "0s", "order": "least-in-flight",
		"when_down": "wait", "max_in_flight": "adaptive", "budget": "0.1", "budget_per_second": "2.5", "budget_burst": "30", "eject_after": "0", "hedge_after": "1ms",
		"only_unsent": "true", "concurrency": "9", "rate": "0.5", "arrivals": "poisson", "calls": "1000", "duration": "10s",
		"warmup": "1s",
	}
	var s Settings
	for _, f := range Factors() {
		l, err := NewLevel(f.Name, values[f.Name])
		if err != nil {
			t.Error(err)
			continue
		}
		before := s
		s.apply(l)
		if got, ok := s.Value(f.Name); !ok || got != values[f.Name] || f.Doc == "" {
			t.Errorf("%s is %q, %v, want %q", f.Name, got, ok, values[f.Name])
		}
		changed := 0
		for i := range reflect.TypeFor[Settings]().NumField() {
			if reflect.ValueOf(before).Field(i).Interface() != reflect.ValueOf(s).Field(i).Interface() {
				changed++
			}
		}
		if changed > 1 || changed == 0 && f.Name != "pause" && f.Name != "eject_after" {
			t.Errorf("%s changed %d fields", f.Name, changed)
		}
	}
	if fields := reflect.TypeFor[Settings]().NumField(); fields != len(Factors()) || fields != len(values) {
		t.Errorf("%d fields, %d factors", fields, len(Factors()))
	}
	text, _ := json.Marshal(s)
	var got Settings
	if err := json.Unmarshal(text, &got); err != nil || got != s {
		t.Errorf("JSON makes %+v, %v, want %+v", got, err, s)
	}
	if err := json.Unmarshal([]byte(`{"timout":"3s"}`), &got); err == nil || !strings.Contains(err.Error(), `"timout"`) {
		t.Errorf("an unknown factor: %v", err)
	}
	if _, ok := s.Value("x"); ok {
		t.Error("a factor that does not exist has a value")
	}
}

func TestEqualValuesAreSpelledAlike(t *testing.T) {
	for _, tc := range []struct{ factor, value, want string }{
		{"service_time", "0", "0s"}, {"service_time", "uniform:60s:1h", "uniform:1m:1h"}, {"timeout", "3600s", "1h"},
		{"timeout", "90m30s", "1h30m30s"}, {"timeout", "10m0s", "10m"}, {"timeout", "600h", "600h"}, {"p_crash", "-0", "0"},
		{"rate", "1e3", "1000"}, {"rounds", "007", "7"}, {"timeout", "0ms", "0s"},
	} {
		if l, err := NewLevel(tc.factor, tc.value); err != nil || l.Value != tc.want {
			t.Errorf("%s %s is %v, %v; want %s", tc.factor, tc.value, l, err, tc.want)
		}
	}
}

// A level copies the measured service times of a file, so it does not need the file afterwards.
func TestMeasuredServiceTimes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "measured")
	for text, want := range map[string]string{
		"12ms\n  3ms\r\n\n# slow\n60s": "values:3ms:12ms:1m",
		"3ms\n12\n":                    `line 2: "12": want a duration with its unit, such as 500ms or 2s, 0s or more`,
		"-3ms":                         `line 1: "-3ms": want a duration with its unit, such as 500ms or 2s, 0s or more`,
		"# none\n":                     "no duration in it: want one on each line",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := NewLevel("service_time", "file:"+path)
		if err == nil && l.Value != want || err != nil && err.Error() != fmt.Sprintf("service_time %q: %s", "file:"+path, want) {
			t.Errorf("%q is %v, %v; want %s", text, l, err, want)
		}
	}
	for path, want := range map[string]string{
		t.TempDir(): "a directory: want a regular file", path + ".none": "no such file: want one with a duration on each line",
	} {
		if _, err := NewLevel("service_time", "file:"+path); err == nil || err.Error() != fmt.Sprintf("service_time %q: %s", "file:"+path, want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// No duration that a design may have overflows in an engine, and its policy is one of the library.
func TestDurationsAreBounded(t *testing.T) {
	n := 0
	for _, f := range Factors() {
		longest, err := NewLevel(f.Name, "8760h")
		if err != nil {
			continue // not a duration
		}
		n++
		s := Defaults()
		s.apply(longest)
		if _, err := s.Policy().Virtual("/"); err != nil {
			t.Errorf("%s of a year: %v", f.Name, err)
		}
		for _, text := range []string{"8760h1ns", "2562047h47m16s"} {
			if _, err := NewLevel(f.Name, text); err == nil || !strings.HasPrefix(err.Error(), f.Name+` "`+text+`": want `) || !strings.Contains(err.Error(), " from 0s to 8760h") {
				t.Errorf("%s %s: got %v, want an error with the range", f.Name, text, err)
			}
		}
	}
	if n != 8 {
		t.Errorf("%d factors are durations, want 8", n)
	}
	for _, text := range []string{"uniform:1s:8761h", "exp:8761h", "values:0:8761h"} {
		if _, err := NewLevel("service_time", text); err == nil || !strings.Contains(err.Error(), " from 0s to 8760h") {
			t.Errorf("service_time %s: got %v, want an error with the range", text, err)
		}
	}
}

func TestPolicyAndPlan(t *testing.T) {
	s := Defaults()
	want := failover.Policy{
		Timeout: time.Second, Rounds: 3, Pause: 200 * time.Millisecond, Ejection: failover.Ejection{After: 3}, Hedge: failover.Hedge{Share: 1},
	}
	if got := s.Policy(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	s.MaxInFlight, s.EjectAfter, s.OnlyUnsent, s.HedgeAfter = Adaptive, 0, true, time.Second
	s.Budget, s.BudgetPerSecond, s.BudgetBurst = 0.1, 2.5, 30
	want.AdaptiveLimit, want.Ejection, want.Idempotent = true, failover.Ejection{Off: true}, map[string]bool{"/": false}
	want.Budget, want.Hedge.After = failover.Budget{Ratio: 0.1, PerSecond: 2.5, Burst: 30}, time.Second
	if got := s.Policy(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	s = must(t, "factors: {rate: 5, arrivals: poisson, duration: 9s, warmup: 1s, crash_point: reply}", Overrides{}).Cells[0].Settings
	plan := workload.Plan{
		Duration: 9 * time.Second, Workers: 5, Rate: 5, Arrivals: workload.ArrivalsPoisson, Seed: 3, Warmup: time.Second,
	}
	if got := s.Plan(3); got != plan || s.CrashPoint != fault.CrashPointReply {
		t.Errorf("got %+v, want %+v", got, plan)
	}
}
