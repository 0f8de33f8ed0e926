package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"google.golang.org/grpc/status"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
)

// printCall writes the lines of one call, in the format of the original course's client.
func printCall(to io.Writer, r workload.Record) {
	w := new(strings.Builder)
	fmt.Fprintf(w, "[Client] === Logical Request %d ===\n", r.Call)
	for i, a := range r.Attempts {
		fmt.Fprintf(w, "[Client] Attempt %d: trying replica %s\n", i+1, a.Replica)
		if a.Outcome == failover.OutcomeOK {
			fmt.Fprintf(w, "[Client] Success from %s -> OK %d\n", a.Replica, r.Value)
		} else {
			what := strings.TrimPrefix(a.String(), a.Replica+" ")
			fmt.Fprintf(w, "[Client] Failed with %s: %s: %s\n", a.Replica, what, message(a.Err))
		}
	}
	switch {
	case r.Err == nil:
		fmt.Fprintf(w, "Request %d served by %s with reply \"OK %d\"\n", r.Call, r.Served(), r.Value)
	case r.Interrupted:
		fmt.Fprintf(w, "[Client] Logical Request %d interrupted after %s.\n", r.Call, plural(len(r.Attempts), "attempt"))
	default:
		fmt.Fprintf(w, "[Client] Logical Request %d failed: %s after %s. Last error: %s\n",
			r.Call, verdict(r), plural(len(r.Attempts), "attempt"), lastError(r))
	}
	_ = printLines(to, w.String(), "    ")
}

// verdict returns why a failed call was not tried again.
func verdict(r workload.Record) string {
	failed, ok := errors.AsType[*failover.Error](r.Err)
	n := len(r.Attempts)
	switch {
	case !ok || failed.Reason == failover.ReasonRoundsSpent:
		return "All replicas failed"
	case failed.Reason == failover.ReasonNotRetryable && n > 0:
		return r.Attempts[n-1].Replica + " rejected it"
	default:
		return strings.ToUpper(failed.Reason.String()[:1]) + failed.Reason.String()[1:]
	}
}

func lastError(r workload.Record) string {
	if n := len(r.Attempts); n > 0 && r.Attempts[n-1].Err != nil {
		return message(r.Attempts[n-1].Err)
	}
	if failed, ok := errors.AsType[*failover.Error](r.Err); ok {
		return cause(failed)
	}
	return message(r.Err)
}

// cause returns the error that ended a failed call. For a call without attempts it includes the
// state of each replica.
func cause(failed *failover.Error) string {
	if _, what, ok := strings.Cut(failed.Error(), " failed: "); ok && len(failed.Attempts) == 0 {
		return what
	}
	return message(errors.Unwrap(failed))
}

// message returns the message of a gRPC error without its code, which the outcome implies.
func message(err error) string { return status.Convert(err).Message() }

// result is a run to print.
type result struct {
	workload.Summary
	flags    connection
	plan     workload.Plan
	elapsed  time.Duration
	replicas []string // all of them, including those that served nothing
	sent     bool     // at least one attempt was sent
}

const rule = "=================================================="

