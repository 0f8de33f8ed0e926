package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"google.golang.org/grpc/status"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
)

// printCall writes the lines of one call, in the words of the original lab.
func printCall(w io.Writer, r workload.Record) {
	fmt.Fprintf(w, "[Client] === Logical Request %d ===\n", r.Call)
	for i, a := range r.Attempts {
		fmt.Fprintf(w, "[Client] Attempt %d: trying replica %s\n", i+1, a.Replica)
		if a.Outcome == failover.OK {
			fmt.Fprintf(w, "[Client] Success from %s -> %s\n", a.Replica, r.Text)
		} else {
			what := strings.TrimPrefix(a.String(), a.Replica+" ")
			fmt.Fprintf(w, "[Client] Failed with %s: %s: %s\n", a.Replica, what, message(a.Err))
		}
	}
	switch {
	case r.Err == nil:
		fmt.Fprintf(w, "Request %d served by %s with reply %q\n", r.Call, r.Served(), r.Text)
	case r.Interrupted:
		fmt.Fprintf(w, "[Client] Logical Request %d interrupted after %s.\n", r.Call, plural(len(r.Attempts), "attempt"))
	default:
		fmt.Fprintf(w, "[Client] Logical Request %d failed: %s after %s. Last error: %s\n",
			r.Call, verdict(r), plural(len(r.Attempts), "attempt"), lastError(r))
	}
}

// verdict says why a failed call was not tried again.
func verdict(r workload.Record) string {
	failed, ok := errors.AsType[*failover.Error](r.Err)
	n := len(r.Attempts)
	switch {
	case !ok || failed.Reason == failover.RoundsSpent:
		return "All replicas failed"
	case failed.Reason == failover.NotRetryable && n > 0:
		return r.Attempts[n-1].Replica + " rejected it"
	default:
		return strings.ToUpper(failed.Reason.String()[:1]) + failed.Reason.String()[1:]
	}
}

func lastError(r workload.Record) string {
	if n := len(r.Attempts); n > 0 && r.Attempts[n-1].Err != nil {
		return message(r.Attempts[n-1].Err)
	}
	return message(r.Err)
}

// message is an error in gRPC's words, without the code that the outcome says already.
func message(err error) string { return status.Convert(err).Message() }

// result is a run to print.
type result struct {
	workload.Summary
	flags    connection
	workers  int
	elapsed  time.Duration
	replicas []string // all of them, those that served nothing too
}

const rule = "=================================================="

// print writes the statistics for people: the original lab's block, then what it did not measure.
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
	if r.Succeeded > 0 {
		fmt.Fprintf(&b, "Latency of successful calls: p50 %v, p95 %v, p99 %v\n", rounded(r.P50), rounded(r.P95), rounded(r.P99))
	} else {
		fmt.Fprintln(&b, "Latency of successful calls: none")
	}
	fmt.Fprintf(&b, "Attempts per call: %.2f\n", r.AttemptsPerCall())
	var byOutcome []string
	for _, o := range failover.Outcomes() {
		byOutcome = append(byOutcome, fmt.Sprintf("%v %d", o, r.Outcomes[o]))
	}
	fmt.Fprintf(&b, "Attempts by outcome: %s\n", strings.Join(byOutcome, ", "))
	_, err := io.WriteString(w, b.String())
	return err
}

// printJSON writes the same as one JSON object. Durations are in milliseconds.
func (r result) printJSON(w io.Writer) error {
	type quantiles struct {
		P50 float64 `json:"p50"`
		P95 float64 `json:"p95"`
		P99 float64 `json:"p99"`
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
		EjectAfter      int                      `json:"eject_after"`
		HedgeAfter      float64                  `json:"hedge_after_ms"`
		OnlyUnsent      bool                     `json:"only_unsent"`
		Concurrency     int                      `json:"concurrency"`
		Succeeded       int                      `json:"succeeded"`
		Failed          int                      `json:"failed"`
		Interrupted     int                      `json:"interrupted"`
		SuccessRate     float64                  `json:"success_rate"`
		Elapsed         float64                  `json:"elapsed_ms"`
		Latency         quantiles                `json:"latency_ms"`
		Attempts        int                      `json:"attempts"`
		AttemptsPerCall float64                  `json:"attempts_per_call"`
		Outcomes        map[failover.Outcome]int `json:"outcomes"`
		Served          map[string]int           `json:"served"`
	}{
		Target: string(r.flags.Target), Timeout: ms(time.Duration(r.flags.Timeout)), Rounds: int(r.flags.Rounds),
		Pause: ms(time.Duration(r.flags.Pause)), Order: r.flags.Order.String(),
		Deadline: ms(time.Duration(r.flags.Deadline)), WhenDown: r.flags.WhenDown.String(), MaxInFlight: r.flags.MaxInFlight.String(),
		Budget: float64(r.flags.Budget), EjectAfter: int(r.flags.EjectAfter), HedgeAfter: ms(time.Duration(r.flags.HedgeAfter)),
		OnlyUnsent: r.flags.OnlyUnsent, Concurrency: r.workers,
		Succeeded: r.Succeeded, Failed: r.Failed, Interrupted: r.Interrupted, SuccessRate: r.SuccessRate(),
		Elapsed: ms(r.elapsed), Latency: quantiles{ms(r.P50), ms(r.P95), ms(r.P99)},
		Attempts: r.Attempts, AttemptsPerCall: r.AttemptsPerCall(), Outcomes: r.Outcomes, Served: r.Served,
	})
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// progress is a line on a terminal's stderr that counts the calls.
type progress struct {
	w               io.Writer // nil: show nothing
	calls, ok, fail int
	shown           time.Time
}

// newProgress returns a progress that shows only on a terminal, and not where the lines of the calls go there already.
func newProgress(out output, calls int, silent bool) *progress {
	p := &progress{calls: calls}
	if isTerminal(out.stderr) && (silent || !isTerminal(out.stdout)) {
		p.w = out.stderr
	}
	return p
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

func (p *progress) add(r workload.Record) {
	switch {
	case r.Err == nil:
		p.ok++
	case !r.Interrupted:
		p.fail++
	}
	if p.w == nil || time.Since(p.shown) < 100*time.Millisecond {
		return
	}
	p.shown = time.Now()
	fmt.Fprintf(p.w, "\r\033[K%d of %d calls, %d failed", p.ok+p.fail, p.calls, p.fail)
}

// end takes the line away.
func (p *progress) end() {
	if p.w != nil {
		fmt.Fprint(p.w, "\r\033[K")
	}
}

// rounded drops the digits of a duration that say nothing.
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
