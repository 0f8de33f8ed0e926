package simulate

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/labtest"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
)

// recordOf simulates a design and returns its records as if they came from real processes.
func recordOf(t *testing.T, d *design.Design, m Model) *record.Run {
	t.Helper()
	run := &record.Run{Dir: "runs/made-up", Manifest: record.Manifest{Engine: "processes", Design: d}}
	for _, trial := range d.Trials() {
		seen, err := (&Engine{Model: m}).Trial(t.Context(), d, trial, trials.Watch{})
		if err != nil {
			t.Fatal(err)
		}
		run.Trials = append(run.Trials, seen)
	}
	return run
}

// Calibrate finds the model that made the records, whatever the load and the crash point.
func TestCalibrate(t *testing.T) {
	constant := func(ms int) Measurement { return Measurement{Median: Span(ms) * Span(time.Millisecond)} }
	want := Model{RoundTrip: constant(4), Connect: constant(3), Refuse: constant(2), Notice: constant(7), Relaunch: constant(11), Boot: constant(13)}
	for _, factors := range []string{
		"{calls: 150, replicas: 1, concurrency: 1, p_crash: 0.3, restart_delay: 0s, service_time: 'uniform:2ms:6ms', when_down: wait, rounds: 999, timeout: 0s, pause: 0s}",
		"{calls: 300, concurrency: 5, p_crash: 0.2, restart_delay: 200ms, service_time: 'exp:20ms', crash_point: reply, rounds: 5}",
		"{calls: 300, concurrency: 10, p_crash: 0.1, restart_delay: 100ms, service_time: 'uniform:5ms:50ms', when_down: wait, max_in_flight: 1}",
	} {
		got, err := Calibrate(recordOf(t, labtest.Design(t, "repeats: 3\nfactors: "+factors), want))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []struct {
			name      string
			got, want Measurement
		}{{"round trip", got.RoundTrip, want.RoundTrip}, {"notice", got.Notice, want.Notice}, {"relaunch", got.Relaunch, want.Relaunch}, {"boot", got.Boot, want.Boot}} {
			if time.Duration(p.got.Median-p.want.Median).Abs() > 10*time.Microsecond {
				t.Errorf("%s: %s %v, want %v", factors, p.name, p.got.Median, p.want.Median)
			}
		}
		if got.Connect.Median != DefaultModel().Connect.Median || got.Connect.N != 0 {
			t.Errorf("connect %v of %d measurements, want the default: records have no dials", got.Connect.Median, got.Connect.N)
		}
	}
}

// RoundTrip measures calls that are never alone too, as long as their order of arrival is known.
func TestRoundTrip(t *testing.T) {
	m := DefaultModel()
	m.RoundTrip = Measurement{Median: Span(700 * time.Microsecond)}
	for factors, known := range map[string]bool{
		"{calls: 200, concurrency: 1, service_time: 'exp:1ms', p_crash: 0.1, restart_delay: 1ms}":            true,
		"{calls: 200, concurrency: 6, service_time: 'uniform:30ms:300ms', p_crash: 0.05, restart_delay: 1s}": true,
		"{calls: 200, concurrency: 50, service_time: 30ms}":                                                  true,
		"{calls: 200, concurrency: 50, service_time: 30ms, capacity: 2}":                                     false,
		"{calls: 2000, concurrency: 50, service_time: 'uniform:1ms:2ms', duration: 0s}":                      false,
		"{calls: 50, p_crash: 1}": false,
	} {
		trip, err := RoundTrip(recordOf(t, labtest.Design(t, "factors: "+factors), m))
		if (err == nil) != known || known && trip.Median != m.RoundTrip.Median {
			t.Errorf("%s: got %v, %v; want known %v", factors, trip.Median, err, known)
		}
	}
}

