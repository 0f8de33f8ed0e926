package integration

import (
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestCtrlCStopsInOrder(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nil)
	c.stop()
	var order []string
	for _, e := range c.events(func(e event) bool { return e.Message == "stopping" }) {
		order = append(order, e.Replica)
	}
	if !slices.Equal(order, []string{"a", "b", "c"}) {
		t.Errorf("stopped %v, want a, b, c", order)
	}
	for i := range c.addrs {
		if e := c.awaitEvent("exited", i, 1); e.exit() != "code 0" {
			t.Errorf("replica %s ended with %s, want code 0", letter(i), e.exit())
		}
	}
}

func TestCtrlCDuringRestartDelay(t *testing.T) {
	t.Parallel()
	c := startCluster(t, []string{"--restart-delay=" + never})
	c.kill(1)
	c.stop()
	if n := len(c.launched()); n != 3 {
		t.Errorf("%d launches, want 3", n)
	}
}

func TestKilledSupervisorLeavesNoReplica(t *testing.T) {
	t.Parallel()
	c := startCluster(t, nil)
	if n := len(c.launched()); n != 3 {
		t.Fatalf("%d launches, want 3", n)
	}
	c.stopped = true
	c.signal(os.Kill)
	c.exitCode()
	poll := time.NewTicker(5 * time.Millisecond) // only a parent can wait for a process
	defer poll.Stop()
	timeout := time.After(patience)
	for left := c.alive(); len(left) > 0; left = c.alive() {
		select {
		case <-poll.C:
		case <-timeout:
			for _, pid := range left {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
			t.Fatalf("the replicas %v are alive %v after the supervisor", left, patience)
		}
	}
}
