package experiment

import (
	"slices"
	"time"

	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/stats"
	"example.com/crashlab/supervisor/event"
)

// summarizeTrial summarizes the records of a trial, without checking them.
func summarizeTrial(t record.TrialRecords) TrialSummary {
	s := TrialSummary{
		Trial: t.Trial, Outcomes: map[failover.Outcome]int{}, Reasons: map[string]int{}, Replicas: map[string]ReplicaSummary{},
	}
	for _, o := range failover.Outcomes() {
		s.Outcomes[o] = 0
	}
	for name := range t.Addrs {
		s.Replicas[name] = ReplicaSummary{}
	}
	var span span
	latencies := make([]time.Duration, 0, len(t.Calls))
	for _, c := range t.Calls {
		switch {
		case c.Warmup: // before interruption, so that each call is counted once
			s.Warmup++
			continue
		case c.Result == record.ResultInterrupted:
			s.Interrupted++
			continue
		case c.Result == record.ResultOK:
			s.Succeeded++
			latencies = append(latencies, c.Latency())
		default:
			s.Failed++
			s.Reasons[c.Reason]++
		}
		span.add(c)
		s.addAttempts(c.Attempts)
	}
	slices.Sort(latencies)
	s.P50, s.P90, s.P99 = stats.Quantile(latencies, 0.5), stats.Quantile(latencies, 0.9), stats.Quantile(latencies, 0.99)
	s.Max = stats.Quantile(latencies, 1)
	s.Makespan = span.last - span.first
	s.addEvents(t.Events)
	return s
}

// span is the time from the first call's intended start to the last call's end.
type span struct {
	any         bool
	first, last time.Duration
}

func (s *span) add(c record.Call) {
	if !s.any {
		*s = span{true, c.Intended, c.End()}
	}
	s.first, s.last = min(s.first, c.Intended), max(s.last, c.End())
}

func (s *TrialSummary) addAttempts(attempts []record.Attempt) {
	for _, a := range attempts {
		s.Attempts++
		if a.Sent {
			s.Sent++
		}
		s.Outcomes[a.Outcome]++
		r := s.Replicas[a.Replica]
		switch a.Outcome {
		case failover.OutcomeOK:
			r.Served++
		case failover.OutcomeLost:
			r.Lost++
		case failover.OutcomeRefused:
			r.Refused++
		case failover.OutcomeTimeout:
			r.Timeout++
		default:
			r.Other++
		}
		s.Replicas[a.Replica] = r
	}
}

// addEvents counts launches and crashes. A crash is an exit that the supervisor did not request.
func (s *TrialSummary) addEvents(events []record.Event) {
	requested := map[string]int{} // the incarnation of each replica that was told to exit
	for _, e := range events {
		p := e.Process
		if p == nil || p.Replica == "" {
			continue
		}
		r := s.Replicas[p.Replica]
		switch p.Kind {
		case event.KindLaunched:
			r.Launches++
		case event.KindStopping, event.KindKilled:
			requested[p.Replica] = p.Incarnation
		case event.KindExited:
			if requested[p.Replica] != p.Incarnation {
				r.Crashes++
			}
		}
		s.Replicas[p.Replica] = r
	}
}

// calls returns how many calls count.
func (s TrialSummary) calls() int { return s.Succeeded + s.Failed }
