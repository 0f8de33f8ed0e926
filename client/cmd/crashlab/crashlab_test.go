package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
	counterv1 "example.com/crashlab/gen/counter/v1"
)

// counter is a replica in this process. The integration tests use real ones.
type counter struct {
	counterv1.UnimplementedCounterServer
	served atomic.Uint64
	onGet  func() // unless nil, called before each reply
}

func (c *counter) Get(context.Context, *counterv1.GetRequest) (*counterv1.GetResponse, error) {
	if c.onGet != nil {
		c.onGet()
	}
	return &counterv1.GetResponse{Value: c.served.Add(1), Replica: "a", Incarnation: 1}, nil
}

func (c *counter) serve(t *testing.T) (addr string) {
	t.Helper()
	lis := listen(t)
	server := grpc.NewServer()
	counterv1.RegisterCounterServer(server, c)
	go server.Serve(lis)
	t.Cleanup(server.Stop)
	return lis.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lis.Close() })
	return lis
}

// crashlab runs a command line and returns its exit code and output.
func crashlab(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(ctx, args, &out, &errs)
	return code, out.String(), errs.String()
}

// unresolved is a host name with an empty label, which resolvers reject without a lookup.
const unresolved = "nosuch..invalid"

func TestBadInput(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"load --rounds 0":                     `--rounds "0": want a whole number from 1`,
		"load --rounds -1":                    `--rounds "-1": want a whole number from 1`,
		"load -n x":                           `--calls "x": want a whole number from 1`,
		"load -c 0":                           `--concurrency "0": want a whole number from 1 to 100000`,
		"load -q --duration 1s -c 1000000000": `--concurrency "1000000000": want a whole number from 1 to 100000`,
		"load --timeout 5":                    `--timeout "5": want a duration with its unit`,
		"load --timeout 8761h":                `--timeout "8761h": want a duration with its unit, from 0s to 8760h`,
		"load --duration 2562047h47m16s":      `--duration "2562047h47m16s": want a duration with its unit, from 0s to 8760h`,
		"load --rate 0.001 -n 40000":          `--calls 40000: want at most 31536 at 0.001 calls a second`,
		"advise --success 0.9 --rate 1 --restart-delay 8761h": `--restart-delay "8761h": want a duration with its unit, from 0s to 8760h, or none`,
		"load --pause -1s":                            `--pause "-1s": want a duration with its unit, such as 500ms or 2s, 0s or more`,
		"load --require-success 1.3":                  `--require-success "1.3": want a number from 0 to 1`,
		"load --require-success NaN":                  `--require-success "NaN": want a number from 0 to 1`,
		"load --max-in-flight few":                    `--max-in-flight "few": want a whole number from 0, or adaptive`,
		"load --when-down sleep":                      `--when-down "sleep": want attempt or wait`,
		"load --eject-after -1":                       `--eject-after "-1": want a whole number from 0`,
		"load --rate 0":                               `--rate "0": want 0.001 to 1000000 calls a second`,
		"load --rate NaN":                             `--rate "NaN": want 0.001 to 1000000 calls a second`,
		"load --duration 5":                           `--duration "5": want a duration with its unit`,
		"load --rate 5 --arrivals normal":             `--arrivals "normal": want constant or poisson`,
		"load --rate 5 -c 3":                          `--concurrency 3: not with --rate`,
		"load --arrivals constant":                    `--arrivals constant: want --rate with it`,
		"load --seed 0":                               `--seed 0: want --arrivals poisson with it`,
		"load --rate 5 --seed -3":                     `--seed "-3": want a whole number from 0`,
		"load --duration 5s --warmup 5s":              `--warmup 5s: want less than the duration, which is 5s`,
		"load --start-at soon":                        `--start-at "soon": want a time such as `,
		"load --start-at 2001-01-01T00:00:00Z":        `--start-at "2001-01-01T00:00:00Z": was `,
		"load --save .":                               `--save ".": want a new folder, or an empty one`,
		"load --save nowhere -n 20000000":             `--save: calls "20000000": want a whole number from 0 to 10000000`,
		"experiment run x --shard 5/5":                `--shard "5/5": index "5": want 0 to 4`,
		"experiment run x --shard 2":                  `--shard "2": want INDEX/COUNT, such as 0/5`,
		"experiment run x --cluster y --parallel 2":   `--parallel 2: not with --cluster, which has one trial at a time`,
		"experiment run x --cluster y --counterd z":   `--counterd "z": not with --cluster`,
		"experiment run x --tls-ca y":                 `want --cluster with them`,
		"report . .":                                  `".": no run is there`,
		"merge . -o nowhere":                          `".": no run is there`,
		"merge -o nowhere":                            "want <run> ...; see crashlab merge --help",
		"load --order last":                           `--order "last": want first, round-robin, random, least-in-flight or sticky`,
		"get --target=":                               `--target "": want a gRPC target`,
		"get --target static:///":                     `--target "static:///": names no replica`,
		"get --target 127.0.0.1:65536":                `port "65536": want 1 to 65535`,
		"get --target dns:///127.0.0.1:65536":         `--target "dns:///127.0.0.1:65536": port "65536": want 1 to 65535`,
		"get --target foo:///x":                       `--target "foo:///x": unknown scheme "foo": want one of static, dns`,
		"get --target static:///" + unresolved + ":1": `replica "nosuch..invalid:1": lookup nosuch..invalid`,
		"get --colour":                                "unknown flag --colour; see crashlab get --help\n",
		"load --tmeout 1s":                            "unknown flag --tmeout: did you mean --timeout? See crashlab load --help\n",
		"load -z":                                     "unknown flag -z; see crashlab load --help\n",
		"fault st":                                    "unknown command st: did you mean set? See crashlab fault --help\n",
		"xyz":                                         "unknown command xyz; see crashlab --help\n",
		"report --format pdf":                         `--format "pdf": want html, table, csv, json or md; see crashlab report --help`,
		"report --output":                             `--output: want a value; see crashlab report --help`,
		"report -x":                                   "unknown flag -x; see crashlab report --help",
		"compare a b c":                               "unexpected argument c; see crashlab compare --help",
		"experiment":                                  "want a command; see crashlab experiment --help",
		"lod":                                         "unknown command lod: did you mean load? See crashlab --help\n",
		"":                                            "want a command; see crashlab --help",
	} {
		t.Run(args, func(t *testing.T) {
			code, stdout, stderr := crashlab(t.Context(), strings.Fields(args)...)
			if code != exitUsage || stdout != "" {
				t.Errorf("exit code %d, stdout %q; want %d and nothing", code, stdout, exitUsage)
			}
			if !strings.HasPrefix(stderr, "crashlab: ") || !strings.Contains(stderr, want) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("got %q, want one line with %q", stderr, want)
			}
		})
	}
}

