package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestGet(t *testing.T) {
	t.Parallel()
	c := startCluster(t, []string{"--restart-delay=" + never}, "--seed=2", "--p-crash=0.3")
	get := []string{"get", "--timeout=1m", "--wait=1m", "--target=" + c.target()}
	code, stdout, stderr := run(t, "crashlab", get...)
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	containsAll(t, stdout, "attempt 1, round 1: "+c.addrs[0]+" ok (sent, ", "\nOK 1 from replica a, incarnation 1, in ")

	c.kill(0, 1, 2)
	code, stdout, stderr = run(t, "crashlab", "get", "--rounds=2", "--pause=0s", "--timeout=1m", "--target="+c.target())
	if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 {
		t.Errorf("with all replicas down: exit code %d, stdout %q, stderr %q; want 1, none, and one line", code, stdout, stderr)
	}
	containsAll(t, stderr, "crashlab: no replica answers at "+strings.Join(c.addrs, ", ")+" (", "connection refused", "make run-cluster")
}

func TestLoad(t *testing.T) {
	t.Parallel()
	// The replicas crash for good, so that some of the 30 calls succeed and some fail.
	c := startCluster(t, []string{"--restart=never"}, "--p-crash=0.3", "--seed=2")
	code, stdout, stderr := run(t, "crashlab", "load", "-n30", "-c3", "--wait=1m", "--timeout=1m", "--pause=1ms", "--target="+c.target())
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	r := parseReport(t, stdout)
	r.check(t, 30, c.addrs)
	if r.succeeded == 0 || r.failed == 0 || r.outcomes["lost"] < 3 || r.outcomes["refused"] == 0 {
		t.Errorf("%d calls succeeded, %d failed, attempts %v: want some of each", r.succeeded, r.failed, r.outcomes)
	}
	containsAll(t, stdout, "\nSuccess rate: ", "\nLatency of successful calls: p50 ", ", p95 ", ", p99 ", "\nAttempts per call: ")
}

func TestLoadQuiet(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nil)
	code, stdout, stderr := run(t, "crashlab", "load", "-n7", "-c1", "--quiet", "--wait=1m", "--timeout=1m", "--target="+c.target())
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	r := parseReport(t, stdout)
	want := map[string]int{c.addrs[0]: 7, c.addrs[1]: 0, c.addrs[2]: 0}
	if len(r.calls) > 0 || r.succeeded != 7 || r.failed != 0 || fmt.Sprint(r.served) != fmt.Sprint(want) {
		t.Errorf("want only the statistics of 7 calls, all served by the first replica; got\n%s", stdout)
	}
}

func TestLoadJSON(t *testing.T) {
	t.Parallel()
	c := startCluster(t, []string{"--restart=never"}, "--p-crash=0.3", "--seed=2")
	code, stdout, stderr := run(t, "crashlab", "load", "-n30", "-c3", "--json", "--wait=1m", "--timeout=1m", "--pause=1ms", "--target="+c.target())
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	var r struct {
		Target                         string
		Concurrency, Rounds            int
		Succeeded, Failed, Interrupted int
		SuccessRate                    float64 `json:"success_rate"`
		Attempts                       int
		Outcomes, Served               map[string]int
	}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	if r.Target != c.target() || r.Concurrency != 3 || r.Rounds != 3 {
		t.Errorf("want -c 3, 3 rounds and target %s; got %+v", c.target(), r)
	}
	if r.Succeeded+r.Failed != 30 || r.Interrupted != 0 || r.Succeeded == 0 || r.Failed == 0 || r.SuccessRate != float64(r.Succeeded)/30 {
		t.Errorf("want 30 calls, some of which fail; got %+v", r)
	}
	if sum(r.Outcomes) != r.Attempts || r.Outcomes["ok"] != r.Succeeded || sum(r.Served) != r.Succeeded {
		t.Errorf("want outcomes that sum to the attempts, and served that sum to succeeded; got %+v", r)
	}
}

func sum(counts map[string]int) (n int) {
	for _, c := range counts {
		n += c
	}
	return n
}

func TestLoadRequireSuccess(t *testing.T) {
	t.Parallel()
	// With this seed, 16 calls succeed and 4 fail.
	c := startCluster(t, []string{"--restart=never"}, "--p-crash=0.3", "--seed=2")
	load := []string{"load", "-n20", "-c1", "--rounds=1", "--wait=1m", "--timeout=1m", "--require-success=0.81", "--target=" + c.target()}
	code, stdout, stderr := run(t, "crashlab", load...)
	if code != 99 || stderr != "crashlab: 0.8 of the calls succeeded; --require-success 0.81\n" {
		t.Errorf("exit code %d, stderr %q; want 99 and one line with the shares", code, stderr)
	}
	parseReport(t, stdout).check(t, 20, c.addrs)

	c = startCluster(t, []string{"--restart=never"}, "--p-crash=0.3", "--seed=2")
	load = []string{"load", "-n20", "-c1", "--rounds=1", "--wait=1m", "--timeout=1m", "--require-success=0.8", "--target=" + c.target()}
	if code, _, stderr := run(t, "crashlab", load...); code != 0 || stderr != "" {
		t.Errorf("exit code %d, stderr %q; want 0", code, stderr)
	}
}

