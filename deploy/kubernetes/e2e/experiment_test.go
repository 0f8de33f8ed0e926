package e2e

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// design is small: what is tested is where its trials run.
const design = `question: Is it enough to wait for a replica that is down?
seed: 1
repeats: 4
parallel: 2
factors: {p_crash: 0.3, restart_delay: 200ms, service_time: 5ms, calls: 20, when_down: wait, timeout: 0s, deadline: 30s}
rows:
  - {name: waiting}
  - {name: one in flight, max_in_flight: 1}
claims:
  - {claim: success >= 0.9, where: {row: one in flight}}
`

// job runs an experiment as an Indexed Job, and merges what its pods have written.
func (c *cluster) job(t *testing.T) {
	runs := filepath.Join(c.dir, "runs")
	if err := errors.Join(os.MkdirAll(runs, 0o777), os.Chmod(runs, 0o777)); err != nil {
		t.Fatal(err)
	}
	c.kubectl("apply", "--server-side", "-f", c.master.write("volume.yaml", `apiVersion: v1
kind: PersistentVolume
metadata: {name: runs}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteMany]
  hostPath: {path: `+runs+`}
`))
	c.applyOverlay("experiment", "configMapGenerator:\n  - {name: design, namespace: crashlab, behavior: replace, files: [design.yaml]}\n",
		map[string]string{"design.yaml": design})
	conditions := ""
	eventually(t, "end of the job", func() bool {
		conditions = c.kubectl("get", "--namespace=crashlab", "job/experiment", `-o=jsonpath={range .status.conditions[?(@.status=="True")]}{.type} {.message}{"\n"}{end}`)
		return strings.Contains(conditions, "Complete ") || strings.Contains(conditions, "Failed ")
	})
	if strings.Contains(conditions, "Failed ") {
		t.Fatalf("the job: %s\n%s", conditions, c.kubectl("logs", "--namespace=crashlab", "--selector=app.kubernetes.io/name=experiment"))
	}
	manifests, err := filepath.Glob(filepath.Join(runs, "*", "manifest.json"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no runs: %v", err)
	}
	merge := []string{"merge", "-o", filepath.Join(c.dir, "merged")}
	for _, m := range manifests {
		if dir := filepath.Dir(m); filepath.Base(dir) != "latest" {
			merge = append(merge, dir)
		}
	}
	c.sameVerdict(merge...)
}

// experiment runs an experiment on the StatefulSet.
func (c *cluster) experiment(t *testing.T) {
	c.apply("base")
	c.kubectl("scale", "--namespace=crashlab", "statefulset/counter", "--replicas=3")
	c.awaitRollout()
	c.sameVerdict("experiment", "run", c.client.write("design.yaml", design), "--quiet", "--runs="+filepath.Join(c.dir, "on-cluster"),
		"--cluster="+c.client.write("cluster.yaml", "control: [dns:///counter.crashlab:7100]\nfault_port: 7102\n"))
}

// sameVerdict compares what a command finds of the design with what a run on processes of this
// machine finds.
func (c *cluster) sameVerdict(args ...string) {
	c.t.Helper()
	verdict := func(args ...string) string {
		c.t.Helper()
		out, err := c.client.try(append([]string{c.crashlab()}, args...)...)
		c.t.Logf("crashlab %s:\n%s", strings.Join(args[:2], " "), out)
		var lines []string
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "success >= ") || strings.HasPrefix(line, "checks: ") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
		if err != nil {
			lines = append(lines, err.Error())
		}
		return strings.Join(lines, "\n")
	}
	local, err := os.MkdirTemp(c.dir, "local")
	if err != nil {
		c.t.Fatal(err)
	}
	got := verdict(args...)
	want := verdict("experiment", "run", c.client.write("design.yaml", design), "--quiet", "--runs="+local)
	if got != want || !strings.Contains(want, "checks: no violation") {
		c.t.Errorf("the verdict is\n%s\nand that of a run on this machine\n%s", got, want)
	}
}
