package workload

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
)

func TestRunMakesEveryCallOnceWithinItsWorkers(t *testing.T) {
	for _, p := range []Plan{{1, 1}, {50, 5}, {3, 10}} {
		synctest.Test(t, func(t *testing.T) {
			var now, most atomic.Int64
			var calls []int
			start := time.Now()
			p.Run(t.Context(), func(context.Context, int) (Reply, error) {
				most.Store(max(most.Load(), now.Add(1)))
				time.Sleep(time.Second)
				now.Add(-1)
				return Reply{}, nil
			}, func(r Record) {
				calls = append(calls, r.Call)
				if r.Duration != time.Second {
					t.Errorf("call %d took %v, want the second that it slept", r.Call, r.Duration)
				}
			})
			slices.Sort(calls)
			if len(calls) != p.Calls || calls[0] != 1 || len(slices.Compact(calls)) != p.Calls {
				t.Errorf("%+v made the calls %v", p, calls)
			}
			workers := min(p.Workers, p.Calls)
			if most.Load() != int64(workers) {
				t.Errorf("%+v had %d calls under way at most", p, most.Load())
			}
			if want := time.Duration((p.Calls+workers-1)/workers) * time.Second; time.Since(start) != want {
				t.Errorf("%+v took %v, want %v", p, time.Since(start), want)
			}
		})
	}
}

func TestRunInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		var records []Record
		Plan{Calls: 100, Workers: 2}.Run(ctx, func(ctx context.Context, call int) (Reply, error) {
			select {
			case <-time.After(time.Second):
				if call == 1 {
					return Reply{}, errors.New("failed by itself")
				}
				return Reply{Text: "OK"}, nil
			case <-ctx.Done():
				return Reply{}, ctx.Err()
			}
		}, func(r Record) { records = append(records, r) })
		s := Summarize(records)
		if s.Succeeded != 3 || s.Failed != 1 || s.Interrupted != 2 || s.Calls() != 6 {
			t.Errorf("got %+v, want 3 succeeded, 1 failed, 2 interrupted", s)
		}
	})
}

// Only calls that failed because the run ended say nothing of the replicas.
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

func TestServed(t *testing.T) {
	attempts := []failover.Attempt{{Replica: "a:1", Outcome: failover.Lost}, {Replica: "b:1"}}
	for _, tc := range []struct {
		name   string
		record Record
		want   string
	}{
		{"success", Record{Reply: Reply{Attempts: attempts}}, "b:1"},
		{"failure", Record{Reply: Reply{Attempts: attempts}, Err: errors.New("failed")}, ""},
		{"no attempts known", Record{}, ""},
	} {
		if got := tc.record.Served(); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestSummarize(t *testing.T) {
	ok := func(call int, replica string, d time.Duration, before ...failover.Outcome) Record {
		var attempts []failover.Attempt
		for _, o := range before {
			attempts = append(attempts, failover.Attempt{Replica: "x:1", Outcome: o})
		}
		attempts = append(attempts, failover.Attempt{Replica: replica})
		return Record{Call: call, Duration: d, Reply: Reply{Attempts: attempts}}
	}
	s := Summarize([]Record{
		ok(1, "a:1", 10*time.Millisecond),
		ok(2, "b:1", 30*time.Millisecond, failover.Lost, failover.Refused),
		ok(3, "a:1", 20*time.Millisecond, failover.Timeout),
		{Call: 4, Duration: time.Hour, Err: errors.New("all failed"), Reply: Reply{Attempts: []failover.Attempt{{Outcome: failover.Refused}}}},
		{Call: 5, Duration: time.Hour, Err: errors.New("stopped"), Interrupted: true},
	})
	if s.Succeeded != 3 || s.Failed != 1 || s.Interrupted != 1 || s.Served["a:1"] != 2 || s.Served["b:1"] != 1 {
		t.Errorf("totals: %+v", s)
	}
	if s.P50 != 20*time.Millisecond || s.P95 != 30*time.Millisecond || s.P99 != 30*time.Millisecond {
		t.Errorf("latency %v %v %v, want that of successes alone", s.P50, s.P95, s.P99)
	}
	if s.Attempts != 7 || s.Outcomes[failover.Refused] != 2 || s.Outcomes[failover.OK] != 3 || s.AttemptsPerCall() != 1.4 {
		t.Errorf("attempts: %+v", s)
	}
	if s.SuccessRate() != 0.75 {
		t.Errorf("success rate %v, want 3 of 4", s.SuccessRate())
	}
	if z := Summarize(nil); z.SuccessRate() != 0 || z.AttemptsPerCall() != 0 || z.P50 != 0 {
		t.Errorf("nothing done: %+v", z)
	}
}

// Quantiles of enough latencies to tell them apart, in whatever order the calls ended.
func TestSummarizeQuantiles(t *testing.T) {
	var records []Record
	for i := range 200 {
		records = append(records, Record{Duration: time.Duration(200-i) * time.Millisecond})
	}
	s := Summarize(records)
	got, want := [3]time.Duration{s.P50, s.P95, s.P99}, [3]time.Duration{100 * time.Millisecond, 190 * time.Millisecond, 198 * time.Millisecond}
	if got != want {
		t.Errorf("p50, p95, p99: got %v, want %v", got, want)
	}
}

func TestSummarizeCountsEveryAttempt(t *testing.T) {
	s := Summarize([]Record{{Err: errors.New("stopped"), Interrupted: true, Reply: Reply{Attempts: []failover.Attempt{{Outcome: failover.Canceled}}}}})
	if s.Attempts != 1 || s.Outcomes[failover.Canceled] != 1 {
		t.Errorf("got %d attempts, %d canceled, want the interrupted call's one", s.Attempts, s.Outcomes[failover.Canceled])
	}
	for _, o := range failover.Outcomes() {
		if _, ok := s.Outcomes[o]; !ok {
			t.Errorf("%v is not among the outcomes", o)
		}
	}
}
