package check_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"example.com/crashlab/client/experiment/labtest"

	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/lab"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
)

// seen runs a design on real processes of the program and returns the records.
func seen(t *testing.T, counterd, text string) []record.TrialRecords {
	t.Helper()
	dir, err := (&trials.Run{Engine: &lab.Lab{Counterd: counterd}, Runs: t.TempDir()}).Do(t.Context(), labtest.Design(t, text))
	if err != nil {
		t.Fatal(err)
	}
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return run.Trials
}

// Each bug is detected in every trial, whether replicas crash or not. The same Counter without a
// bug has no violation.
func TestBrokenServiceIsDetected(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: seconds of real clusters")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for bug := range bugs {
		t.Run(bug, func(t *testing.T) {
			t.Parallel()
			counterd := filepath.Join(t.TempDir(), bug)
			if err := os.Symlink(self, counterd); err != nil {
				t.Fatal(err)
			}
			// Calls wait until a replica is up, so that enough of them are answered to show the
			// bug.
			for _, seen := range seen(t, counterd, `
repeats: 1
factors:
  restart_delay: 5ms
  service_time: 2ms
  timeout: 0s
  when_down: wait
  rounds: 99
  concurrency: 6
  calls: 300
rows:
  - {name: no crash, p_crash: 0}
  - {name: arrival, p_crash: 0.02, crash_point: arrival}
  - {name: reply, p_crash: 0.02, crash_point: reply}
`) {
				found := check.Trial(seen)
				if len(found) > 0 {
					t.Logf("trial %d: %d violations, such as %v", seen.Number, len(found), found[0])
				}
				if (len(found) > 0) != (bug != "none") {
					t.Errorf("trial %d, %d calls: %d violations: %v", seen.Number, len(seen.Calls), len(found), found)
				}
			}
		})
	}
}

// clean is a design with trials of all sorts, whose only faults are those of the design.
const clean = `
repeats: %d
parallel: 4
factors:
  restart_delay: 20ms
  pause: 20ms
  calls: 200
rows:
  - {name: no crash, p_crash: 0, concurrency: 6}
  - {name: arrival, p_crash: 0.05, crash_point: arrival, service_time: 0s, rounds: 9, concurrency: 10}
  - {name: reply, p_crash: 0.05, crash_point: reply, service_time: 0s, rounds: 9, concurrency: 10}
  - {name: at once, p_crash: 0.05, restart_delay: 0s, service_time: 1ms, concurrency: 6}
  - {name: no restart, p_crash: 0.02, restart_delay: none, service_time: 1ms, concurrency: 6}
  - {name: timeouts, p_crash: 0.02, service_time: 'exp:5ms', timeout: 5ms, order: round-robin, concurrency: 6}
  - {name: deadlines, p_crash: 0.02, service_time: 'exp:5ms', deadline: 10ms, timeout: 0s, order: random, concurrency: 6}
  - {name: hedges, p_crash: 0.02, service_time: 'exp:5ms', hedge_after: 5ms, concurrency: 6}
  - {name: waiting, p_crash: 0.1, crash_point: reply, service_time: 2ms, when_down: wait, max_in_flight: 1, rounds: 9, concurrency: 6}
  - {name: open, p_crash: 0.02, service_time: 2ms, rate: 400, arrivals: poisson, hedge_after: 5ms, order: least-in-flight}
`

func TestCleanRunsHaveNoViolation(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: seconds of real clusters")
	}
	t.Parallel()
	counterd := filepath.Join(t.TempDir(), "counterd")
	if err := labtest.Build(counterd); err != nil {
		t.Fatal(err)
	}
	repeats := 1
	if *check.Soak {
		repeats = 20
	}
	counts := 0
	for _, seen := range seen(t, counterd, fmt.Sprintf(clean, repeats)) {
		for _, v := range check.Trial(seen) {
			t.Errorf("trial %d: %s: %s", seen.Number, v.Check, v.Detail)
		}
		for _, e := range seen.Events {
			if e.Count != nil {
				counts++
			}
		}
	}
	if counts < 10*repeats {
		t.Errorf("the replicas reported %d counts, want at least %d", counts, 10*repeats)
	}
}
