package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nodeKilled kills the kubelet of a node, and all pods there: nobody relaunches them.
func (c *cluster) nodeKilled(t *testing.T) {
	c.spread(4)
	l := c.startLoad(steady...)
	l.more(1000)
	n := c.nodes[1]
	n.kubelet.signal("KILL")
	n.kubelet.exitCode()
	killed := c.killPods(n)
	if killed == 0 {
		t.Fatal("no process of a pod")
	}
	l.more(2000)
	begin := time.Now()
	n.kubelet = n.start(nil, n.kubelet.line[0], n.kubelet.line[1:]...)
	eventually(t, "calls at both nodes", func() bool { return c.serves(l, n, begin) })
	t.Logf("%d processes killed; their node serves again %v after the launch of its kubelet", killed, time.Since(begin).Round(100*time.Millisecond))
	c.awaitRollout()
	l.more(1000)
	l.end(t, "kubelet and pods of a node killed")
	c.awaitNodes()
}

// killPods kills all processes of the pods of a node, and returns how many.
func (c *cluster) killPods(n *node) (killed int) {
	c.t.Helper()
	err := filepath.WalkDir(n.groups[0], func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Name() != "cgroup.procs" {
			return err
		}
		pids, err := os.ReadFile(path)
		for _, pid := range strings.Fields(string(pids)) {
			if n, err := strconv.Atoi(pid); err == nil && syscall.Kill(n, syscall.SIGKILL) == nil {
				killed++
			}
		}
		return err
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return killed
}

// serves reports whether a pod of a node has served a call since a time.
func (c *cluster) serves(l *load, n *node, since time.Time) bool {
	for addr, served := range l.servedBy() {
		if strings.HasPrefix(addr, n.podPrefix) && served.last.After(since) {
			return true
		}
	}
	return false
}

// partition cuts a node off: both ways, for longer than calls have, and one way.
func (c *cluster) partition(t *testing.T) {
	c.spread(4)
	n := c.nodes[1]
	n.run("nft", "add table inet test")
	n.run("nft", "add chain inet test in { type filter hook prerouting priority -300; }")
	n.run("nft", "add chain inet test out { type filter hook postrouting priority 300; }")
	port := []string{"ip", "link", "set", "dev", n.name}
	for _, cut := range []struct {
		name         string
		lasts        time.Duration
		strike, heal func()
	}{
		{"both ways", 40 * time.Second, func() { c.master.run(append(port, "down")...) }, func() { c.master.run(append(port, "up")...) }},
		{"it hears nothing", 8 * time.Second, func() { n.run("nft", "add rule inet test in iifname eth0 drop") }, func() { n.run("nft", "flush chain inet test in") }},
		{"nobody hears it", 8 * time.Second, func() { n.run("nft", "add rule inet test out oifname eth0 drop") }, func() { n.run("nft", "flush chain inet test out") }},
	} {
		for _, policy := range []struct {
			name  string
			flags []string
		}{
			{"no limit for an attempt", []string{"--deadline=30s"}},
			{"1 s for an attempt", []string{"--deadline=30s", "--timeout=1s"}},
		} {
			l := c.startLoad(append(policy.flags, recommended, "--rate=200", "--duration=1h")...)
			l.more(1000)
			cut.strike()
			time.Sleep(cut.lasts)
			cut.heal()
			begin := time.Now()
			eventually(t, "calls at the node", func() bool { return c.serves(l, n, begin) })
			t.Logf("the node serves again %v after it can be reached", time.Since(begin).Round(10*time.Millisecond))
			l.more(1000)
			l.end(t, "node cut off "+cut.name+", "+policy.name)
			c.awaitNodes()
			c.awaitRollout()
		}
	}
}
