package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// print writes the results.
func (o options) print(w io.Writer, began time.Time, results []result, cost overhead) {
	fmt.Fprintf(w, `Measured by %s on %s in %v, on %s/%s with %d cores: %s.

Each client makes the same calls in %d trials of each scenario: %d of counter.v1.Counter/Get, each with a deadline of %v. A trial has a
fresh cluster: %s and %d replicas of %s, whose service time is %s. In a crashing cluster each request crashes its
replica with probability %v, and the replica is relaunched after %v. Trials of one seed meet the same crashes. They run in random order,
%d at a time.

A value is the estimate over all trials, with its 95%% interval between trials. p50 and p99 are the means of the trials' own, and of the
calls that succeeded. Attempts are the requests that arrived at the replicas, by their own count, which leaves out those lost on the way
to a replica that crashed. Read latencies and attempts beside success: a client that gives up early has few successes, fast ones, and
sends little. A difference is inconclusive if its interval spans zero.

`, o.command(), began.UTC().Format("2 January 2006"), time.Since(began).Round(time.Second), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(),
		versions(), o.trials, o.calls, callDeadline, "`supervisor`", replicas, "`counterd`", serviceTime, scenarios[0].pCrash, restartDelay,
		o.parallel)
	for _, s := range scenarios {
		fmt.Fprintf(w, "## %s\n\n%s\n\n", s.title, o.load(s))
		printTrials(w, s, compared, results)
	}
	fmt.Fprintf(w, `## Overhead

The time of a call of grpc.health.v1.Health/Check, one at a time, to %d replicas that do no work. The clients take turns, as in BenchmarkCall,
and the multiple is the median over the turns. Values are the means of %d runs. Bare is a connection to one replica. Its process stays warm,
as with pick_first and failover's zero policy; the others call the replicas in turn, and %s shows what that alone costs.

`, replicas, o.runs, inTurn.name)
	printOverhead(w, cost)
	fmt.Fprint(w, `## Settings

Each client is configured as its documentation describes for this job. The documentation of the libraries leaves the figures to the user, so
all have those of [gRPC's guide to retries](https://grpc.io/docs/guides/retry/): 4 attempts, and a pause of 100 ms before the second that
doubles up to 1 s. Where the library has a timeout for attempts, it is 1 s. All calls are idempotent. Unless its settings say otherwise, gRPC
dials a replica that is down after a second, and then ever later, while the replicas are down for half a second.

`)
	var t table
	t.row("client", "settings")
	t.row("---", "---")
	for _, c := range compared {
		t.row(c.name, c.about)
	}
	fmt.Fprint(w, t.text.String())
}

// load describes the load of a scenario.
func (o options) load(s scenario) string {
	if s.open {
		return fmt.Sprintf("Calls are due at random times, %v a second on average, whatever became of the calls before. Latency runs from then.", o.rate)
	}
	text := fmt.Sprintf("%d callers each make their next call when the last has ended.", o.callers)
	if s.pCrash > 0 {
		text += " So a client that fails at once uses up its calls while the replicas are down."
	}
	return text
}

// command returns what repeats the measurement.
func (o options) command() string {
	defaults, _ := parseOptions(nil)
	if defaults.output = o.output; o == defaults {
		return "`make peers`"
	}
	return fmt.Sprintf("`go run . -trials %d -calls %d -callers %d -rate %v -parallel %d -runs %d -seed %d` in client/failover/peers",
		o.trials, o.calls, o.callers, o.rate, o.parallel, o.runs, o.seed)
}

// versions names those of Go and of the libraries.
func versions() string {
	names := []string{runtime.Version()}
	info, _ := debug.ReadBuildInfo()
	if info == nil {
		return names[0]
	}
	for _, dep := range info.Deps {
		switch dep.Path {
		case "google.golang.org/grpc", "github.com/grpc-ecosystem/go-grpc-middleware/v2", "github.com/failsafe-go/failsafe-go":
			names = append(names, dep.Path+" "+dep.Version)
		}
	}
	return strings.Join(names, ", ")
}