// print writes the statistics for people: the block that the original course's client prints, then
// others.
func (r result) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s\nPER-REPLICA STATISTICS\n%s\n", rule, rule)
	for _, addr := range r.replicas {
		fmt.Fprintf(&b, "Replica %s served %d successful requests\n", addr, r.Served[addr])
	}
	fmt.Fprintf(&b, "\nTotal succeeded: %d, Total failed: %d\n%s\n", r.Succeeded, r.Failed, rule)
	if r.Interrupted > 0 {
		fmt.Fprintf(&b, "Interrupted: %d\n", r.Interrupted)
	}
	fmt.Fprintf(&b, "Success rate: %.1f%%, %s in %v\n", 100*r.SuccessRate(), plural(r.Calls(), "call"), rounded(r.elapsed))
	if r.plan.Warmup > 0 {
		fmt.Fprintf(&b, "Left out, due in the warm-up: %s\n", plural(r.Warmup, "call"))
	}
	if r.plan.Rate > 0 {
		fmt.Fprintf(&b, "Open loop, calls per second: offered %s, achieved %s; latency is from when a call was due\n", perSecond(r.Offered), perSecond(r.Achieved))
		fmt.Fprintf(&b, "Pace: %s\n", r.lateness())
	}
	fmt.Fprintf(&b, "Throughput: %s successful calls per second\n", perSecond(r.Throughput))
	if r.Succeeded > 0 {
		fmt.Fprintf(&b, "Latency of successful calls: p50 %v, p90 %v, p95 %v, p99 %v, p99.9 %v, max %v\n",
			rounded(r.P50), rounded(r.P90), rounded(r.P95), rounded(r.P99), rounded(r.P999), rounded(r.Max))
	} else {
		fmt.Fprintln(&b, "Latency of successful calls: none")
	}
	fmt.Fprintf(&b, "Attempts per call: %.2f\n", r.AttemptsPerCall())
	var byOutcome []string
	for _, o := range failover.Outcomes() {
		byOutcome = append(byOutcome, fmt.Sprintf("%v %d", o, r.Outcomes[o]))
	}
	fmt.Fprintf(&b, "Attempts by outcome: %s\n", strings.Join(byOutcome, ", "))
	return printLines(w, b.String(), "  ")
}

// lateness returns a line about how well an open loop kept its rate.
func (r result) lateness() string {
	text := fmt.Sprintf("%d of %s started more than %v after they were due, or never", r.Pace.Late, plural(r.Calls()+r.Pace.Unmade, "call"), workload.Tolerance)
	if r.Pace.Unmade > 0 {
		text += fmt.Sprintf(" (%d)", r.Pace.Unmade)
	}
	if r.Pace.Waited > 0 {
		text += fmt.Sprintf("; %d waited because %d were under way", r.Pace.Waited, workload.DefaultMaxUnderWay)
	}
	return text
}

// perSecond formats a rate with its significant digits.
func perSecond(rate float64) string {
	if rate < 10 {
		return fmt.Sprintf("%.3g", rate)
	}
	return fmt.Sprintf("%.1f", rate)
}

