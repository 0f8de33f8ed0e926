package main

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
)

// troubles are what two replicas of three have.
var troubles = []struct {
	name  string
	addrs func(testing.TB) []string // of the two
}{
	{"gone", gone},
	{"unavailable", unavailable},
}

// TestOneHealthyReplica makes calls while one replica of three, the last, is healthy. None may
// fail.
func TestOneHealthyReplica(t *testing.T) {
	for _, trouble := range troubles {
		t.Run(trouble.name, func(t *testing.T) {
			_, healthy := launchAll(t, serving)
			addrs := append(trouble.addrs(t), healthy...)
			const calls = 1600
			if failed := failures(connect(t, atOnce(ours, 0), addrs), calls); failed > 0 {
				t.Errorf("%d of %d calls failed, want none", failed, calls)
			}
		})
	}
}

// BenchmarkOneHealthyReplica is the share of the calls that fail there, with each client.
func BenchmarkOneHealthyReplica(b *testing.B) {
	for _, trouble := range troubles {
		for _, c := range append([]client{ours}, others...) {
			b.Run("others="+trouble.name+"/client="+c.name, func(b *testing.B) {
				_, healthy := launchAll(b, serving)
				conn := connect(b, atOnce(c, 0), append(trouble.addrs(b), healthy...))
				b.ResetTimer()
				failed := failures(conn, b.N)
				b.ReportMetric(100*float64(failed)/float64(b.N), "failed-%")
			})
		}
	}
}

// gone returns addresses that refuse connections. A socket is bound to each, so that no other
// process can listen there.
func gone(tb testing.TB) (addrs []string) {
	tb.Helper()
	for range 2 {
		syscall.ForkLock.RLock()
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
		if err == nil {
			syscall.CloseOnExec(fd)
		}
		syscall.ForkLock.RUnlock()
		if err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { syscall.Close(fd) })
		if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			tb.Fatal(err)
		}
		bound, err := syscall.Getsockname(fd)
		if err != nil {
			tb.Fatal(err)
		}
		addr := bound.(*syscall.SockaddrInet4)
		addrs = append(addrs, netip.AddrPortFrom(netip.AddrFrom4(addr.Addr), uint16(addr.Port)).String())
	}
	return addrs
}

// unavailable answers every call with Unavailable.
func unavailable(tb testing.TB) []string {
	_, addrs := launchAll(tb, unwilling, unwilling)
	return addrs
}

// failures makes that many calls with 16 goroutines and returns how many failed.
func failures(c *connection, calls int) int {
	var begun, failed atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for begun.Add(1) <= int64(calls) {
				if c.check() != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return int(failed.Load())
}
