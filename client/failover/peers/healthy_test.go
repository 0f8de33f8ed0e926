package peers

import (
	"sync"
	"sync/atomic"
	"testing"
)

// TestOneHealthyReplica counts the calls that fail while one replica of three, the last, is healthy.
func TestOneHealthyReplica(t *testing.T) {
	for _, test := range []struct {
		name string
		down func(*testing.T) []string // returns the addresses of two replicas that are down
	}{
		{"gone", gone},
		{"unavailable", unavailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, healthy := launchAll(t, serving)
			addrs := append(test.down(t), healthy...)
			for _, c := range append([]client{ours}, others...) {
				const calls = 20_000
				failed := failures(c.connect(t, addrs, 0), calls)
				t.Logf("%-20s %5d of %d calls failed, %.1f%%", c.name, failed, calls, 100*float64(failed)/calls)
				if c.name == ours.name && failed > 0 {
					t.Errorf("%d of %d calls failed, want none", failed, calls)
				}
			}
		})
	}
}

// gone refuses connections: nobody listens any more.
func gone(t *testing.T) []string {
	replicas, addrs := launchAll(t, serving, serving)
	for _, r := range replicas {
		r.kill()
	}
	return addrs
}

// unavailable answers every call with Unavailable.
func unavailable(t *testing.T) []string {
	_, addrs := launchAll(t, unwilling, unwilling)
	return addrs
}

// failures makes that many calls with 16 goroutines and returns how many failed.
func failures(c *connection, calls int) int {
	const workers = 16
	var failed atomic.Int64
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range calls / workers {
				if c.call() != nil {
					failed.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return int(failed.Load())
}
