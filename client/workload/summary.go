package workload

import (
	"slices"
	"time"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/stats"
)

// Summary is what a run's records say together.
type Summary struct {
	Succeeded, Failed int
	// Interrupted calls were ended by the end of the run; they count neither as succeeded nor as failed.
	Interrupted int
	// Served is the number of successes for each replica that had one.
	Served map[string]int
	// Attempts counts all attempts, those of interrupted calls among them; Outcomes counts them by outcome, and has
	// every outcome.
	Attempts int
	Outcomes map[failover.Outcome]int
	// P50, P95 and P99 are quantiles of the latency of the calls that succeeded; zero without any.
	P50, P95, P99 time.Duration
}

// Summarize returns the summary of the records.
func Summarize(records []Record) Summary {
	s := Summary{Served: map[string]int{}, Outcomes: map[failover.Outcome]int{}}
	for _, o := range failover.Outcomes() {
		s.Outcomes[o] = 0
	}
	var latencies []time.Duration
	for _, r := range records {
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
			latencies = append(latencies, r.Duration)
		}
	}
	slices.Sort(latencies)
	s.P50, s.P95, s.P99 = stats.Quantile(latencies, 0.50), stats.Quantile(latencies, 0.95), stats.Quantile(latencies, 0.99)
	return s
}

// Calls is the number of calls made.
func (s Summary) Calls() int { return s.Succeeded + s.Failed + s.Interrupted }

// SuccessRate is the share of the calls that succeeded, interrupted ones left out; zero without any.
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
