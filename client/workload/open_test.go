package workload

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"
)

// takes returns a call function that takes that long, and can be interrupted like a real call.
func takes(d time.Duration) func(context.Context, int) (Reply, error) {
	return func(ctx context.Context, _ int) (Reply, error) {
		select {
		case <-time.After(d):
			return Reply{}, nil
		case <-ctx.Done():
			return Reply{}, ctx.Err()
		}
	}
}

// collect runs the plan and returns the records in the order of the calls.
func collect(t *testing.T, ctx context.Context, p Plan, do func(context.Context, int) (Reply, error)) ([]Record, Pace) {
	t.Helper()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	var records []Record
	pace := p.Run(ctx, do, func(r Record) { records = append(records, r) })
	slices.SortFunc(records, func(a, b Record) int { return a.Call - b.Call })
	return records, pace
}

func TestOpenLoopStartsCallsWhenTheyAreDue(t *testing.T) {
	for _, arrivals := range []Arrivals{ArrivalsConstant, ArrivalsPoisson} {
		bubble(t, func(t *testing.T) {
			p := Plan{Rate: 100, Arrivals: arrivals, Duration: 10 * time.Second, Warmup: 2 * time.Second}
			want := due(p)
			began := time.Now()
			records, pace := collect(t, t.Context(), p, takes(time.Minute)) // each outlasts all starts
			if len(records) != len(want) || pace != (Pace{}) {
				t.Fatalf("%d calls, %+v; want %d and a zero Pace", len(records), pace, len(want))
			}
			for i, r := range records {
				if at := r.Start.Sub(began); r.Call != i+1 || at != want[i] || r.Intended != r.Start || r.Warmup != (at < p.Warmup) {
					t.Fatalf("call %d started at %v: %+v; want it at %v", r.Call, at, r, want[i])
				}
			}
			if took := time.Since(began); took != want[len(want)-1]+time.Minute {
				t.Errorf("it ended after %v, want the last call's end", took)
			}
		})
	}
}

// A stall of all replicas shows in the latency of every call that was due during it. A closed loop
// sees it once per worker.
func TestStall(t *testing.T) {
	const (
		rate     = 100
		duration = 60 * time.Second
		stall    = 2 * time.Second
		work     = 10 * time.Millisecond
	)
	run := func(t *testing.T, p Plan) Summary {
		from := time.Now().Add(20 * time.Second)
		records, pace := collect(t, t.Context(), p, func(ctx context.Context, call int) (Reply, error) {
			if now := time.Now(); !now.Before(from) && now.Before(from.Add(stall)) {
				time.Sleep(time.Until(from.Add(stall)))
			}
			return takes(work)(ctx, call)
		})
		return Summarize(records, pace)
	}
	bubble(t, func(t *testing.T) {
		// Of n calls, rate x stall wait, for times spread evenly from zero to the stall: one in a
		// hundred of all calls waits longer than this.
		n := rate * duration.Seconds()
		want := stall + work - time.Duration(0.01*n/rate*float64(time.Second))
		open := run(t, Plan{Rate: rate, Duration: duration})
		if off := math.Abs(float64(open.P99)/float64(want) - 1); off > 0.05 {
			t.Errorf("open loop: p99 %v, want %v within 5%%", open.P99, want)
		}
		if open.Max != stall+work || open.P50.Round(time.Millisecond) != work || open.Calls() != int(n) || open.Pace != (Pace{}) {
			t.Errorf("open loop: %+v", open)
		}
		closed := run(t, Plan{Workers: 1, Duration: duration})
		if closed.Calls() < int(n)*9/10 || closed.P999.Round(time.Millisecond) != work || closed.Max != stall+work {
			t.Errorf("closed loop: %+v; want one call that shows the stall, and p99.9 %v", closed, work)
		}
	})
}

func TestCallsWaitForAPlace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		records, pace := collect(t, t.Context(), Plan{Rate: 10, Calls: 5, MaxUnderWay: 1}, takes(time.Second))
		for i, r := range records {
			// Due every 100 ms, started every second.
			if want := time.Second + time.Duration(i)*900*time.Millisecond; r.Latency() != want || r.Duration != time.Second {
				t.Errorf("call %d: latency %v, duration %v; want %v and a second", r.Call, r.Latency(), r.Duration, want)
			}
		}
		if want := (Pace{Waited: 4}); len(records) != 5 || pace != want {
			t.Errorf("%d calls, %+v; want 5, %+v", len(records), pace, want)
		}
	})
}

func TestPlacesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var calls peak
		_, pace := collect(t, t.Context(), Plan{Rate: 20_000, Calls: 12_000}, func(ctx context.Context, call int) (Reply, error) {
			calls.begin()
			defer calls.end()
			return takes(10*time.Second)(ctx, call)
		})
		if calls.most != DefaultMaxUnderWay || pace.Waited != 2000 || pace.Late != 0 {
			t.Errorf("at most %d under way, %+v; want %d, and 2000 that waited", calls.most, pace, DefaultMaxUnderWay)
		}
	})
}

// Calls that were due but never made are counted: they would have had the longest latencies.
func TestCallsThatNeverStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		began := time.Now()
		p := Plan{Rate: 10, Duration: 2 * time.Second, Warmup: time.Second, MaxUnderWay: 1}
		records, pace := collect(t, t.Context(), p, takes(10*time.Second))
		if want := (Pace{Late: 10, Unmade: 10}); len(records) != 1 || pace != want || time.Since(began) != 10*time.Second {
			t.Errorf("%d calls, %+v after %v; want the first one to end, and %+v", len(records), pace, time.Since(began), want)
		}
		if s := Summarize(records, pace); s.Kept() {
			t.Errorf("%+v: want a load that was not kept", s)
		}
	})
}

func TestOpenLoopInterrupted(t *testing.T) {
	for name, tt := range map[string]struct {
		after time.Duration
		calls int
		want  Pace
	}{
		"between calls": {1450 * time.Millisecond, 2, Pace{Interrupted: true}},
		"in a call":     {1050 * time.Millisecond, 2, Pace{Interrupted: true}},
		"in the last":   {9050 * time.Millisecond, 10, Pace{Interrupted: true}},
		"after it":      {time.Minute, 10, Pace{}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.after)
				defer cancel()
				records, pace := collect(t, ctx, Plan{Rate: 1, Calls: 10}, takes(100*time.Millisecond))
				if len(records) != tt.calls || pace != tt.want {
					t.Errorf("%d calls, %+v; want %d, %+v", len(records), pace, tt.calls, tt.want)
				}
			})
		})
	}
}

// Goroutines of calls that are due at the same time run in any order: at the end, a call may be
// left out although a later one has started. The numbers still have no gap.
func TestNumbersHaveNoGaps(t *testing.T) {
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		// More calls than may be under way: the load cannot be over before the context is.
		records, pace := collect(t, ctx, Plan{Rate: MaxRate, Calls: 3000 + 2*DefaultMaxUnderWay}, func(ctx context.Context, call int) (Reply, error) {
			if call == 3000 {
				cancel()
			} else if call > 3000 {
				<-ctx.Done()
			}
			return Reply{}, nil
		})
		if !pace.Interrupted || len(records) < 3000 || records[len(records)-1].Call != len(records) {
			t.Errorf("%d calls, the last one number %d; %+v", len(records), records[len(records)-1].Call, pace)
		}
	}
}

// slow is a context that makes a generator too slow: the generator calls its Err method before each
// call.
type slow struct {
	context.Context
	each time.Duration
}

func (s slow) Err() error {
	time.Sleep(s.each)
	return s.Context.Err()
}

func TestGeneratorThatDoesNotKeepUp(t *testing.T) {
	for _, p := range []Plan{{Rate: 1000, Calls: 500}, {Rate: 1000, Duration: 500 * time.Millisecond}} {
		bubble(t, func(t *testing.T) {
			records, pace := collect(t, slow{t.Context(), 2 * time.Millisecond}, p, takes(0))
			s := Summarize(records, pace)
			if s.Kept() || s.Calls()+pace.Unmade != 500 || s.Achieved > 0.9*s.Offered {
				t.Errorf("%+v of 500 calls; want many that are late, and fewer a second than the %v offered", pace, s.Offered)
			}
			if (p.Duration == 0) != (pace.Unmade == 0) || s.Calls() == 0 {
				t.Errorf("%d calls and %d unmade within %v", s.Calls(), pace.Unmade, p.Duration)
			}
			if late := lateOf(records); pace.Late != late+pace.Unmade || late == 0 || pace.Waited != 0 {
				t.Errorf("%+v; want the %d calls that started late and the unmade ones", pace, late)
			}
		})
	}
}

// lateOf counts the calls that started too late, if each has a place at once.
func lateOf(records []Record) int {
	n := 0
	for _, r := range records {
		if r.Start.Sub(r.Intended) > Tolerance {
			n++
		}
	}
	return n
}

func TestKept(t *testing.T) {
	for _, tt := range []struct {
		late, calls int
		want        bool
	}{{0, 0, true}, {0, 10, true}, {1, 99, false}, {1, 100, true}, {10, 1000, true}, {11, 1000, false}, {5, 0, false}} {
		if got := (Pace{Late: tt.late}).Kept(tt.calls); got != tt.want {
			t.Errorf("%d late of %d: kept %v, want %v", tt.late, tt.calls, got, tt.want)
		}
	}
}
