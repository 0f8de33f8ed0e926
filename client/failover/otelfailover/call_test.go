package otelfailover

import (
	"context"
	"io"
	"math"
	"regexp"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	nometric "go.opentelemetry.io/otel/metric/noop"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
	notrace "go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func TestEveryReasonHasAName(t *testing.T) {
	word := regexp.MustCompile(`^[a-z_]+$`)
	for _, r := range failover.Reasons() {
		if name := reasonNames[r]; !word.MatchString(name) {
			t.Errorf("%v is named %q, want a word", r, name)
		}
	}
}

func newConn(tb testing.TB, target string) *grpc.ClientConn {
	tb.Helper()
	opts, err := failover.DialOptions(failover.Policy{}) // for the static targets
	if err != nil {
		tb.Fatal(err)
	}
	conn, err := grpc.NewClient(target, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	return conn
}

func TestServerAttributes(t *testing.T) {
	for target, want := range map[string]string{
		"dns:///counter.example:7101":             "server.address=counter.example server.port=7101",
		"dns://127.0.0.1/counter.example:7101":    "server.address=counter.example server.port=7101",
		"counter.example:7101":                    "server.address=counter.example server.port=7101",
		"passthrough:///[::1]:7101":               "server.address=::1 server.port=7101",
		"dns:///counter.example":                  "server.address=dns:///counter.example",
		"static:///127.0.0.1:7101":                "server.address=static:///127.0.0.1:7101",
		"static:///127.0.0.1:7101,127.0.0.1:7102": "server.address=static:///127.0.0.1:7101,127.0.0.1:7102",
		"unix:///run/counter.sock":                "server.address=unix:///run/counter.sock",
	} {
		var got string
		for i, kv := range serverAttributes(newConn(t, target)) {
			if i > 0 {
				got += " "
			}
			got += string(kv.Key) + "=" + kv.Value.String()
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", target, got, want)
		}
	}
}

// watched is a context that counts the functions waiting for its end.
type watched struct {
	context.Context
	done chan struct{}
	n    int
}

func (w *watched) Done() <-chan struct{} { return w.done }

func (w *watched) AfterFunc(func()) (stop func() bool) {
	w.n++
	return func() bool { w.n--; return true }
}

// empty is a stream without messages.
type empty struct{ grpc.ClientStream }

func (empty) RecvMsg(any) error { return io.EOF }

// A context may outlive any number of streams, and must not keep them alive.
func TestStreamLeavesItsContext(t *testing.T) {
	tel, err := newTelemetry(without())
	if err != nil {
		t.Fatal(err)
	}
	_, c := tel.begin(t.Context(), newConn(t, "dns:///counter.example:7101"), "/m", nil)
	ctx := &watched{Context: t.Context(), done: make(chan struct{})}
	s := newStream(ctx, empty{}, new(grpc.StreamDesc), c)
	if ctx.n != 1 {
		t.Errorf("%d functions wait for the context, want 1", ctx.n)
	}
	s.RecvMsg(nil)
	if ctx.n != 0 {
		t.Errorf("%d functions wait for the context after the stream, want none", ctx.n)
	}
}

// oneCall returns a function that makes a call whose first attempt succeeds, without sending the
// request.
func oneCall(tb testing.TB, o Options) func() {
	tb.Helper()
	t, err := newTelemetry(o)
	if err != nil {
		tb.Fatal(err)
	}
	attempt := failover.Attempt{Replica: "127.0.0.1:7101", Number: 1, Round: 1, Duration: time.Millisecond, Sent: true}
	invoke := func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
		onAttempt(ctx, attempt)
		return nil
	}
	conn, opts := newConn(tb, "dns:///counter.example:7101"), []grpc.CallOption{grpc.StaticMethod()}
	return func() {
		if err := t.unary(tb.Context(), "/counter.v1.Counter/Get", nil, nil, conn, invoke, opts...); err != nil {
			tb.Fatal(err)
		}
	}
}

// without is a program without an SDK, unsampled one that records metrics but samples no span, and
// sampled one that samples every span.
func without() Options {
	return Options{TracerProvider: notrace.NewTracerProvider(), MeterProvider: nometric.NewMeterProvider(), Propagator: propagation.TraceContext{}}
}

func unsampled() Options {
	return Options{
		TracerProvider: trace.NewTracerProvider(trace.WithSampler(trace.NeverSample())),
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())),
		Propagator:     propagation.TraceContext{},
	}
}

func sampled() Options {
	o := unsampled()
	o.TracerProvider = trace.NewTracerProvider()
	return o
}

// A call that is not recorded allocates the call, its context and the span's, and what a lookup by
// name takes; with an SDK also the metadata for the replicas and the attributes of the attempt.
func TestAllocationsWithoutRecording(t *testing.T) {
	for _, tc := range []struct {
		name    string
		options Options
		most    float64
	}{{"without an SDK", without(), 5}, {"not sampled", unsampled(), 18}} {
		call, least := oneCall(t, tc.options), math.Inf(1)
		for range 5 { // the count includes what goroutines of earlier tests allocate as they end
			least = min(least, testing.AllocsPerRun(100, call))
		}
		if least > tc.most {
			t.Errorf("%s: %v allocations a call, want at most %v", tc.name, least, tc.most)
		}
	}
}

// BenchmarkCall measures the cost that telemetry adds to a call.
func BenchmarkCall(b *testing.B) {
	for _, bm := range []struct {
		name    string
		options Options
	}{{"without", without()}, {"unsampled", unsampled()}, {"sampled", sampled()}} {
		b.Run(bm.name, func(b *testing.B) {
			call := oneCall(b, bm.options)
			b.ReportAllocs()
			for b.Loop() {
				call()
			}
		})
	}
}
