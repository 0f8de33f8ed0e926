package failover

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/crashlab/client/failover/internal/replicas"
)

// However many attempts were lost with a connection, one of them is told that it was the first.
func TestCrashIsNewsOnce(t *testing.T) {
	before, after := new(replicas.Replica), new(replicas.Replica) // idle mode
	var b backend
	for _, tc := range []struct {
		conn connection
		want int32
	}{
		{connection{before, 2}, 1}, {connection{before, 2}, 0}, {connection{before, 1}, 0}, {connection{before, 3}, 1}, {connection{after, 0}, 1},
	} {
		var news atomic.Int32
		var victims sync.WaitGroup
		for range 16 {
			victims.Go(func() {
				if b.crashed(tc.conn) {
					news.Add(1)
				}
			})
		}
		victims.Wait()
		if n := news.Load(); n != tc.want {
			t.Errorf("the loss of connection %d was news to %d of 16, want %d", tc.conn.epoch, n, tc.want)
		}
	}
}

// However many reach for a place at once, no more get one than there are.
func TestPlacesAreNoMoreThanTheLimit(t *testing.T) {
	const limit = 3
	var b backend
	var inside, taken atomic.Int32
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for range 5000 {
				if !b.acquire(limit, false) {
					continue
				}
				if n := inside.Add(1); n > limit {
					t.Errorf("%d have a place, want %d at most", n, limit)
				}
				taken.Add(1)
				runtime.Gosched()
				inside.Add(-1)
				b.inFlight.Add(-1)
			}
		})
	}
	callers.Wait()
	if b.inFlight.Load() != 0 || taken.Load() == 0 {
		t.Errorf("%d places are left over, of %d that were taken", b.inFlight.Load(), taken.Load())
	}
}
