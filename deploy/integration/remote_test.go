package integration

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

// An experiment on a running cluster has the same outcomes as on new clusters, and leaves the
// cluster unchanged, also after Ctrl-C.
func TestExperimentOnACluster(t *testing.T) {
	t.Parallel()
	const design = `
seed: 5
repeats: 2
factors: {p_crash: [0.1, 0.2], calls: 30, concurrency: 1, max_in_flight: 1, timeout: 0s, pause: 0s}
`
	c := startControlled(t, write(t, strings.Replace(healthy, "--log-json", "--p-crash=1", 1)+"restart_delay: 5s\n"))
	before := c.policies()
	where := write(t, fmt.Sprintf("control: [%q]\n", c.control))
	local, localRuns := experiment(t, design)
	remote, remoteRuns := experiment(t, design, "--cluster="+where)
	for _, p := range []*process{local, remote} {
		if code := p.exitCode(); code != 0 {
			t.Fatalf("%q: exit code %d", p.cmd.Args, code)
		}
		containsAll(t, p.stdout.String(), "checks: no violation")
	}
	if got, want := outcomes(t, remoteRuns), outcomes(t, localRuns); got != want || !strings.Contains(got, "lost") {
		t.Errorf("on the running cluster\n%s\non new clusters\n%s", got, want)
	}
	if after := c.policies(); !slices.EqualFunc(after, before, func(a, b *supervisorv1.Policy) bool { return proto.Equal(a, b) }) {
		t.Errorf("policies %v after the experiment, %v before", after, before)
	}

	p, _ := experiment(t, "factors: {calls: 0, duration: 1h, restart_delay: none, timeout: 0s}\n", "--cluster="+where, "--json")
	var now struct {
		Running []struct{ Succeeded int }
	}
	p.await(&p.stderr, "calls that succeed", func(line string) bool {
		return json.Unmarshal([]byte(line), &now) == nil && len(now.Running) == 1 && now.Running[0].Succeeded > 0
	})
	p.signal(os.Interrupt)
	if code := p.exitCode(); code != 130 {
		t.Errorf("exit code %d after Ctrl-C, want 130", code)
	}
	if after := c.policies(); !slices.EqualFunc(after, before, func(a, b *supervisorv1.Policy) bool { return proto.Equal(a, b) }) {
		t.Errorf("policies %v after Ctrl-C, %v before", after, before)
	}

	for want, args := range map[string][]string{
		"replica a is both at the supervisor ":                  {"--cluster=" + write(t, fmt.Sprintf("control: [%q, %[1]q]", c.control))},
		`capacity 2: replica a has 0, which nothing can change`: {"--set=capacity=2", "--cluster=" + where},
		`no supervisor answers at 127.0.0.1:1: `:                {"--cluster=" + write(t, "control: ['127.0.0.1:1']")},
		`unknown key "replica"`:                                 {"--cluster=" + write(t, "replica: 3")},
	} {
		code, _, stderr := run(t, "crashlab", append([]string{"experiment", "run", write(t, design), "--runs=" + t.TempDir()}, args...)...)
		if code == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%q: exit code %d, %s; want %q", args, code, stderr, want)
		}
	}
}

// All connections of an experiment use TLS, also those to a Fault service at its own port. Mistakes
// with TLS are reported on one line.
func TestExperimentOnAClusterByTLS(t *testing.T) {
	t.Parallel()
	set, others := newCerts(t), newCerts(t)
	faults := freePorts(t, 1)
	c := launchSecured(t, 1, set.credentials, slices.Concat(
		[]string{"--stop-timeout=1m", "--replicas=1", "--ready=tcp", withControl}, set.server(),
		[]string{"--", "bin/counterd", "--addr={addr}", "--replica={name}", "--p-crash=1", "--fault-listen=" + addr(faults)}, set.server()))
	where := "--cluster=" + write(t, fmt.Sprintf("control: [%q]\nfault_port: %d\n", c.control, faults))
	const design = "repeats: 1\nfactors: {replicas: 1, calls: 10, timeout: 0s}\nclaims: [success >= 0.5]\n"
	p, _ := experiment(t, design, append(set.client(), where)...)
	if code := p.exitCode(); code != 0 && code != 3 { // one trial may not decide the claim
		t.Errorf("exit code %d", code)
	}
	containsAll(t, p.stdout.String(), "checks: no violation", "10         10")
	for want, flags := range map[string][]string{
		"no supervisor answers at " + c.control + ": ": {where},
		"certificate signed by unknown authority":      append(others.client(), where),
		"certificate required":                         append(set.client()[:1], where),
	} {
		p, _ := experiment(t, design, flags...)
		if code := p.exitCode(); code != 1 || !strings.Contains(p.stderr.String(), want) || !strings.Contains(p.stderr.String(), "--tls-") || strings.Count(p.stderr.String(), "\n") != 1 {
			t.Errorf("%q: exit code %d, %s; want a line with %q and advice", flags, code, &p.stderr, want)
		}
	}
}