func TestLoadInterrupted(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nil, "--service-time=10ms")
	p := start(t, "crashlab", "load", "-n100000", "-c2", "--timeout=1m", "--target="+c.target())
	p.await(&p.stdout, "a served call", func(line string) bool { return strings.HasPrefix(line, "Request 5 served by") })
	p.signal(os.Interrupt)
	if code := p.exitCode(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	r := parseReport(t, p.stdout.String())
	r.check(t, len(r.calls), c.addrs)
	if r.succeeded < 4 || r.failed != 0 || r.interrupted > 2 {
		t.Errorf("%d succeeded, %d failed, %d interrupted; want 4 or more, none, and 2 or less", r.succeeded, r.failed, r.interrupted)
	}
	want := fmt.Sprintf("crashlab: interrupted after %d of 100000 calls\n", r.succeeded)
	if got := p.stderr.String(); got != want {
		t.Errorf("stderr %q, want %q", got, want)
	}
}

func TestLoadWaits(t *testing.T) {
	t.Parallel()
	c := startCluster(t, []string{"--restart-delay=500ms"})
	c.kill(1)
	code, stdout, stderr := run(t, "crashlab", "load", "-n1", "--wait=1m", "--timeout=1m", "--target="+c.target(1, 0, 2))
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	containsAll(t, stdout, fmt.Sprintf("Request 1 served by %s with reply %q\n", c.addrs[1], "OK 1"))
}

func TestLoadWaitsInVain(t *testing.T) {
	t.Parallel()
	c := startCluster(t, []string{"--restart=never"})
	c.kill(1)
	for wait := 200 * time.Millisecond; ; wait *= 2 {
		flag := fmt.Sprintf("--wait=%v", wait)
		code, stdout, stderr := run(t, "crashlab", "load", flag, "--target="+c.target())
		if strings.Contains(stderr, "no replica found within") {
			continue // on a slow machine, the target was not resolved in time
		}
		if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 {
			t.Errorf("exit code %d, stdout %q, stderr %q; want 1, none, and one line", code, stdout, stderr)
		}
		containsAll(t, stderr, fmt.Sprintf("crashlab: --wait %v: not every replica is ready: ", wait), c.addrs[1])
		return
	}
}

// With equal seeds, the same requests reach the replicas, and end in the same way. How often a
// replica that is down refuses attempts in between depends on time.
func TestSameSeedSameRun(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		replicas   int
		supervisor string
		load       []string
	}{
		"no relaunch":     {3, "--restart=never", []string{"-n30", "--rounds=2", "--pause=0s"}},
		"a replica alone": {1, "--restart-delay=50ms", []string{"-n12", "--rounds=3000", "--pause=20ms"}},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.replicas == 1 {
				long(t, "2 s of waits for one replica's relaunches")
			}
			t.Parallel()
			sequence := func(seed int) []string {
				c := startReplicas(t, tt.replicas, []string{tt.supervisor}, "--p-crash=0.3", fmt.Sprintf("--seed=%d", seed))
				args := []string{"load", "-c1", "--order=first", "--wait=1m", "--timeout=1m", "--target=" + c.target()}
				code, stdout, stderr := run(t, "crashlab", append(args, tt.load...)...)
				if code != 0 || stderr != "" {
					t.Fatalf("exit code %d, stderr %q", code, stderr)
				}
				return c.sentAttempts(parseReport(t, stdout))
			}
			first, second, other := sequence(34), sequence(34), sequence(2)
			if !slices.Equal(first, second) {
				t.Errorf("two runs of one seed differ:\n%q\n%q", first, second)
			}
			if slices.Equal(first, other) {
				t.Errorf("runs of two seeds are equal:\n%q", first)
			}
		})
	}
}

// sentAttempts returns for each call which replicas its request has reached, and how it has ended.
func (c *cluster) sentAttempts(r report) []string {
	var all []string
	for _, call := range r.calls {
		line := fmt.Sprintf("%d:", call.number)
		for _, a := range call.attempts {
			if a.sent == "sent" {
				line += fmt.Sprintf(" %s %s,", letter(slices.Index(c.addrs, a.addr)), a.outcome)
			}
		}
		all = append(all, fmt.Sprintf("%s %s %s", line, call.end, call.reply))
	}
	return all
}

func containsAll(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("no %q in:\n%s", part, text)
		}
	}
}