func TestTargetWithoutASchemeIsStatic(t *testing.T) {
	for text, want := range map[string]target{
		"127.0.0.1:1,127.0.0.1:2": "static:///127.0.0.1:1,127.0.0.1:2",
		"localhost:7101":          "static:///localhost:7101",
		"static:///a:1":           "static:///a:1",
		"dns:localhost:7101":      "dns:localhost:7101",
		"dns:///localhost:7101":   "dns:///localhost:7101",
		"unix:/run/a.sock":        "unix:/run/a.sock",
	} {
		var got target
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestFlagsReachThePolicy(t *testing.T) {
	t.Parallel()
	var a, b counter
	addrA, addrB := a.serve(t), b.serve(t)
	args := []string{"load", "-n", "4", "-c", "1", "--json", "--wait=10m", "--timeout=0s", "--target", addrA + "," + addrB}
	for order, want := range map[string]int{"first": 4, "round-robin": 2} {
		code, stdout, stderr := crashlab(t.Context(), append(args, "--order", order)...)
		var got struct{ Served map[string]int }
		if err := json.Unmarshal([]byte(stdout), &got); err != nil || code != 0 {
			t.Fatalf("exit code %d, %v: %s%s", code, err, stdout, stderr)
		}
		if n, ok := got.Served[addrB]; got.Served[addrA] != want || n != 4-want || !ok {
			t.Errorf("order %s: served %v, want %d of 4 by the first, and both listed", order, got.Served, want)
		}
	}
	mute := listen(t) // accepts connections and sends nothing
	code, stdout, stderr := crashlab(t.Context(), "get", "--timeout", "100ms", "--rounds", "1", "--target", mute.Addr().String())
	if code != exitFailed || stdout != "" || !strings.HasPrefix(stderr, "crashlab: no replica answers at "+mute.Addr().String()+" (") {
		t.Errorf("a mute replica: exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	t.Run("after the last call nothing is interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c := counter{onGet: cancel}
		code, stdout, stderr := crashlab(ctx, "load", "-n", "1", "--timeout=0s", "--target", c.serve(t))
		if succeeded := strings.Contains(stdout, "Total succeeded: 1"); succeeded != (code == 0) {
			t.Errorf("exit code %d: %s%s", code, stdout, stderr)
		}
	})
	t.Run("of the wait", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		code, _, stderr := crashlab(ctx, "load", "--wait", "10m", "--target", listen(t).Addr().String())
		if code != exitInterrupted || stderr != "crashlab: interrupted\n" {
			t.Errorf("exit code %d, %q; want %d", code, stderr, exitInterrupted)
		}
	})
	t.Run("of a run", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var c counter
		c.onGet = func() {
			if c.served.Load() == 10 {
				cancel()
			}
		}
		code, stdout, stderr := crashlab(ctx, "load", "-n", "1000", "-c", "1", "--timeout", "0s", "--target", c.serve(t))
		if code != exitInterrupted || !strings.Contains(stdout, "PER-REPLICA STATISTICS") || !strings.Contains(stderr, "of 1000 calls") {
			t.Errorf("exit code %d: %s%s", code, stdout, stderr)
		}
	})
}

