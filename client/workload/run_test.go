package workload

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// bubble is synctest.Test on one processor: on two, timers of a bubble that fire at the same time
// crash the race detector (Go 1.26).
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, f)
}

// peak is the maximum number of calls under way.
type peak struct {
	mu        sync.Mutex
	now, most int
}

func (p *peak) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now++
	p.most = max(p.most, p.now)
}

func (p *peak) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now--
}

func TestRunMakesEveryCallOnceWithinItsWorkers(t *testing.T) {
	for _, p := range []Plan{{Calls: 1, Workers: 1}, {Calls: 50, Workers: 5}, {Calls: 3, Workers: 10}} {
		bubble(t, func(t *testing.T) {
			var underWay peak
			var calls []int
			start := time.Now()
			p.Run(t.Context(), func(context.Context, int) (Reply, error) {
				underWay.begin()
				defer underWay.end()
				time.Sleep(time.Second)
				return Reply{}, nil
			}, func(r Record) {
				calls = append(calls, r.Call)
				if r.Duration != time.Second {
					t.Errorf("call %d took %v, want one second", r.Call, r.Duration)
				}
			})
			slices.Sort(calls)
			if len(calls) != p.Calls || calls[0] != 1 || len(slices.Compact(calls)) != p.Calls {
				t.Errorf("%+v made the calls %v", p, calls)
			}
			workers := min(p.Workers, p.Calls)
			if underWay.most != workers {
				t.Errorf("%+v had %d calls under way at most", p, underWay.most)
			}
			if want := time.Duration((p.Calls+workers-1)/workers) * time.Second; time.Since(start) != want {
				t.Errorf("%+v took %v, want %v", p, time.Since(start), want)
			}
		})
	}
}

func TestRunInterrupted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		var records []Record
		Plan{Calls: 100, Workers: 2}.Run(ctx, func(ctx context.Context, call int) (Reply, error) {
			select {
			case <-time.After(time.Second):
				if call == 1 {
					return Reply{}, errors.New("failed by itself")
				}
				return Reply{Value: 1}, nil
			case <-ctx.Done():
				return Reply{}, ctx.Err()
			}
		}, func(r Record) { records = append(records, r) })
		s := Summarize(records, Pace{})
		if s.Succeeded != 3 || s.Failed != 1 || s.Interrupted != 2 || s.Calls() != 6 {
			t.Errorf("got %+v, want 3 succeeded, 1 failed, 2 interrupted", s)
		}
	})
}

// Only calls that failed because the run ended are interrupted.
func TestInterruptedAtTheEndOfTheRun(t *testing.T) {
	for _, tc := range []struct {
		name string
		err  error
		want bool
	}{
		{"success in spite of it", nil, false},
		{"failure for another reason", errors.New("failed"), false},
		{"failure because of it", fmt.Errorf("failed: %w", context.Canceled), true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			var records []Record
			Plan{Calls: 1, Workers: 1}.Run(ctx, func(context.Context, int) (Reply, error) {
				cancel()
				return Reply{}, tc.err
			}, func(r Record) { records = append(records, r) })
			if len(records) != 1 || records[0].Interrupted != tc.want {
				t.Errorf("got %+v, want one call with Interrupted %v", records, tc.want)
			}
		})
	}
}

func TestClosedLoopEndsWithTheFirstOfCallsAndDuration(t *testing.T) {
	for _, tt := range []struct {
		plan                Plan
		calls, warmup, took int // took in seconds
	}{
		// The last two calls start at the second second, and may end.
		{Plan{Workers: 2, Duration: 2500 * time.Millisecond}, 6, 0, 3},
		{Plan{Workers: 2, Duration: 2 * time.Second}, 4, 0, 2},
		{Plan{Workers: 2, Duration: 10 * time.Second, Calls: 5}, 5, 0, 3},
		{Plan{Workers: 2, Duration: 2 * time.Second, Calls: 100}, 4, 0, 2},
		{Plan{Workers: 2, Duration: 4 * time.Second, Warmup: 1500 * time.Millisecond}, 8, 4, 4},
	} {
		bubble(t, func(t *testing.T) {
			began := time.Now()
			records, pace := collect(t, t.Context(), tt.plan, takes(time.Second))
			s := Summarize(records, pace)
			if took := time.Since(began); len(records) != tt.calls || s.Warmup != tt.warmup || pace != (Pace{}) || took != time.Duration(tt.took)*time.Second {
				t.Errorf("%+v made %d calls, %d in the warm-up, in %v, %+v; want %d, %d, %d s, no more",
					tt.plan, len(records), s.Warmup, took, pace, tt.calls, tt.warmup, tt.took)
			}
			for _, r := range records {
				if r.Intended != r.Start {
					t.Errorf("call %d was due at %v and started at %v", r.Call, r.Intended, r.Start)
				}
			}
		})
	}
}

// If the context ends after the last call, or during a call that still succeeds, nothing is
// interrupted.
func TestClosedLoopInterrupted(t *testing.T) {
	for _, tt := range []struct {
		calls, cancelIn int
		want            bool
	}{{3, 3, false}, {3, 2, true}, {0, 2, true}} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		records, pace := collect(t, ctx, Plan{Calls: tt.calls, Duration: time.Hour, Workers: 1}, func(_ context.Context, call int) (Reply, error) {
			if call == tt.cancelIn {
				cancel()
			}
			return Reply{}, nil
		})
		if len(records) != tt.cancelIn || pace.Interrupted != tt.want {
			t.Errorf("%d calls, the context ended in call %d: %d made, %+v; want interrupted %v", tt.calls, tt.cancelIn, len(records), pace, tt.want)
		}
	}
}

// A load that is over starts no more workers.
func TestNoWorkersAfterTheEnd(t *testing.T) {
	ended, end := context.WithCancel(t.Context())
	end()
	for _, tc := range []struct {
		name        string
		ctx         context.Context
		plan        Plan
		interrupted bool
	}{
		{"context", ended, Plan{Calls: MaxWorkers, Workers: MaxWorkers}, true},
		{"duration", t.Context(), Plan{Duration: 1, Workers: MaxWorkers}, false},
	} {
		var pace Pace
		allocs := testing.AllocsPerRun(1, func() {
			pace = tc.plan.Run(tc.ctx, func(context.Context, int) (r Reply, err error) { return r, nil }, func(Record) {})
		})
		if allocs > MaxWorkers/10 || pace.Interrupted != tc.interrupted { // a goroutine takes one at least
			t.Errorf("%s: %v allocations and %+v, want few and interrupted %v", tc.name, allocs, pace, tc.interrupted)
		}
	}
}
