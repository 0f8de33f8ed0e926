// Command peers compares failover with other ways to call replicated gRPC servers: grpc-go's
// pick_first and, over round_robin, its retryPolicy, the retry interceptor of go-grpc-middleware,
// and failsafe-go. It is a module of its own so that failover depends on gRPC and protobuf alone.
//
//	cd client/failover/peers
//	go run . -trials 3    # tables in Markdown, in two minutes; make peers takes longer
//
// Each client makes the same calls on crashing clusters and on healthy ones. A cluster consists of
// processes, the supervisor and three replicas, and is fresh for each trial. The cost of a call
// beside a bare one is measured as by BenchmarkCall. The output describes the settings of each
// client.
//
// # Benchmarks
//
// In the benchmarks, all clients call grpc.health.v1.Health/Check over TCP on loopback, at the same
// three replicas, each a process. A call has three attempts at most, with no pause between them.
// The clients called bare have none of this, only a connection to the first replica.
//
//	go test -run '^$' -bench 'Call|Throughput' -count 10 | tee peers.txt    # 10 minutes
//	benchstat -col /client peers.txt
//
// BenchmarkCall measures the time of a whole call, one at a time; BenchmarkThroughput a call's
// share of the time when 64 goroutines call at once. With a deadline, each attempt has it; bare,
// round-robin and retryPolicy have no deadline for attempts, so there the call has it.
//
// The speed of a shared machine changes from one second to the next. So the clients take turns of a
// few milliseconds, in random order, and x-bare is the figure to look at: the median, over the
// turns, of a client's time as a multiple of bare's in the same turn. A second bare connection,
// bare-again, shows the resolution: it should have 1. round-robin shows what it costs to call three
// processes in turn rather than one. N is how many calls were made for a line, whatever -benchtime
// says, and each -count has its own connections.
//
//	go test -run '^$' -bench Crash -benchtime 1000x    # a minute
//
// BenchmarkCrash measures the time from a crash to success: a replica exits with a call in flight,
// and the time runs from just before the exit, which the replica reports, to the call's success at
// another replica. The figures called noticed end when the first attempt does, because its
// connection broke: that part depends on the operating system and gRPC.
//
//	go test -run '^$' -bench OneHealthyReplica -benchtime 20000x    # a minute
//
// BenchmarkOneHealthyReplica measures the share of calls that fail although one replica of three is
// healthy, where the other two are gone, and where they answer every call with Unavailable.
// TestOneHealthyReplica checks that with failover none do.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"example.com/crashlab/client/workload"
)

// options are the flags.
type options struct {
	trials, calls, callers, parallel, runs int
	rate                                   float64
	seed                                   uint64
	output                                 string
}

func parseOptions(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("peers", flag.ExitOnError)
	flags.IntVar(&o.trials, "trials", 20, "trials of each client in each scenario")
	flags.IntVar(&o.calls, "calls", 100, "calls of a trial")
	flags.IntVar(&o.callers, "callers", 5, "calls at a time in a closed loop")
	flags.Float64Var(&o.rate, "rate", 10, "calls a second in an open loop")
	flags.IntVar(&o.parallel, "parallel", 8, "trials at a time")
	flags.IntVar(&o.runs, "runs", 10, "runs of the measurement of the overhead")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the crashes in the first trial; each further trial has the next seed")
	flags.StringVar(&o.output, "o", "", "`file` for the results (default stdout)")
	flags.Parse(args) // exits if they are invalid
	for _, f := range []struct {
		name  string
		value int
	}{{"trials", o.trials}, {"calls", o.calls}, {"callers", o.callers}, {"parallel", o.parallel}, {"runs", o.runs}} {
		if f.value < 1 {
			return o, fmt.Errorf("-%s %d: want 1 or more", f.name, f.value)
		}
	}
	if !(o.rate >= workload.MinRate && o.rate <= workload.MaxRate) {
		return o, fmt.Errorf("-rate %v: want %v to %v", o.rate, workload.MinRate, workload.MaxRate)
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("argument %q: want flags only", flags.Arg(0))
	}
	return o, nil
}

func main() {
	if playsReplica(os.Args) {
		return
	}
	o, err := parseOptions(os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	err = run(ctx, o, os.Stderr)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		fmt.Fprintln(os.Stderr, "peers: interrupted")
		os.Exit(130)
	default:
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

// run measures everything and writes the results.
func run(ctx context.Context, o options, progress io.Writer) error {
	began := time.Now()
	dir, err := os.MkdirTemp("", "peers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := comparison{
		clients: compared, trials: o.trials, calls: o.calls, callers: o.callers, rate: o.rate,
		parallel: o.parallel, seed: o.seed,
		onTrial: func(done, all int) {
			if 10*done/all > 10*(done-1)/all {
				fmt.Fprintf(progress, "%d of %d trials, %v\n", done, all, time.Since(began).Round(time.Second))
			}
		},
	}
	if c.programs, err = buildPrograms(ctx, dir); err != nil {
		return err
	}
	cost, err := measureOverhead(ctx, o.runs)
	if err != nil {
		return err
	}
	fmt.Fprintf(progress, "overhead, %v\n", time.Since(began).Round(time.Second))
	results, err := c.run(ctx)
	if err != nil {
		return err
	}
	var text bytes.Buffer
	o.print(&text, began, results, cost)
	if o.output == "" {
		_, err = os.Stdout.Write(text.Bytes())
		return err
	}
	return os.WriteFile(o.output, text.Bytes(), 0o644)
}

// measureOverhead measures what the compared clients cost beside a bare connection.
func measureOverhead(ctx context.Context, runs int) (overhead, error) {
	var addrs []string
	for range replicas {
		r, err := launch(anyPort, serving)
		if err != nil {
			return overhead{}, err
		}
		defer r.kill()
		addrs = append(addrs, r.addr)
	}
	b := bare
	b.settings.deadline = callDeadline
	o := overhead{clients: slices.Concat([]client{b}, compared, []client{inTurn})}
	r := rotation{clients: o.clients, workers: 1, calls: 10, turns: 500}
	for range runs {
		costs, err := r.run(addrs)
		if err := errors.Join(err, ctx.Err()); err != nil {
			return o, err
		}
		o.runs = append(o.runs, costs)
	}
	return o, nil
}
