package workload

import (
	"time"

	"example.com/crashlab/client/failover"
)

// Summary is what a run's records say together. Calls of the warm-up count for nothing but Warmup.
type Summary struct {
	Succeeded, Failed int
	// Interrupted calls were ended by the end of the run; they count neither as succeeded nor as
	// failed.
	Interrupted int
	// Warmup is how many calls were due in the warm-up.
	Warmup int
	// Served is the number of successes for each replica that had one.
	Served map[string]int
	// Attempts counts all attempts, those of interrupted calls among them; Outcomes counts them by
	// outcome, and has every outcome.
	Attempts int
	Outcomes map[failover.Outcome]int
	// P50 to P999 are quantiles of the latency of the calls that succeeded, from when they were
	// due, to three digits; Max is the longest. A latency above a day counts as one in the
	// quantiles. Zero without successes.
	P50, P90, P95, P99, P999, Max time.Duration
	// Offered is how many of the calls that were made were due a second, Achieved how many were
	// started. Zero with fewer than two calls.
	Offered, Achieved float64
	// Throughput is how many calls succeeded a second, from when the first was due to the last
	// one's end.
	Throughput float64
	// Pace is how well the load kept to its plan.
	Pace Pace
}

// Summarize returns the summary of the records of a run that kept to its plan so well.
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

// Calls is the number of calls made, those of the warm-up left out.
func (s Summary) Calls() int { return s.Succeeded + s.Failed + s.Interrupted }

// Kept reports whether the load was the one that was planned, see [Pace.Kept].
func (s Summary) Kept() bool { return s.Pace.Kept(s.Calls()) }

// SuccessRate is the share of the calls that succeeded, interrupted ones left out; zero without
// any.
func (s Summary) SuccessRate() float64 {
	if s.Succeeded == 0 {
		return 0
	}
	return float64(s.Succeeded) / float64(s.Succeeded+s.Failed)
}

// AttemptsPerCall is the mean number of attempts of a call; zero without calls.
func (s Summary) AttemptsPerCall() float64 {
	if s.Calls() == 0 {
		return 0
	}
	return float64(s.Attempts) / float64(s.Calls())
}

// span is the time between the first and the last of some moments.
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

// rate is how many moments there were a second: n moments have n-1 times between them.
func (s span) rate() float64 {
	if between := s.last.Sub(s.first); between > 0 {
		return float64(s.n-1) / between.Seconds()
	}
	return 0
}
