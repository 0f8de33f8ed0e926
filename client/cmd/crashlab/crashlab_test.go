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

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
	counterv1 "example.com/crashlab/gen/counter/v1"
)

// counter is a replica in this process; the real ones are for the integration tests.
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

// crashlab runs a command line and returns its exit code and what it wrote.
func crashlab(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(ctx, args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestBadInput(t *testing.T) {
	for args, want := range map[string]string{
		"load --rounds 0":                         `--rounds "0": want a whole number from 1`,
		"load --rounds -1":                        `--rounds "-1": want a whole number from 1`,
		"load -n x":                               `--calls "x": want a whole number from 1`,
		"load --timeout 5":                        `--timeout "5": want a duration with its unit`,
		"load --pause -1s":                        `--pause "-1s": want a duration with its unit, such as 500ms or 2s, 0s or more`,
		"load --require-success 1.3":              `--require-success "1.3": want 0 to 1`,
		"load --require-success NaN":              `--require-success "NaN": want 0 to 1`,
		"load --max-in-flight few":                `--max-in-flight "few": want a whole number from 0, or adaptive`,
		"load --when-down sleep":                  `--when-down "sleep": want attempt or wait`,
		"load --eject-after -1":                   `--eject-after "-1": want a whole number from 0`,
		"load --order last":                       `--order "last": want first, round-robin, random, least-in-flight or sticky`,
		"get --target=":                           `--target "": want a gRPC target`,
		"get --target static:///":                 `--target "static:///": names no replica`,
		"get --target 127.0.0.1:65536":            `port "65536": want 1 to 65535`,
		"get --target dns:///127.0.0.1:65536":     `--target "dns:///127.0.0.1:65536": port "65536": want 1 to 65535`,
		"get --target foo:///x":                   `--target "foo:///x": unknown scheme "foo": want one of static, dns`,
		"get --target static:///nosuch.invalid:1": `replica "nosuch.invalid:1": lookup nosuch.invalid`,
		"get --colour":                            "unknown flag --colour; see crashlab --help",
		"lod":                                     `did you mean "load"?`,
		"":                                        `expected one of "get", "load"`,
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
	var a, b counter
	addrA, addrB := a.serve(t), b.serve(t)
	args := []string{"load", "-n", "4", "-c", "1", "--json", "--wait", "1m", "--target", addrA + "," + addrB}
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
	mute := listen(t) // takes connections and never says a word
	if _, stdout, _ := crashlab(t.Context(), "get", "--timeout", "100ms", "--rounds", "1", "--target", mute.Addr().String()); !strings.Contains(stdout, "timeout (unsent, ") {
		t.Errorf("a mute replica: %q, want a timeout", stdout)
	}
}

func TestInterrupt(t *testing.T) {
	var c counter
	addr := c.serve(t)
	t.Run("after the last call nothing is interrupted", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		c.onGet = cancel
		code, stdout, stderr := crashlab(ctx, "load", "-n", "1", "--target", addr)
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
		c.onGet = func() {
			if c.served.Load() == 10 {
				cancel()
			}
		}
		code, stdout, stderr := crashlab(ctx, "load", "-n", "1000", "-c", "1", "--target", addr)
		if code != exitInterrupted || !strings.Contains(stdout, "PER-REPLICA STATISTICS") || !strings.Contains(stderr, "of 1000 calls") {
			t.Errorf("exit code %d: %s%s", code, stdout, stderr)
		}
	})
}

func TestPrintedCall(t *testing.T) {
	refused := failover.Attempt{Replica: "a:1", Outcome: failover.Refused, Err: status.Error(codes.Unavailable, "first")}
	lost := failover.Attempt{Replica: "b:1", Outcome: failover.Lost, Sent: true, Err: status.Error(codes.Unavailable, "second")}
	rejected := failover.Attempt{Replica: "b:1", Outcome: failover.Rejected, Sent: true, Err: status.Error(codes.InvalidArgument, "no")}
	failed := errors.New("failed")
	for _, tc := range []struct {
		record workload.Record
		want   string // the last line
	}{
		{workload.Record{Call: 7, Reply: workload.Reply{Text: "OK 3", Attempts: []failover.Attempt{{Replica: "a:1"}}}},
			`Request 7 served by a:1 with reply "OK 3"`},
		{workload.Record{Call: 7, Err: failed, Reply: workload.Reply{Attempts: []failover.Attempt{refused, lost}}},
			"[Client] Logical Request 7 failed: All replicas failed after 2 attempts. Last error: second"},
		{workload.Record{Call: 7, Err: &failover.Error{Reason: failover.NotRetryable}, Reply: workload.Reply{Attempts: []failover.Attempt{refused, rejected}}},
			"[Client] Logical Request 7 failed: b:1 rejected it after 2 attempts. Last error: no"},
		{workload.Record{Call: 7, Err: &failover.Error{Reason: failover.Ambiguous}, Reply: workload.Reply{Attempts: []failover.Attempt{lost}}},
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

// A replica that has left the target is not waited for.
func TestWatchForgetsWhatIsGone(t *testing.T) {
	w := newReplicaWatch()
	ready := func(s failover.ReplicaState) bool { return s == failover.Ready }
	for _, e := range []failover.ReplicaEvent{{Replica: "a:1"}, {Replica: "b:1"}, {Replica: "a:1", State: failover.Ready}} {
		w.note(e)
	}
	if _, done := w.check(ready); done {
		t.Error("done while b:1 is connecting")
	}
	w.note(failover.ReplicaEvent{Replica: "b:1", State: failover.Gone})
	if _, done := w.check(ready); !done {
		t.Error("still waiting for b:1, which is gone")
	}
	if got := w.list(); len(got) != 2 {
		t.Errorf("replicas of the statistics are %v, want both", got)
	}
}

// A target that never named a replica is a mistake; one that has lost them for the moment is a failed call.
func TestNoReplicasIsAMistakeOnlyAtFirst(t *testing.T) {
	conn, err := failover.NewClient("dns:///nosuch.invalid:1", failover.Policy{}, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &client{conn: conn, counter: counterv1.NewCounterClient(conn), target: "dns:///nosuch.invalid:1", replicas: newReplicaWatch()}
	if _, _, err := c.get(t.Context()); !isExit(err) {
		t.Errorf("before any replica: %v, want a mistake", err)
	}
	c.replicas.note(failover.ReplicaEvent{Replica: "a:1"})
	if _, _, err := c.get(t.Context()); !errors.Is(err, failover.ErrNoReplicas) || isExit(err) {
		t.Errorf("after one: %v, want a failed call", err)
	}
}

func isExit(err error) bool {
	_, ok := errors.AsType[*exit](err)
	return ok
}
