package integration

import (
	"path/filepath"
	"strings"
	"testing"
)

// An experiment on three machines, one of which is far away if the kernel has netem, has the same
// outcomes as on one machine.
func TestExperimentOnMachinesApart(t *testing.T) {
	w := newNetwork(t, 4)
	const design = `
seed: 5
repeats: 2
factors: {p_crash: [0.1, 0.2], calls: 30, concurrency: 1, max_in_flight: 1, timeout: 0s, pause: 0s}
`
	file := write(t, `
base_port: 7101
ready: {kind: grpc, service: counter.v1.Counter}
stop_timeout: 1m
insecure: true
command: [../bin/counterd, "--addr={addr}", "--replica={name}", --p-crash=1, --insecure]
`)
	var controls []string
	for i, h := range w.hosts[:3] {
		s := h.start("supervisor", "--config="+file, "--name=counter-"+letter(i), "--host="+h.ip, "--control="+h.ip+":7100", "--log-json")
		s.await(&s.stderr, "replica that is ready", func(line string) bool { return strings.Contains(line, `"@message":"ready"`) })
		controls = append(controls, h.ip+":7100")
	}
	t.Logf("one is far away: %v", w.hosts[1].delay())
	runs := filepath.Join(t.TempDir(), "runs")
	p := w.hosts[3].start("crashlab", "experiment", "run", write(t, design), "--runs="+runs, "--cluster="+write(t, "control: ["+strings.Join(controls, ", ")+"]\n"))
	if code := p.exitCode(); code != 0 {
		t.Fatalf("exit code %d", code)
	}
	containsAll(t, p.stdout.String(), "checks: no violation")
	local, localRuns := experiment(t, design)
	if code := local.exitCode(); code != 0 {
		t.Fatalf("on one machine: exit code %d", code)
	}
	if got, want := outcomes(t, runs), outcomes(t, localRuns); got != want || !strings.Contains(got, "lost") {
		t.Errorf("on three machines\n%s\non one\n%s", got, want)
	}
	for _, line := range readLines(t, filepath.Join(runs, "latest", "events.jsonl")) {
		if strings.Contains(line, `"ended"`) && !strings.Contains(line, `"b":{"name":"counter-b"`) {
			t.Errorf("no replica counter-b in %s", line)
		}
	}
}