func TestFlagsReachThePlan(t *testing.T) {
	for args, want := range map[string]workload.Plan{
		"":                   {Calls: 50, Workers: 5, Seed: 1},
		"-n 3 -c 2":          {Calls: 3, Workers: 2, Seed: 1},
		"--duration 1m":      {Duration: time.Minute, Workers: 5, Seed: 1},
		"--rate 0.5":         {Calls: 50, Rate: 0.5, Seed: 1},
		"--rate 9 -n 3":      {Calls: 3, Rate: 9, Seed: 1},
		"-n 3 --duration 5s": {Calls: 3, Duration: 5 * time.Second, Workers: 5, Seed: 1},
		"--rate 9 --arrivals poisson --seed 7 --duration 5s --warmup 1s": {
			Duration: 5 * time.Second, Rate: 9, Arrivals: workload.ArrivalsPoisson, Seed: 7, Warmup: time.Second,
		},
	} {
		var cli commandLine
		parser, err := kong.New(&cli)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(append([]string{"load"}, strings.Fields(args)...)); err != nil {
			t.Errorf("%s: %v", args, err)
		}
		if got, err := cli.Load.plan(); err != nil || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", args, got, err, want)
		}
	}
}

func TestLoadThatMeasuredNothing(t *testing.T) {
	var c counter
	code, _, stderr := crashlab(t.Context(), "load", "-n3", "--warmup=1h", "--target="+c.serve(t))
	if want := "crashlab: inconclusive: no call counts, all were due in the --warmup of 1h0m0s\n"; code != exitInconclusive || stderr != want {
		t.Errorf("exit code %d, %q; want %d, %q", code, stderr, exitInconclusive, want)
	}
}

