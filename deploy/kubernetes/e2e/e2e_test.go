// Package e2e runs deploy/kubernetes on a whole Kubernetes, whose machines are network namespaces
// of this one.
package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestKubernetes(t *testing.T) {
	c := startCluster(t)
	t.Log(c.kubectl("version"))
	for _, part := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"crashes", c.crashes},
		{"from a pod and by port-forward", c.ways},
		{"without a supervisor", c.unsupervised},
		{"rolling update", c.rollingUpdate},
		{"scale", c.scale},
		{"drain", c.drain},
		{"kubelet and pods killed", c.nodeKilled},
		{"partition", c.partition},
		{"job", c.job},
		{"experiment on the cluster", c.experiment},
		{"certificates renewed", c.renewal},
	} {
		t.Run(part.name, func(t *testing.T) {
			c.t = t
			defer func() { c.t = c.whole }()
			part.run(t)
		})
	}
}

// crashes makes 10,000 calls at replicas that crash at one call in ten. The original's policy gives
// up on many.
func (c *cluster) crashes(t *testing.T) {
	c.apply("base", "--p-crash=0.3", "--p-crash=0.1", "uniform:10ms:50ms", "5ms")
	// More is repeated than the budget of the policy allows.
	l := c.startLoad(recommended, "--budget=0", "--budget-per-second=0", "--budget-burst=0", "--deadline=2m", "-n", "10000", "-c", "10")
	l.wait(t, "recommended policy without a budget")
	if l.calls != 10_000 {
		t.Errorf("%d of 10000 calls have succeeded; some that have not:\n%s", l.calls, strings.Join(l.failures[:min(len(l.failures), 10)], "\n"))
	}
	c.startLoad("-n", "2000", "-c", "10").wait(t, "the original's policy")
	t.Logf("restarts of the pods: %s", c.pods(`{.status.containerStatuses[0].restartCount}`))
}

// ways makes calls as the README has it: from a pod, and through a port-forward to one replica.
func (c *cluster) ways(t *testing.T) {
	c.apply("base")
	out := c.kubectl("exec", "--namespace=crashlab", "counter-0", "--", "crashlab", "load", "-q", "--target="+target, recommended, "--deadline=2m")
	t.Logf("from a pod:\n%s", out)
	if !strings.Contains(out, "Total succeeded: 50, Total failed: 0") {
		t.Error("calls from a pod have failed")
	}
	// A port-forward ends when a replica that is down is called.
	forward := c.master.start(nil, "/bin/sh", "-c", "while :; do kubectl --kubeconfig="+c.config+" port-forward --namespace=crashlab counter-0 7101 7100; done")
	eventually(t, "call by port-forward", func() bool {
		_, err := c.master.try(c.crashlab(), "get", "--target=127.0.0.1:7101", "--deadline=10s")
		return err == nil
	})
	forward.signal("KILL")
}

// unsupervised makes calls at replicas that the kubelet relaunches, later after each crash.
func (c *cluster) unsupervised(t *testing.T) {
	c.applyOverlay("kubelet", "", map[string]string{})
	c.awaitRollout()
	l := c.startLoad(recommended, "-n", "20", "-c", "3", "--deadline=10m")
	l.wait(t, "recommended policy, without a supervisor")
	if l.calls != 20 {
		t.Errorf("%d of 20 calls have succeeded", l.calls)
	}
	t.Logf("restarts of the pods: %s", c.pods(`{.status.containerStatuses[0].restartCount}`))
}

// calm are replicas that do not crash by themselves.
var calm = []string{"--p-crash=0.3", "--p-crash=0"}

// steady makes 200 calls a second, each of which has enough time for anything that may happen.
var steady = []string{recommended, "--rate=200", "--duration=1h", "--deadline=2m"}

func (c *cluster) rollingUpdate(t *testing.T) {
	c.apply("base", calm...)
	l := c.startLoad(steady...)
	l.more(1000)
	begin := time.Now()
	c.kubectl("rollout", "restart", "--namespace=crashlab", "statefulset/counter")
	c.awaitRollout()
	t.Logf("rolled out in %v", time.Since(begin).Round(100*time.Millisecond))
	l.more(1000)
	l.end(t, "rolling update")
}

// scale measures as well how soon pods that are added get calls, from when they are in DNS.
func (c *cluster) scale(t *testing.T) {
	c.apply("base", calm...)
	l := c.startLoad(steady...)
	l.more(1000)
	names := c.watchDNS()
	before := l.servedBy()
	c.kubectl("scale", "--namespace=crashlab", "statefulset/counter", "--replicas=6")
	eventually(t, "calls at the pods that were added", func() bool { return len(l.servedBy()) == len(before)+3 })
	var latest time.Duration
	for addr, served := range l.servedBy() {
		if _, old := before[addr]; !old {
			found := names.found(strings.TrimSuffix(addr, ":7101"))
			latest = max(latest, served.first.Sub(found))
		}
	}
	t.Logf("the last of the pods that were added has its first call %v after it is in DNS", latest.Round(10*time.Millisecond))
	c.awaitRollout()
	l.more(1000)
	c.kubectl("scale", "--namespace=crashlab", "statefulset/counter", "--replicas=2")
	c.awaitPods(2)
	l.more(1000)
	l.end(t, "scaled from 3 to 6 to 2")
}