// printJSON writes the same as one JSON object. Durations are in milliseconds.
func (r result) printJSON(w io.Writer) error {
	type quantiles struct {
		P50  float64 `json:"p50"`
		P90  float64 `json:"p90"`
		P95  float64 `json:"p95"`
		P99  float64 `json:"p99"`
		P999 float64 `json:"p99.9"`
		Max  float64 `json:"max"`
	}
	var arrivals string
	var seed uint64
	if r.plan.Rate > 0 {
		arrivals = r.plan.Arrivals.String()
	}
	if r.plan.Arrivals == workload.ArrivalsPoisson {
		seed = r.plan.Seed
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(struct {
		Target          string                   `json:"target"`
		Timeout         float64                  `json:"timeout_ms"`
		Rounds          int                      `json:"rounds"`
		Pause           float64                  `json:"pause_ms"`
		Deadline        float64                  `json:"deadline_ms"`
		Order           string                   `json:"order"`
		WhenDown        string                   `json:"when_down"`
		MaxInFlight     string                   `json:"max_in_flight"`
		Budget          float64                  `json:"budget"`
		BudgetPerSecond float64                  `json:"budget_per_second"`
		BudgetBurst     int                      `json:"budget_burst"`
		EjectAfter      int                      `json:"eject_after"`
		HedgeAfter      float64                  `json:"hedge_after_ms"`
		OnlyUnsent      bool                     `json:"only_unsent"`
		Concurrency     int                      `json:"concurrency"` // zero in an open loop
		Rate            float64                  `json:"rate"`        // zero in a closed loop
		Arrivals        string                   `json:"arrivals,omitempty"`
		Seed            uint64                   `json:"seed,omitempty"`
		Duration        float64                  `json:"duration_ms"` // zero: as long as the calls take
		Warmup          float64                  `json:"warmup_ms"`
		Succeeded       int                      `json:"succeeded"`
		Failed          int                      `json:"failed"`
		Interrupted     int                      `json:"interrupted"`
		WarmupCalls     int                      `json:"warmup_calls"`
		SuccessRate     float64                  `json:"success_rate"`
		Elapsed         float64                  `json:"elapsed_ms"`
		Offered         float64                  `json:"offered_per_second"`
		Achieved        float64                  `json:"achieved_per_second"`
		Throughput      float64                  `json:"throughput_per_second"`
		Late            int                      `json:"late"`
		Unmade          int                      `json:"unmade"`
		Waited          int                      `json:"waited"`
		Latency         quantiles                `json:"latency_ms"`
		Attempts        int                      `json:"attempts"`
		AttemptsPerCall float64                  `json:"attempts_per_call"`
		Outcomes        map[failover.Outcome]int `json:"outcomes"`
		Served          map[string]int           `json:"served"`
	}{
		Target: string(r.flags.Target), Timeout: ms(time.Duration(r.flags.Timeout)), Rounds: int(r.flags.Rounds),
		Pause: ms(time.Duration(r.flags.Pause)), Order: r.flags.Order.String(),
		Deadline: ms(time.Duration(r.flags.Deadline)), WhenDown: r.flags.WhenDown.String(), MaxInFlight: r.flags.MaxInFlight.String(),
		Budget: float64(r.flags.Budget), BudgetPerSecond: float64(r.flags.BudgetPerSecond), BudgetBurst: int(r.flags.BudgetBurst),
		EjectAfter: int(r.flags.EjectAfter), HedgeAfter: ms(time.Duration(r.flags.HedgeAfter)),
		OnlyUnsent:  r.flags.OnlyUnsent,
		Concurrency: r.plan.Workers, Rate: r.plan.Rate, Arrivals: arrivals, Seed: seed, Duration: ms(r.plan.Duration), Warmup: ms(r.plan.Warmup),
		Succeeded: r.Succeeded, Failed: r.Failed, Interrupted: r.Interrupted, WarmupCalls: r.Warmup, SuccessRate: r.SuccessRate(),
		Elapsed: ms(r.elapsed), Offered: r.Offered, Achieved: r.Achieved, Throughput: r.Throughput,
		Late: r.Pace.Late, Unmade: r.Pace.Unmade, Waited: r.Pace.Waited,
		Latency:  quantiles{ms(r.P50), ms(r.P90), ms(r.P95), ms(r.P99), ms(r.P999), ms(r.Max)},
		Attempts: r.Attempts, AttemptsPerCall: r.AttemptsPerCall(), Outcomes: r.Outcomes, Served: r.Served,
	})
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// progress shows on a terminal's stderr how many calls have ended.
type progress struct {
	line     *terminalLine
	plan     workload.Plan
	ok, fail int
	began    time.Time
	shown    time.Time
}

// newProgress returns a progress. It shows nothing if the calls are printed on a terminal too.
func newProgress(out output, plan workload.Plan, quiet bool) *progress {
	p := &progress{line: &terminalLine{}, plan: plan, began: time.Now()}
	if quiet || !isTerminal(out.stdout) {
		p.line = newTerminalLine(out.stderr, "")
	}
	return p
}

func (p *progress) add(r workload.Record) {
	switch {
	case r.Err == nil:
		p.ok++
	case !r.Interrupted:
		p.fail++
	}
	if p.line.w == nil || time.Since(p.shown) < 100*time.Millisecond {
		return
	}
	p.shown = time.Now()
	p.line.draw(fmt.Sprintf("%s, %d failed", p.done(), p.fail))
}

// done returns how much of the load is done: calls, time, or both.
func (p *progress) done() string {
	var done []string
	if p.plan.Calls > 0 {
		done = append(done, fmt.Sprintf("%d of %s", p.ok+p.fail, plural(p.plan.Calls, "call")))
	} else {
		done = append(done, plural(p.ok+p.fail, "call"))
	}
	if p.plan.Duration > 0 {
		done = append(done, fmt.Sprintf("%v of %v", time.Since(p.began).Round(time.Second), p.plan.Duration))
	}
	return strings.Join(done, ", ")
}

// clear removes the line.
func (p *progress) clear() { p.line.clear() }

// rounded returns a duration with three significant digits.
func rounded(d time.Duration) time.Duration {
	for _, unit := range []time.Duration{time.Second, time.Millisecond, time.Microsecond} {
		if d >= unit {
			return d.Round(unit / 100)
		}
	}
	return d
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
