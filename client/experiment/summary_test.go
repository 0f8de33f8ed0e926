package experiment

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/supervisor/event"
)

// eventful returns a trial with one call of each kind.
func eventful() record.TrialRecords {
	attempt := func(replica string, o failover.Outcome, sent bool) record.Attempt {
		return record.Attempt{Replica: replica, Outcome: o, Sent: sent}
	}
	process := func(kind event.Kind, replica string, incarnation int) record.Event {
		return record.Event{Process: &event.Event{Kind: kind, Replica: replica, Incarnation: incarnation}}
	}
	return record.TrialRecords{
		Trial: record.Trial{Addrs: map[string]string{"a": "127.0.0.1:7101", "b": "127.0.0.1:7102", "c": "127.0.0.1:7103"}},
		Calls: []record.Call{
			{Warmup: true, Intended: 0, Duration: 900 * ms, Attempts: []record.Attempt{attempt("a", failover.OutcomeOK, true)}},
			{Warmup: true, Result: record.ResultInterrupted, Duration: 900 * ms},
			{Intended: 100 * ms, Start: 160 * ms, Duration: 40 * ms, Attempts: []record.Attempt{
				attempt("a", failover.OutcomeLost, true), attempt("b", failover.OutcomeOK, true)}},
			{Intended: 50 * ms, Start: 50 * ms, Duration: 20 * ms, Attempts: []record.Attempt{attempt("b", failover.OutcomeOK, true)}},
			{Intended: 200 * ms, Start: 200 * ms, Duration: 300 * ms, Result: record.ResultFailed, Reason: "deadline",
				Attempts: []record.Attempt{attempt("a", failover.OutcomeRefused, false), attempt("b", failover.OutcomeTimeout, true),
					attempt("a", failover.OutcomeRejected, true)}},
			{Result: record.ResultInterrupted, Intended: 300 * ms, Start: 300 * ms, Duration: 700 * ms, Attempts: []record.Attempt{
				attempt("a", failover.OutcomeCanceled, true)}},
		},
		Events: []record.Event{
			process(event.KindLaunched, "a", 1), process(event.KindExited, "a", 1), process(event.KindLaunched, "a", 2),
			process(event.KindLaunched, "b", 1), {Count: &record.Count{Replica: "a"}}, process(event.KindGuardianLost, "", 0),
			process(event.KindStopping, "a", 2), process(event.KindExited, "a", 2),
			process(event.KindKilled, "b", 1), process(event.KindExited, "b", 1),
		},
	}
}

func TestTrialSummary(t *testing.T) {
	s := summarizeTrial(eventful())
	if s.Succeeded != 2 || s.Failed != 1 || s.Warmup != 2 || s.Interrupted != 1 {
		t.Errorf("succeeded %d, failed %d, warm-up %d, interrupted %d", s.Succeeded, s.Failed, s.Warmup, s.Interrupted)
	}
	if s.Attempts != 6 || s.Sent != 5 {
		t.Errorf("%d attempts, %d sent, want 6 and 5", s.Attempts, s.Sent)
	}
	outcomes := map[failover.Outcome]int{failover.OutcomeOK: 2, failover.OutcomeRefused: 1, failover.OutcomeLost: 1, failover.OutcomeFailed: 0,
		failover.OutcomeTimeout: 1, failover.OutcomeRejected: 1, failover.OutcomeCanceled: 0}
	if !maps.Equal(s.Outcomes, outcomes) || !maps.Equal(s.Reasons, map[string]int{"deadline": 1}) {
		t.Errorf("outcomes %v, reasons %v", s.Outcomes, s.Reasons)
	}
	replicas := map[string]ReplicaSummary{
		"a": {Lost: 1, Refused: 1, Other: 1, Launches: 2, Crashes: 1},
		"b": {Served: 2, Timeout: 1, Launches: 1},
		"c": {},
	}
	if !maps.Equal(s.Replicas, replicas) {
		t.Errorf("replicas %+v", s.Replicas)
	}
	// From the intended start: the first call waited 60 ms before it started.
	if s.P50 != 20*ms || s.P90 != 100*ms || s.P99 != 100*ms || s.Max != 100*ms {
		t.Errorf("p50 %v, p90 %v, p99 %v, max %v", s.P50, s.P90, s.P99, s.Max)
	}
	if s.Makespan != 450*ms {
		t.Errorf("makespan %v, want 450 ms: from 50 to 500", s.Makespan)
	}
	if empty := summarizeTrial(record.TrialRecords{}); empty.Makespan != 0 || empty.P99 != 0 || len(empty.Outcomes) != 7 {
		t.Errorf("of no call: %+v", empty)
	}
}