// policies returns those of the replicas, and checks that all of them run.
func (c *controlled) policies() []*supervisorv1.Policy {
	c.t.Helper()
	reply, err := c.List(patiently(c.t), new(supervisorv1.ListRequest))
	if err != nil {
		c.t.Fatal(err)
	}
	var all []*supervisorv1.Policy
	for _, s := range reply.GetReplicas() {
		if s.GetPid() == 0 {
			c.t.Errorf("replica %s is %v", s.GetReplica(), s.GetState())
		}
		all = append(all, s.GetPolicy())
	}
	return all
}

// savedCall is a call in the files of a run.
type savedCall struct {
	Trial, Call int
	Result      string
	Intended    int64 `json:"intended_us"`
	Start       int64 `json:"start_us"`
	Duration    int64 `json:"duration_us"`
	Attempts    []struct{ Replica, Outcome string }
}

// callsOf reads the calls of a run.
func callsOf(t *testing.T, folder string) []savedCall {
	t.Helper()
	var calls []savedCall
	for _, line := range readLines(t, filepath.Join(folder, "records.jsonl")) {
		var c savedCall
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		calls = append(calls, c)
	}
	return calls
}

func readLines(t *testing.T, path string) []string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(strings.Lines(string(text)))
}

// outcomes returns the results and attempts of all calls of the latest run.
func outcomes(t *testing.T, runs string) string {
	t.Helper()
	var b strings.Builder
	for _, c := range callsOf(t, filepath.Join(runs, "latest")) {
		fmt.Fprintln(&b, c.Trial, c.Call, c.Result, c.Attempts)
	}
	return b.String()
}

// Shards are run separately, each with exit code 0, and judged together.
func TestShardsAreMerged(t *testing.T) {
	t.Parallel()
	runs := filepath.Join(t.TempDir(), "runs")
	file := write(t, certain)
	for i := range 3 {
		args := []string{"experiment", "run", file, "--seed=0", "--parallel=1", "--runs=" + runs, fmt.Sprintf("--shard=%d/3", i)}
		if code, stdout, stderr := run(t, "crashlab", args...); code != 0 {
			t.Fatalf("%q: exit code %d\n%s%s", args, code, stdout, stderr)
		}
	}
	shards, err := filepath.Glob(filepath.Join(runs, "*-shard-*-of-3"))
	if err != nil || len(shards) != 3 {
		t.Fatalf("%q, %v", shards, err)
	}
	merged := filepath.Join(t.TempDir(), "merged")
	if code, stdout, stderr := run(t, "crashlab", slices.Concat([]string{"merge", "-o", merged}, shards)...); code != 3 {
		t.Errorf("exit code %d, want 3, as in TestExperiment\n%s%s", code, stdout, stderr)
	}
	got := tableOf(t, reportOf(t, merged, "--format=json"))
	if len(got.Cells) != 2 || got.Cells[0].Trials != 3 || got.Cells[0].Successes != 60 || got.Cells[1].Successes != 0 || len(got.Violations) != 0 {
		t.Errorf("got %+v", got)
	}
	code, stdout, stderr := run(t, "crashlab", append([]string{"report", "--format=table"}, shards[1:]...)...)
	if code != 0 || !strings.Contains(stderr, "2 of 6 trials are missing: ") {
		t.Errorf("two shards: exit code %d, %s%s", code, stdout, stderr)
	}
	code, _, stderr = run(t, "crashlab", "merge", "-o", merged, shards[0])
	if code != 2 || !strings.Contains(stderr, "want a new folder, or an empty one") {
		t.Errorf("a directory that is not empty: exit code %d, %s", code, stderr)
	}
}

// Loads that several processes have saved are merged into one, with percentiles over all calls.
func TestLoadsAreMerged(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nil, "--service-time=exp:2ms")
	var folders []string
	var loaders []*process
	for i := range 2 {
		folder := filepath.Join(t.TempDir(), fmt.Sprint(i))
		folders = append(folders, folder)
		loaders = append(loaders, start(t, "crashlab", "load", "-q", "--calls=100", "--concurrency=2", "--timeout=0s", "--wait=2m", "--target="+c.target(), "--save="+folder))
	}
	var latencies []float64
	for i, p := range loaders {
		if code := p.exitCode(); code != 0 {
			t.Fatalf("exit code %d", code)
		}
		for _, c := range callsOf(t, folders[i]) {
			latencies = append(latencies, float64(c.Start-c.Intended+c.Duration)/1e6)
		}
	}
	slices.Sort(latencies)
	merged := filepath.Join(t.TempDir(), "merged")
	if code, stdout, stderr := run(t, "crashlab", slices.Concat([]string{"merge", "-o", merged}, folders)...); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	var got struct {
		Cells []struct {
			Calls   int
			Metrics map[string]struct{ Estimate float64 }
		}
	}
	if err := json.Unmarshal([]byte(reportOf(t, merged, "--format=json")), &got); err != nil || len(got.Cells) != 1 || got.Cells[0].Calls != 200 {
		t.Fatalf("%+v, %v", got, err)
	}
	for metric, rank := range map[string]int{"p50": 100, "p90": 180, "p99": 198} {
		for name, m := range got.Cells[0].Metrics {
			if strings.HasPrefix(name, metric) && math.Abs(m.Estimate-latencies[rank-1]) > 1e-9 {
				t.Errorf("%s is %v, want %v", metric, m.Estimate, latencies[rank-1])
			}
		}
	}
}
