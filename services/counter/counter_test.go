package counter

import (
	"sync"
	"testing"

	counterv1 "example.com/crashlab/gen/counter/v1"
)

func TestGetCountsEveryCallOnce(t *testing.T) {
	const callers, each = 8, 1000
	c := &Counter{Replica: "b", Incarnation: 3}

	var mu sync.Mutex
	seen := make(map[uint64]bool)
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for range each {
				reply, err := c.Get(t.Context(), &counterv1.GetRequest{})
				if err != nil || reply.GetReplica() != "b" || reply.GetIncarnation() != 3 {
					t.Errorf("Get = %v, %v; want replica b, incarnation 3", reply, err)
					return
				}
				mu.Lock()
				if seen[reply.GetValue()] {
					t.Errorf("value %d came twice", reply.GetValue())
				}
				seen[reply.GetValue()] = true
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for v := uint64(1); v <= callers*each; v++ {
		if !seen[v] {
			t.Fatalf("value %d never came", v)
		}
	}
}