func TestMetrics(t *testing.T) {
	run := madeUp(cell("concurrency", "5"))
	add(run, 0, 10, 50, 10*ms)
	add(run, 0, 20, 50, 20*ms)
	extra := &add(run, 0, 30, 50, 30*ms).Calls[0]
	extra.Attempts = append(extra.Attempts, record.Attempt{Outcome: failover.OutcomeRefused},
		record.Attempt{Outcome: failover.OutcomeLost, Sent: true})
	add(run, 0, 50, 50, time.Second).Interrupted = true
	s := summarize(run, unchecked).Cells[0]
	for m, want := range map[design.Metric]float64{
		design.Success: 0.4, design.Successes: 20, design.P50: 0.02, design.P90: 0.02, design.P99: 0.02,
		design.Attempts: 151.0 / 150, design.Tries: 152.0 / 150, design.Throughput: 60 / 3.0, design.Makespan: 1,
	} {
		i := s.Metrics[m]
		if math.Abs(i.Estimate-want) > 1e-9 || i.N != 3 || !(i.Low < want && want < i.High) {
			t.Errorf("%s: %+v, want %v of 3 trials", m, i, want)
		}
	}
	if share, number := s.Metrics[design.Success], s.Metrics[design.Successes]; math.Abs(number.High-50*share.High) > 1e-9 {
		t.Errorf("up to %v of 50 calls, but a share of up to %v", number.High, share.High)
	}
	// The shares .2, .4 and .6 have a standard error of .1155, against .04 of 150 independent
	// calls.
	if math.Abs(s.DesignEffect-8.33) > 0.01 || s.TrialsNeeded != 1540 {
		t.Errorf("design effect %v, %d trials needed", s.DesignEffect, s.TrialsNeeded)
	}
	if len(s.Trials) != 4 {
		t.Errorf("%d trials, want all 4", len(s.Trials))
	}
}

func TestTrialsOfDifferentLengths(t *testing.T) {
	run := madeUp(cell("concurrency", "5"))
	add(run, 0, 10, 50, ms)
	add(run, 0, 80, 100, ms)
	add(run, 0, 30, 60, ms)
	m := summarize(run, unchecked).Cells[0].Metrics
	if got := m[design.Success].Estimate; math.Abs(got-120.0/210) > 1e-9 {
		t.Errorf("share %v, want that of all calls", got)
	}
	if got := m[design.Successes]; got.Estimate != 40 || got.High < 80 {
		t.Errorf("successes %+v, want 40 without a bound at any trial's calls", got)
	}
}

// A trial without a success has no latency, which a warning says.
func TestTrialsWithoutASuccess(t *testing.T) {
	run := addAll(madeUp(cell("concurrency", "5")), 0, 0, 0, 10, 20, 30)
	p99 := summarize(run, unchecked).Cells[0].Metrics[design.P99]
	if p99.N != 3 || !slices.Contains(p99.Warnings, "trials without a success left out: 2") {
		t.Errorf("%+v", p99)
	}
	run = addAll(madeUp(cell("concurrency", "5"), cell("concurrency", "10")), 0, 0, 0)
	s := summarize(run, unchecked)
	if _, known := s.Cells[0].Metrics[design.P99]; known {
		t.Error("a latency without any success")
	}
	if share := s.Cells[0].Metrics[design.Success]; share.High < 0.03 || share.High > 0.04 {
		t.Errorf("share %+v, want up to 3.7 of 100 calls", share)
	}
	if n := len(s.Cells[1].Metrics); n != 0 {
		t.Errorf("%d metrics of a cell without trials", n)
	}
}

func TestEveryMetricHasAValue(t *testing.T) {
	for _, m := range design.Metrics() {
		if i := sample([]TrialSummary{summarizeTrial(eventful())}, m).Interval(); i.N != 1 || strings.Contains(i.Method, "t") {
			t.Errorf("%s: %+v", m, i)
		}
	}
}

func BenchmarkSummarize50000(b *testing.B) {
	run := manyCalls()
	for b.Loop() {
		summarize(run, unchecked)
	}
}
