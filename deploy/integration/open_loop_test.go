package integration

import (
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A stall of all replicas is in the latency of every call that was due in it, and not only of those that were under way as
// it began.
func TestOpenLoopSeesAStall(t *testing.T) {
	t.Parallel()
	const (
		rate  = 100
		calls = 800
		stall = 2 * time.Second
	)
	c := startCluster(t, nil)
	p := start(t, "crashlab", "load", "--rate=100", "-n800", "--timeout=0s", "--eject-after=0", "--wait=1m", "--target="+c.target())
	p.await(&p.stdout, "a served call", func(line string) bool { return strings.HasPrefix(line, "Request 100 served by") })
	all := func(sig syscall.Signal) {
		for i := range c.addrs {
			if err := syscall.Kill(c.awaitEvent("launched", i, 1).PID, sig); err != nil {
				t.Error(err)
			}
		}
	}
	all(syscall.SIGSTOP)
	stopped := time.Now()
	<-time.After(stall) // the subject, not a wait for something
	took := time.Since(stopped)
	all(syscall.SIGCONT)

	if code := p.exitCode(); code != 0 && code != 3 { // 3 on a machine that was held up
		t.Errorf("exit code %d", code)
	}
	out := p.stdout.String()
	if r := parseReport(t, out); r.succeeded != calls {
		t.Errorf("%d calls succeeded, want %d", r.succeeded, calls)
	}
	// The calls that were due while nobody answered wait for times that are spread evenly from zero to the stall. A slow
	// machine can but add to them.
	least := took - time.Second*calls/100/rate
	m := regexp.MustCompile(`\nLatency of successful calls: p50 (\S+), .* p99 (\S+), `).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no latency in\n%s", out)
	}
	p99, err := time.ParseDuration(m[2])
	if err != nil || p99 < least*95/100 {
		t.Errorf("p99 is %s, %v; want %v or more: the stall took %v", m[2], err, least*95/100, took)
	}
	t.Logf("stall %v: p50 %s, p99 %v, analytic %v", took, m[1], p99, least)
}
