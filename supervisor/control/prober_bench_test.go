package control

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/spec"
)

// One iteration is one second in which 200 replicas are probed, evenly spread or in batches. Only
// the CPU time of this process is measured; the servers are another one. The benchmark called
// timers probes nothing: it measures what it costs to wake up.
func BenchmarkProbes(b *testing.B) {
	const replicas = 200
	addrs := healthyServers(b, replicas)
	p, ctx := newProber(b), context.Background()
	before := memory(b)
	for _, addr := range addrs {
		if err := p.Health(ctx, addr, ""); err != nil {
			b.Fatal(err)
		}
	}
	b.Logf("%d connections take %d KiB", replicas, memory(b)-before)
	for _, batches := range []int{1, 4, 20, replicas} {
		b.Run(fmt.Sprintf("batches=%d", batches), func(b *testing.B) {
			probeEachSecond(b, addrs, batches, func(addr string) {
				if err := p.Health(ctx, addr, ""); err != nil {
					b.Error(err)
				}
			})
		})
	}
	b.Run(fmt.Sprintf("timers=%d", replicas), func(b *testing.B) {
		probeEachSecond(b, addrs, replicas, func(string) {})
	})
}

// One iteration is a probe of a replica that does not listen yet.
func BenchmarkRefusedProbe(b *testing.B) {
	p, addr, ctx := newProber(b), free(b), context.Background()
	start := used(b)
	for b.Loop() {
		if err := p.Health(ctx, addr, ""); err == nil {
			b.Fatal("health without a server")
		}
	}
	b.ReportMetric(float64((used(b)-start).Microseconds())/float64(b.N), "µs-CPU/probe")
}

// One iteration is one second of a supervisor that probes each of 200 replicas once a second. Their
// processes sleep; another process answers for all of them.
func BenchmarkSupervisorProbes(b *testing.B) {
	const replicas = 200
	addrs := healthyServers(b, replicas)
	alive := spec.Probe{Kind: spec.ProbeGRPC, Period: time.Second}
	s, err := supervisor.New(supervisor.Config{Health: newProber(b).Health, Groups: []spec.Group{{
		Count: replicas, Replica: func(i int) spec.Replica {
			return spec.Replica{Name: fmt.Sprint(i), Args: []string{"sleep", "300"}, Addr: addrs[i], Alive: alive}
		},
	}}})
	if err != nil {
		b.Fatal(err)
	}
	running, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(running) }()
	unready := replicas
	for e := range s.Watch(b.Context(), 0) {
		if e.Kind == event.KindReady {
			unready--
		}
		if unready == 0 {
			break
		}
	}
	time.Sleep(2 * alive.Period) // until each has been probed
	before := s.Sequence()
	start := used(b)
	b.ResetTimer()
	time.Sleep(time.Duration(b.N) * time.Second)
	b.ReportMetric(100*(used(b)-start).Seconds()/float64(b.N), "%core")
	b.ReportMetric(float64(memory(b)), "RSS-KiB")
	if n := s.Sequence() - before; n > 0 {
		b.Errorf("%d events, want none", n)
	}
	stop()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}

func probeEachSecond(b *testing.B, addrs []string, batches int, probe func(addr string)) {
	var all sync.WaitGroup
	first, start := time.Now().Truncate(time.Second).Add(2*time.Second), used(b)
	for i, addr := range addrs {
		at := first.Add(time.Duration(i%batches) * time.Second / time.Duration(batches))
		all.Go(func() {
			for n := range b.N {
				time.Sleep(time.Until(at.Add(time.Duration(n) * time.Second)))
				probe(addr)
			}
		})
	}
	all.Wait()
	probes := float64(b.N * len(addrs))
	b.ReportMetric(float64((used(b)-start).Microseconds())/probes, "µs-CPU/probe")
	b.ReportMetric(100*(used(b)-start).Seconds()/float64(b.N), "%core")
}

// healthyServers starts n servers in another process until the benchmark ends, and returns their
// addresses.
func healthyServers(b *testing.B, n int) (addrs []string) {
	args := as("healthy", strconv.Itoa(n))
	servers := exec.Command(args[0], args[1:]...)
	out, err := servers.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := servers.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = servers.Process.Kill()
		_ = servers.Wait()
	})
	for in := bufio.NewScanner(out); len(addrs) < n && in.Scan(); {
		addrs = append(addrs, in.Text())
	}
	return addrs
}

// used returns the CPU time of this process.
func used(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// memory returns the resident memory of this process in KiB, or 0 if it is unknown.
func memory(b *testing.B) int {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	kib, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		b.Fatal(err)
	}
	return kib
}
