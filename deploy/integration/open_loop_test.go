package integration

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A stall of all replicas shows in the latency of each call that was due during the stall, not only
// of those that were in flight when it began.
func TestOpenLoopSeesAStall(t *testing.T) {
	t.Parallel()
	const (
		rate  = 200
		stall = 500 * time.Millisecond
	)
	c := startCluster(t, nil)
	began := time.Now()
	p := start(t, "crashlab", "load", fmt.Sprintf("--rate=%d", rate), "--duration=1h", "--timeout=0s", "--eject-after=0", "--wait=1m", "--target="+c.target())
	p.awaitServed(1)
	all := func(sig syscall.Signal) {
		for i := range c.addrs {
			if err := syscall.Kill(c.awaitEvent("launched", i, 1).PID, sig); err != nil {
				t.Error(err)
			}
		}
	}
	all(syscall.SIGSTOP)
	stopped := time.Now()
	<-time.After(stall) // the length of the stall, not synchronization
	took := time.Since(stopped)
	all(syscall.SIGCONT)
	p.awaitServed(1 + int(time.Since(began)*rate/time.Second)) // all that are due by now
	p.signal(os.Interrupt)
	if code := p.exitCode(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	out := p.stdout.String()
	r := parseReport(t, out)
	if r.failed > 0 {
		t.Errorf("%d calls failed", r.failed)
	}

	// Calls that were due during the stall have latencies spread evenly from zero to the length of
	// the stall. A slow machine can only increase them.
	least := took - time.Second*time.Duration(r.succeeded)/100/rate
	m := regexp.MustCompile(`\nLatency of successful calls: p50 (\S+), .* p99 (\S+), `).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no latency in\n%s", out)
	}
	p99, err := time.ParseDuration(m[2])
	if err != nil || p99 < least*95/100 {
		t.Errorf("p99 is %s, %v; want %v or more: the stall took %v", m[2], err, least*95/100, took)
	}
	t.Logf("stall %v, %d calls: p50 %s, p99 %v, analytic %v", took, r.succeeded, m[1], p99, least)
}

// awaitServed waits until crashlab load has reported calls 1 to n as served.
func (p *process) awaitServed(n int) {
	p.t.Helper()
	missing := map[string]bool{}
	for i := range n {
		missing[fmt.Sprintf("Request %d", i+1)] = true
	}
	p.await(&p.stdout, fmt.Sprintf("%d served calls", n), func(line string) bool {
		call, _, served := strings.Cut(line, " served by ")
		if served {
			delete(missing, call)
		}
		return len(missing) == 0
	})
}
