package integration

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"testing"
)

// cell is a workload on replicas that crash at arrival: how often, and how many callers there are.
type cell struct {
	crashes float64 // share of the requests
	callers int
	calls   int
	fixed   []string // limits to compare with; "0" is none
}

// cells are where a limit must be learned that does as well as the best fixed one. The fixed limits
// are those that a simulation of the same cell shows near the best.
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

// outcome is what came of a cell under a limit.
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

// make runs the cell on a cluster of its own.
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

// The limit that is learned against fixed ones, at full length: service 50 to 500 ms, restart delay
// 1 s, calls of 10 s.
func TestSoakLearnedLimitEqualsTheBest(t *testing.T) {
	if !*soak {
		t.Skip("only with -soak: half an hour. The simulation in client/failover/internal/core is its short form, and TestLimitKeepsCallsAlive.")
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

// compare looks whether the learned limit is within a point of success of the best fixed one, and
// at replicas that never crash within 5% of its throughput. Crashes make calls fail together, so
// the error of a share is twice the one of calls that fail one by one.
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

// Without a limit, a crash takes many calls with it; with the learned limit, hardly any. A deadline
// far away keeps time out of it: calls wait longer than the minute that those without a deadline
// may. A machine that sends few requests within a service time has fewer in flight, and loses fewer
// without a limit: hence only the difference counts.
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
