package workload

import (
	"time"

	"example.com/crashlab/client/failover"
)

// Summary summarizes the records of a run. Calls of the warm-up count only for Warmup.
type Summary struct {
	Succeeded, Failed int
	// Interrupted is the number of calls that the end of the run interrupted. They count neither as
	// succeeded nor as failed.
	Interrupted int
	// Warmup is the number of calls that were due in the warm-up.
	Warmup int
	// Served is the number of successes for each replica that had one.
	Served map[string]int
	// Attempts is the number of attempts, including those of interrupted calls. Outcomes has the
	// number for each outcome, including zeros.
	Attempts int
	Outcomes map[failover.Outcome]int
	// P50 to P999 are quantiles of the latency of successful calls, from when they were due, with
	// three significant digits; Max is the longest latency. In the quantiles, a latency of more
	// than a day counts as a day. They are zero without a success.
	P50, P90, P95, P99, P999, Max time.Duration
	// Offered is the rate at which the calls that were made were due, Achieved the rate at which
	// they started, in calls a second. Zero with fewer than two calls.
	Offered, Achieved float64
	// Throughput is the number of successful calls a second, from when the first call was due to
	// the end of the last one.
	Throughput float64
	Pace       Pace
}

// Summarize returns the summary of the records of a run with that pace.
func Summarize(records []Record, pace Pace) Summary {
	s := Summary{Served: map[string]int{}, Outcomes: map[failover.Outcome]int{}, Pace: pace}
	for _, o := range failover.Outcomes() {
		s.Outcomes[o] = 0
	}
	var latencies Latencies
	var due, started, ended span
	for _, r := range records {
		if r.Warmup {
			s.Warmup++
			continue
		}
		due.add(r.Intended)
		started.add(r.Start)
		ended.add(r.Start.Add(r.Duration))
		s.Attempts += len(r.Attempts)
		for _, a := range r.Attempts {
			s.Outcomes[a.Outcome]++
		}
		switch {
		case r.Interrupted:
			s.Interrupted++
		case r.Err != nil:
			s.Failed++
		default:
			s.Succeeded++
			s.Served[r.Served()]++
			latencies.Add(r.Latency())
		}
	}
	s.Offered, s.Achieved = due.rate(), started.rate()
	if took := ended.last.Sub(due.first); took > 0 {
		s.Throughput = float64(s.Succeeded) / took.Seconds()
	}
	s.P50, s.P90, s.P95, s.P99 = latencies.Quantile(0.50), latencies.Quantile(0.90), latencies.Quantile(0.95), latencies.Quantile(0.99)
	s.P999, s.Max = latencies.Quantile(0.999), latencies.longest
	return s
}

// Calls returns the number of calls made, without those of the warm-up.
func (s Summary) Calls() int { return s.Succeeded + s.Failed + s.Interrupted }

// Kept reports whether the load kept to its plan; see [Pace.Kept].
func (s Summary) Kept() bool { return s.Pace.Kept(s.Calls()) }

// SuccessRate returns the share of calls that succeeded, without interrupted ones, or zero without
// calls.
func (s Summary) SuccessRate() float64 {
	if s.Succeeded == 0 {
		return 0
	}
	return float64(s.Succeeded) / float64(s.Succeeded+s.Failed)
}

// AttemptsPerCall returns the mean number of attempts of a call, or zero without calls.
func (s Summary) AttemptsPerCall() float64 {
	if s.Calls() == 0 {
		return 0
	}
	return float64(s.Attempts) / float64(s.Calls())
}

// span is the time between the first and the last of n points in time.
type span struct {
	n           int
	first, last time.Time
}

func (s *span) add(t time.Time) {
	if s.n == 0 || t.Before(s.first) {
		s.first = t
	}
	if s.n == 0 || t.After(s.last) {
		s.last = t
	}
	s.n++
}

// rate returns the number of points a second: n points have n-1 intervals.
func (s span) rate() float64 {
	if between := s.last.Sub(s.first); between > 0 {
		return float64(s.n-1) / between.Seconds()
	}
	return 0
}