func (c *cluster) drain(t *testing.T) {
	c.spread(3)
	l := c.startLoad(steady...)
	l.more(1000)
	begin := time.Now()
	c.kubectl("drain", "node2", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=10m")
	t.Logf("drained in %v", time.Since(begin).Round(100*time.Millisecond))
	c.awaitRollout()
	l.more(1000)
	l.end(t, "node drained")
	c.kubectl("uncordon", "node2")
}

// apply applies the manifests of a folder of deploy/kubernetes, with text of the pods' cluster file
// replaced, and waits until all replicas are ready.
func (c *cluster) apply(folder string, replace ...string) {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join("..", folder, "cluster.yaml"))
	if err != nil {
		c.t.Fatal(err)
	}
	for i := 0; i < len(replace); i += 2 {
		if !strings.Contains(string(text), replace[i]) {
			c.t.Fatalf("no %q in the cluster file of %s", replace[i], folder)
		}
	}
	c.applyOverlay(folder, "configMapGenerator:\n  - {name: counter, namespace: crashlab, behavior: replace, files: [cluster.yaml]}\n",
		map[string]string{"cluster.yaml": strings.NewReplacer(replace...).Replace(string(text))})
	c.awaitRollout()
}

// applyOverlay applies the manifests of a folder of deploy/kubernetes with a patch, which is a part
// of a kustomization, and the files that it names.
func (c *cluster) applyOverlay(folder, patch string, files map[string]string) {
	c.t.Helper()
	base, err := filepath.Abs(filepath.Join("..", folder))
	if err != nil {
		c.t.Fatal(err)
	}
	overlay := filepath.Join(c.dir, "overlay")
	relative, err := filepath.Rel(overlay, base) // kustomize takes no other path
	if err != nil {
		c.t.Fatal(err)
	}
	if err := os.MkdirAll(overlay, 0o755); err != nil {
		c.t.Fatal(err)
	}
	files["kustomization.yaml"] = "resources: [" + relative + "]\n" + patch
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(overlay, name), []byte(text), 0o644); err != nil {
			c.t.Fatal(err)
		}
	}
	c.kubectl("apply", "--server-side", "--force-conflicts", "--validate=strict", "-k", overlay)
}

// awaitRollout waits until all replicas are those of the last change, and ready.
func (c *cluster) awaitRollout() {
	c.t.Helper()
	c.kubectl("rollout", "status", "--namespace=crashlab", "statefulset/counter", "--timeout=10m")
}

// pods returns a field of each pod of the StatefulSet.
func (c *cluster) pods(field string) []string {
	c.t.Helper()
	return strings.Fields(c.kubectl("get", "pods", "--namespace=crashlab", "--selector=app.kubernetes.io/name=counter",
		`-o=jsonpath={range .items[*]}`+field+`{"\n"}{end}`))
}

// awaitPods waits until there are n pods.
func (c *cluster) awaitPods(n int) {
	c.t.Helper()
	eventually(c.t, fmt.Sprintf("%d pods", n), func() bool { return len(c.pods("{.metadata.name}")) == n })
}

// spread makes n new pods that do not crash, on both nodes.
func (c *cluster) spread(n int) {
	c.t.Helper()
	c.apply("base", calm...)
	c.kubectl("scale", "--namespace=crashlab", "statefulset/counter", "--replicas=0")
	c.awaitPods(0)
	c.kubectl("scale", "--namespace=crashlab", "statefulset/counter", fmt.Sprintf("--replicas=%d", n))
	c.awaitRollout()
	if nodes := c.pods("{.spec.nodeName}"); !slices.Contains(nodes, "node1") || !slices.Contains(nodes, "node2") {
		c.t.Fatalf("the pods are on %v, want both nodes", nodes)
	}
}

// lookup is a program that looks the Service up again and again.
type lookup struct {
	mu        sync.Mutex
	addresses map[string]time.Time // when each was first found
}

// watchDNS begins to look the Service up ten times a second, from the machine of the clients.
func (c *cluster) watchDNS() *lookup {
	c.t.Helper()
	l := &lookup{addresses: map[string]time.Time{}}
	s := c.client.start(l, "/bin/sh", "-c", "while :; do getent ahostsv4 counter.crashlab; sleep 0.1; done")
	c.t.Cleanup(func() { s.signal("KILL") })
	return l
}

// Write takes whole lines, as each process prints all of its own at once.
func (l *lookup) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for line := range strings.Lines(string(text)) {
		addr, _, _ := strings.Cut(line, " ")
		if _, known := l.addresses[addr]; !known {
			l.addresses[addr] = now
		}
	}
	return len(text), nil
}

// found returns when an address was first found.
func (l *lookup) found(addr string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.addresses[addr]
}
