package fault

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc/codes"
)

func TestCapacity(t *testing.T) {
	type request struct {
		deadline time.Duration
		code     codes.Code
		took     time.Duration
	}
	const s = time.Second
	for _, test := range []struct {
		name     string
		faults   Faults
		requests []request // 1 ms apart
	}{
		{"any number", Faults{}, []request{{s * 9, codes.OK, s}, {s * 9, codes.OK, s}, {s * 9, codes.OK, s}}},
		{"one", Faults{Capacity: 1}, []request{
			{s * 9, codes.OK, s}, {s * 9, codes.OK, 2*s - 1e6}, {s * 9, codes.OK, 3*s - 2e6}, {s * 9, codes.OK, 4*s - 3e6},
		}},
		{"two", Faults{Capacity: 2}, []request{
			{s * 9, codes.OK, s}, {s * 9, codes.OK, s}, {s * 9, codes.OK, 2*s - 2e6}, {s * 9, codes.OK, 2*s - 2e6},
		}},
		{"who leaves gives up the place in the queue", Faults{Capacity: 1}, []request{
			{s * 9, codes.OK, s}, {s / 2, codes.DeadlineExceeded, s / 2}, {s * 9, codes.OK, 2*s - 2e6},
		}},
		{"who leaves gives up the place at work", Faults{Capacity: 1}, []request{
			{s / 2, codes.DeadlineExceeded, s / 2}, {s * 9, codes.OK, s/2 + s - 1e6},
		}},
		{"an error needs no place", Faults{Capacity: 1, ErrorProbability: 1}, []request{
			{s * 9, codes.Unavailable, 0}, {s * 9, codes.Unavailable, 0},
		}},
		{"a hang needs no place", Faults{Capacity: 1, Hang: true}, []request{
			{s / 2, codes.DeadlineExceeded, s / 2}, {s / 4, codes.DeadlineExceeded, s / 4},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				test.faults.ServiceTime = parse(t, "1s")
				target := newTarget(t, test.faults, nil)
				for i, r := range test.requests {
					go func() {
						ctx, cancel := context.WithTimeout(t.Context(), r.deadline)
						defer cancel()
						if code, took := target.call(ctx); code != r.code || took != r.took {
							t.Errorf("request %d: %v after %v, want %v after %v", i+1, code, took, r.code, r.took)
						}
					}()
					time.Sleep(time.Millisecond)
				}
				time.Sleep(10 * s)
			})
		})
	}
}

func TestCrashAtArrivalDoesNotQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var crashes []Crash
		target := newTarget(t, Faults{Capacity: 1, ServiceTime: parse(t, "1s")}, func(c Crash) { crashes = append(crashes, c) })
		for range 3 {
			go target.call(t.Context())
		}
		synctest.Wait()
		target.change(func(f *Faults, _ *Plan) error { f.CrashProbability = 1; return nil })
		if code, took := target.call(t.Context()); code != codes.Unavailable || took != 0 {
			t.Errorf("%v after %v, want Unavailable at once", code, took)
		}
		if want := (Counts{Arrived: 4, InFlight: 3}); len(crashes) != 1 || crashes[0].Counts != want {
			t.Errorf("crashes %+v, want one with %+v", crashes, want)
		}
		time.Sleep(3 * time.Second)
	})
}

// No places are lost or added, whenever requests leave. In virtual time, deadlines and free places
// can also coincide.
func TestQueueKeepsItsPlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const capacity = 3
		q := newQueue(capacity)
		var inside, worked, left atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 1000 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(4))*time.Microsecond)
					if q.enter(ctx) != nil {
						left.Add(1)
						cancel()
						time.Sleep(time.Microsecond)
						continue
					}
					if n := inside.Add(1); n > capacity {
						t.Errorf("%d requests at work, want %d at most", n, capacity)
					}
					worked.Add(1)
					time.Sleep(time.Microsecond)
					inside.Add(-1)
					q.leave()
					cancel()
				}
			})
		}
		wg.Wait()
		if q.free != capacity || q.waiting.Len() != 0 || worked.Load() == 0 || left.Load() == 0 {
			t.Errorf("%d places free, %d waiting, after %d worked and %d left; want %d, 0, some and some",
				q.free, q.waiting.Len(), worked.Load(), left.Load(), capacity)
		}
	})
}
