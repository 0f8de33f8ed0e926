package workload

import (
	"errors"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
)

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
		ok(2, "b:1", 30*time.Millisecond, failover.OutcomeLost, failover.OutcomeRefused),
		ok(3, "a:1", 20*time.Millisecond, failover.OutcomeTimeout),
		{Call: 4, Duration: time.Hour, Err: errors.New("all failed"), Reply: Reply{Attempts: []failover.Attempt{{Outcome: failover.OutcomeRefused}}}},
		{Call: 5, Duration: time.Hour, Err: errors.New("stopped"), Interrupted: true},
	}, Pace{})
	if s.Succeeded != 3 || s.Failed != 1 || s.Interrupted != 1 || s.Served["a:1"] != 2 || s.Served["b:1"] != 1 {
		t.Errorf("totals: %+v", s)
	}
	if !near(s.P50, 20*time.Millisecond) || s.P95 != 30*time.Millisecond || s.P99 != 30*time.Millisecond || s.Max != s.P99 {
		t.Errorf("latency %v %v %v, want that of successes alone", s.P50, s.P95, s.P99)
	}
	if s.Attempts != 7 || s.Outcomes[failover.OutcomeRefused] != 2 || s.Outcomes[failover.OutcomeOK] != 3 || s.AttemptsPerCall() != 1.4 {
		t.Errorf("attempts: %+v", s)
	}
	if s.SuccessRate() != 0.75 {
		t.Errorf("success rate %v, want 3 of 4", s.SuccessRate())
	}
	if z := Summarize(nil, Pace{}); z.SuccessRate() != 0 || z.AttemptsPerCall() != 0 || z.P50 != 0 {
		t.Errorf("nothing done: %+v", z)
	}
}

// Quantiles of enough latencies to distinguish them, in any order of the calls.
func TestSummarizeQuantiles(t *testing.T) {
	var records []Record
	for i := range 2000 {
		records = append(records, Record{Duration: time.Duration(2000-i) * time.Millisecond})
	}
	s := Summarize(records, Pace{})
	for want, got := range map[time.Duration]time.Duration{1000: s.P50, 1800: s.P90, 1900: s.P95, 1980: s.P99, 1998: s.P999} {
		if want *= time.Millisecond; !near(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	if s.Max != 2*time.Second {
		t.Errorf("the longest is %v, want 2s", s.Max)
	}
	if s := Summarize([]Record{{Duration: 1000 * time.Hour}}, Pace{}); s.Max != 1000*time.Hour || !near(s.P50, 24*time.Hour) {
		t.Errorf("beyond the range: %+v", s)
	}
}

// near reports whether a quantile equals the value to three digits.
func near(got, want time.Duration) bool { return (got - want).Abs() <= want/1000 }

func TestSummarizeCountsFromWhenCallsWereDue(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	pace := Pace{Late: 3}
	s := Summarize([]Record{
		{Intended: at(0), Start: at(0), Duration: time.Hour, Warmup: true, Reply: Reply{Attempts: make([]failover.Attempt, 1)}},
		{Intended: at(1000), Start: at(1000), Duration: 100 * time.Millisecond},
		{Intended: at(1200), Start: at(2500), Duration: 500 * time.Millisecond},
		{Intended: at(1100), Start: at(2000), Duration: 100 * time.Millisecond},
	}, pace)
	if s.Succeeded != 3 || s.Warmup != 1 || s.Attempts != 0 || s.Pace != pace {
		t.Errorf("got %+v, want the warm-up left out", s)
	}
	if s.Max != 1800*time.Millisecond || !near(s.P50, time.Second) {
		t.Errorf("p50 %v, max %v, want them from when the calls were due", s.P50, s.Max)
	}
	if s.Offered != 10 || s.Achieved != 2/1.5 || s.Throughput != 1.5 {
		t.Errorf("offered %v/s, achieved %v/s, succeeded %v/s", s.Offered, s.Achieved, s.Throughput)
	}
}

func TestSummarizeCountsEveryAttempt(t *testing.T) {
	s := Summarize([]Record{{Err: errors.New("stopped"), Interrupted: true, Reply: Reply{Attempts: []failover.Attempt{{Outcome: failover.OutcomeCanceled}}}}}, Pace{})
	if s.Attempts != 1 || s.Outcomes[failover.OutcomeCanceled] != 1 {
		t.Errorf("got %d attempts, %d canceled, want the interrupted call's one", s.Attempts, s.Outcomes[failover.OutcomeCanceled])
	}
	for _, o := range failover.Outcomes() {
		if _, ok := s.Outcomes[o]; !ok {
			t.Errorf("%v is not among the outcomes", o)
		}
	}
}
