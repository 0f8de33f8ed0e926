package integration

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"testing"
)

// cell is a workload: how often replicas crash at arrival, and the number of callers.
type cell struct {
	crashes float64 // share of requests that crash
	callers int
	calls   int
	fixed   []string // limits to compare with; "0": no limit
}

// cells are the workloads for which the learned limit must do as well as the best fixed one. The
// fixed limits are those that are near the best in a simulation of the same workload.
var cells = []cell{
	{0, 10, 2000, []string{"0"}},
	{0, 50, 8000, []string{"0"}},
	{0.01, 10, 3000, []string{"0", "8"}},
	{0.01, 50, 8000, []string{"0", "13"}},
	{0.1, 10, 1500, []string{"2", "3"}},
	{0.1, 50, 2000, []string{"2", "3", "5"}},
	{0.3, 10, 800, []string{"1", "2"}},
	{0.3, 50, 2000, []string{"1", "2"}},
}

// outcome is the result of a cell with a limit.
type outcome struct {
	Succeeded, Failed int
	SuccessRate       float64 `json:"success_rate"`
	Elapsed           float64 `json:"elapsed_ms"`
	AttemptsPerCall   float64 `json:"attempts_per_call"`
}

func (o outcome) throughput() float64 { return float64(o.Succeeded) / o.Elapsed * 1000 }

func (o outcome) String() string {
	return fmt.Sprintf("%.2f%% of %d calls, %.2f a second, %.2f attempts each",
		100*o.SuccessRate, o.Succeeded+o.Failed, o.throughput(), o.AttemptsPerCall)
}

// make runs the cell on a new cluster.
func (c cell) make(t *testing.T, limit string) outcome {
	t.Helper()
	cluster := startCluster(t, []string{"--restart-delay=1s"}, fmt.Sprintf("--p-crash=%v", c.crashes), "--service-time=uniform:50ms:500ms")
	p := start(t, "crashlab", "load", "--json", "--target="+cluster.target(), "--wait=1m", fmt.Sprintf("-n%d", c.calls), fmt.Sprintf("-c%d", c.callers),
		"--timeout=0s", "--deadline=10s", "--pause=0s", "--order=least-in-flight", "--when-down=wait", "--max-in-flight="+limit)
	<-p.ended
	var o outcome
	if err := json.Unmarshal([]byte(p.stdout.String()), &o); err != nil {
		t.Fatalf("%v: %s%s", err, p.stdout.String(), p.stderr.String())
	}
	cluster.stop()
	return o
}

// The learned limit is compared with fixed ones, with a service time of 50 to 500 ms, a restart
// delay of 1 s, and a deadline of 10 s.
func TestSoakLearnedLimitEqualsTheBest(t *testing.T) {
	if !*soak {
		t.Skip("without -soak: takes half an hour; its short forms are the simulation in client/failover/internal/core and TestLimitKeepsCallsAlive")
	}
	for _, c := range cells {
		results := map[string]*outcome{}
		t.Run(fmt.Sprintf("crashes=%v,callers=%d", c.crashes, c.callers), func(t *testing.T) {
			t.Parallel()
			for _, limit := range append(c.fixed, "adaptive") {
				o := new(outcome)
				results[limit] = o
				t.Run("limit="+limit, func(t *testing.T) {
					t.Parallel()
					*o = c.make(t, limit)
					t.Log(*o)
				})
			}
			t.Cleanup(func() { c.compare(t, results) })
		})
	}
}

// compare checks that the success rate with the learned limit is within one percentage point of
// that with the best fixed limit and, if replicas never crash, that the throughput is within 5%.
// Crashes make calls fail together, so the standard error is taken as twice that of independent
// failures.
func (c cell) compare(t *testing.T, results map[string]*outcome) {
	learned, best := results["adaptive"], &outcome{}
	for limit, o := range results {
		if limit != "adaptive" && cmp.Or(cmp.Compare(o.SuccessRate, best.SuccessRate), cmp.Compare(o.throughput(), best.throughput())) > 0 {
			best = o
		}
	}
	if t.Failed() {
		return
	}
	noise := 2 * 2 * math.Sqrt(2*best.SuccessRate*(1-best.SuccessRate)/float64(c.calls))
	t.Logf("learned: %v; best fixed: %v; within %.2f points of noise", *learned, *best, 100*noise)
	if learned.SuccessRate < best.SuccessRate-0.01-noise {
		t.Errorf("%.2f%% of the calls succeeded, with the best fixed limit %.2f%%", 100*learned.SuccessRate, 100*best.SuccessRate)
	}
	if c.crashes == 0 && learned.throughput() < 0.95*best.throughput() {
		t.Errorf("%.2f calls a second, with the best fixed limit %.2f", learned.throughput(), best.throughput())
	}
}

// Without a limit, a crash takes many calls with it; with the learned limit, few. Calls may wait
// for longer than the minute that they have without a deadline, so the deadline is far away. A
// machine that sends few requests within a service time loses fewer without a limit too, so only
// the difference counts.
func TestLimitKeepsCallsAlive(t *testing.T) {
	long(t, "dozens of crashes and relaunches")
	t.Parallel()
	results := map[string]*outcome{"0": {}, "adaptive": {}}
	t.Run("limits", func(t *testing.T) {
		for limit, o := range results {
			t.Run(limit, func(t *testing.T) {
				t.Parallel()
				c := startCluster(t, []string{"--restart-delay=50ms"}, "--p-crash=0.3", "--seed=2", "--service-time=100ms")
				code, stdout, stderr := run(t, "crashlab", "load", "--json", "-n60", "-c30", "--wait=1m", "--target="+c.target(),
					"--timeout=0s", "--deadline=1h", "--pause=0s", "--order=least-in-flight", "--when-down=wait", "--max-in-flight="+limit)
				if err := json.Unmarshal([]byte(stdout), o); err != nil || code != 0 {
					t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
				}
			})
		}
	})
	none, learned := results["0"], results["adaptive"]
	if learned.SuccessRate < 0.9 || none.SuccessRate > learned.SuccessRate-0.2 {
		t.Errorf("with the learned limit %v, want 90%% or more; without a limit %v, want 20 points less", learned, none)
	}
}