func TestCalibrateRefuses(t *testing.T) {
	crashing := "factors: {calls: 20, concurrency: 1, p_crash: 0.5, restart_delay: 10ms, when_down: wait}"
	for text, want := range map[string]string{
		"factors: {calls: 10, concurrency: 1}":                           "no crash with one request in flight",
		"factors: {calls: 10, p_crash: 1, concurrency: 1}":               "no call that was alone",
		"factors: {calls: 60, p_crash: 0.2, concurrency: 1}":             "no relaunch",
		crashing + "\nschedule: [{at: 1s, signal: stop, replicas: [a]}]": "schedule of signals",
	} {
		d := labtest.Design(t, text)
		schedule := d.Schedule
		d.Schedule = nil
		run := recordOf(t, d, DefaultModel())
		d.Schedule = schedule
		if _, err := Calibrate(run); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	run := recordOf(t, labtest.Design(t, crashing), DefaultModel())
	run.Manifest.Engine = "simulation"
	if _, err := Calibrate(run); err == nil || !strings.Contains(err.Error(), "want a run on processes") {
		t.Errorf("a simulated run: got %v", err)
	}
}

// LoadModel returns what Save has written, including spreads.
func TestSaveAndLoad(t *testing.T) {
	c := DefaultModel()
	c.Boot = measured([]time.Duration{8 * time.Millisecond, 4 * time.Millisecond, 5 * time.Millisecond})
	path := filepath.Join(t.TempDir(), "new", "model.json")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	m, err := LoadModel(path)
	if err != nil || m.Boot.Median != Span(5*time.Millisecond) || m.RoundTrip.Median != DefaultModel().RoundTrip.Median {
		t.Errorf("%+v, %v", m, err)
	}
	if s := m.Boot.Spread; len(s) != 3 || s[0] != 0.8 || s[1] != 1 || s[2] != 1.6 {
		t.Errorf("a spread of %v, want 0.8, 1 and 1.6", s)
	}
}

func TestModelFile(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	if m, err := LoadModel(""); err != nil || m.Boot.Median != DefaultModel().Boot.Median {
		t.Errorf("without a file: %+v, %v", m, err)
	}
	path, err := ModelFile()
	if err != nil {
		t.Fatal(err)
	}
	c := DefaultModel()
	c.Boot.Median = Span(time.Second)
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	if m, err := LoadModel(""); err != nil || m.Boot.Median != Span(time.Second) {
		t.Errorf("with a file: %+v, %v", m, err)
	}
	if _, err := LoadModel(filepath.Join(home, "none.json")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is missing: %v", err)
	}
}

func TestLoadModelRefuses(t *testing.T) {
	c := DefaultModel()
	path := filepath.Join(t.TempDir(), "model.json")
	if err := c.Save(path); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ from, to, want string }{
		{`"median": "6ms"`, `"median": "-6ms"`, `boot.median: "-6ms": want a duration with its unit, from 0s to 1m0s`},
		{`"median": "6ms"`, `"median": "2m"`, `"2m": want a duration with its unit, from 0s to 1m0s`},
		{`"median": "6ms"`, `"median": 6`, `"6": want a duration`},
		{`"median": "6ms"`, `"spread": "1"`, `spread`},
		{`"boot"`, `"boots"`, `unknown key "boots": want one of round_trip, connect`},
		{`"measurements": 0`, `"measurements": -1`, `"-1": want a whole number from 0`},
		{`"spread": ""`, `"spread": "2 1"`, `"2 1": want at most 100 numbers from 0 to 1000000 in ascending order`},
		{`"spread": ""`, `"spread": "NaN"`, `"NaN": want`},
		{string(good), `{}`, "no round_trip.median: want that of each of round_trip, connect"},
		{string(good), `[]`, "want"},
		{string(good), `{`, ":1:"},
		{string(good), ``, "no round_trip.median"},
	} {
		if !strings.Contains(string(good), tt.from) {
			t.Fatalf("no %s in %s", tt.from, good)
		}
		if err := os.WriteFile(path, []byte(strings.Replace(string(good), tt.from, tt.to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadModel(path)
		if err == nil || !strings.HasPrefix(err.Error(), path) || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want %s", tt.to, err, tt.want)
		}
	}
}