// A load that was not made as planned is inconclusive, however many calls succeeded.
func TestVerdict(t *testing.T) {
	open := workload.Plan{Rate: 100, Duration: 10 * time.Second}
	for name, tt := range map[string]struct {
		summary workload.Summary
		plan    workload.Plan
		code    int
		want    string
	}{
		"held":              {workload.Summary{Succeeded: 99, Failed: 1}, open, 0, ""},
		"below":             {workload.Summary{Succeeded: 98, Failed: 2}, open, exitBelow, "0.98 of the calls succeeded; --require-success 0.99"},
		"late":              {workload.Summary{Succeeded: 90, Failed: 10, Pace: workload.Pace{Late: 2}}, open, exitInconclusive, "inconclusive: --rate 100 was not kept, 2 of 100 calls started more than 100ms after they were due, or never"},
		"never":             {workload.Summary{Succeeded: 100, Pace: workload.Pace{Late: 50, Unmade: 50, Waited: 7}}, open, exitInconclusive, "inconclusive: --rate 100 was not kept, 50 of 150 calls started more than 100ms after they were due, or never (50); 7 waited because 10000 were under way"},
		"interrupted":       {workload.Summary{Succeeded: 5, Warmup: 1, Pace: workload.Pace{Interrupted: true, Late: 2}}, workload.Plan{Calls: 9}, exitInterrupted, "interrupted after 6 of 9 calls"},
		"interrupted, open": {workload.Summary{Pace: workload.Pace{Interrupted: true}}, open, exitInterrupted, "interrupted after 2s of 10s"},
	} {
		err := result{Summary: tt.summary, plan: tt.plan, elapsed: 2 * time.Second}.verdict(0.99)
		var got exit
		if e, ok := errors.AsType[*exit](err); ok {
			got = *e
		}
		if want := (exit{tt.code, tt.want}); got != want {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestPrintedOpenLoop(t *testing.T) {
	t.Parallel()
	var c counter
	args := []string{"load", "-q", "-n20", "--rate=1000", "--warmup=5ms", "--timeout=0s", "--target=" + c.serve(t)}
	code, stdout, _ := crashlab(t.Context(), args...)
	if code != 0 && code != exitInconclusive { // on a machine that stalled
		t.Errorf("exit code %d\n%s", code, stdout)
	}
	for _, want := range []string{
		"Total succeeded: 15, Total failed: 0\n", "\nLeft out, due in the warm-up: 5 calls\n",
		"\nOpen loop, calls per second: offered 1000.0, achieved ", "\nPace: ", " of 15 calls started more than 100ms after they were due, or never\n",
		"\nThroughput: ", ", p99.9 ", ", max ",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}
	_, stdout, _ = crashlab(t.Context(), append(args, "--json")...)
	var got struct {
		Rate      float64
		Arrivals  string
		Succeeded int
		Warmup    int     `json:"warmup_calls"`
		Offered   float64 `json:"offered_per_second"`
		Latency   struct {
			P99, Max float64
			P999     float64 `json:"p99.9"`
		} `json:"latency_ms"`
	}
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("%v in %s", err, stdout)
	}
	if l := got.Latency; got.Rate != 1000 || got.Arrivals != "constant" || got.Succeeded != 15 || got.Warmup != 5 || l.P99 == 0 || l.P99 > l.P999 || l.P999 > l.Max {
		t.Errorf("got %+v", got)
	}
	if got.Offered < 999.9 || got.Offered > 1000.1 {
		t.Errorf("offered %v calls a second, want 1000", got.Offered)
	}
}

func TestPrintedCall(t *testing.T) {
	refused := failover.Attempt{Replica: "a:1", Outcome: failover.OutcomeRefused, Err: status.Error(codes.Unavailable, "first")}
	lost := failover.Attempt{Replica: "b:1", Outcome: failover.OutcomeLost, Sent: true, Err: status.Error(codes.Unavailable, "second")}
	rejected := failover.Attempt{Replica: "b:1", Outcome: failover.OutcomeRejected, Sent: true, Err: status.Error(codes.InvalidArgument, "no")}
	failed := errors.New("failed")
	for _, tc := range []struct {
		record workload.Record
		want   string // the last line
	}{
		{workload.Record{Call: 7, Reply: workload.Reply{Value: 3, Attempts: []failover.Attempt{{Replica: "a:1"}}}},
			`Request 7 served by a:1 with reply "OK 3"`},
		{workload.Record{Call: 7, Err: failed, Reply: workload.Reply{Attempts: []failover.Attempt{refused, lost}}},
			"[Client] Logical Request 7 failed: All replicas failed after 2 attempts. Last error: second"},
		{workload.Record{Call: 7, Err: &failover.Error{Reason: failover.ReasonNotRetryable}, Reply: workload.Reply{Attempts: []failover.Attempt{refused, rejected}}},
			"[Client] Logical Request 7 failed: b:1 rejected it after 2 attempts. Last error: no"},
		{workload.Record{Call: 7, Err: &failover.Error{Reason: failover.ReasonAmbiguous}, Reply: workload.Reply{Attempts: []failover.Attempt{lost}}},
			"[Client] Logical Request 7 failed: It may have been executed and is not idempotent after 1 attempt. Last error: second"},
		{workload.Record{Call: 7, Err: failed, Interrupted: true, Reply: workload.Reply{Attempts: []failover.Attempt{refused}}},
			"[Client] Logical Request 7 interrupted after 1 attempt."},
	} {
		var b strings.Builder
		printCall(&b, tc.record)
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if got := lines[len(lines)-1]; got != tc.want {
			t.Errorf("got  %s\nwant %s", got, tc.want)
		}
	}
}

func TestRounded(t *testing.T) {
	for d, want := range map[time.Duration]string{1234567890: "1.23s", 1234567: "1.23ms", 1234: "1.23µs", 12: "12ns", 0: "0s"} {
		if got := rounded(d).String(); got != want {
			t.Errorf("%d ns is shown as %s, want %s", d, got, want)
		}
	}
}
