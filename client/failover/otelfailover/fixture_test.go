package otelfailover_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/failover/otelfailover"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

// bubble is synctest.Test on one processor. On two, timers of a bubble can fire at the same time,
// and as all of them share one context of the race detector, that crashes it (Go 1.26).
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, f)
}

// replica is a real gRPC server in this process, reached through memory.
type replica struct {
	healthv1.UnimplementedHealthServer
	addr   string
	lis    *bufconn.Listener
	down   atomic.Bool                   // refuses connections
	handle func(context.Context) error   // unless nil, answers a Check instead of SERVING
	stream func(grpc.ServerStream) error // answers all methods except Check
}

func (r *replica) Check(ctx context.Context, _ *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	if r.handle != nil {
		if err := r.handle(ctx); err != nil {
			return nil, err
		}
	}
	return &healthv1.HealthCheckResponse{Status: healthv1.HealthCheckResponse_SERVING}, nil
}

func (r *replica) Watch(_ *healthv1.HealthCheckRequest, s grpc.ServerStreamingServer[healthv1.HealthCheckResponse]) error {
	return r.stream(s)
}

func (r *replica) dial(ctx context.Context) (net.Conn, error) {
	if r.down.Load() {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	return r.lis.DialContext(ctx)
}

// lab is n replicas named a:1, b:1 …, and the telemetry of the connections to them.
type lab struct {
	t        testing.TB
	replicas []*replica
	spans    *tracetest.InMemoryExporter
	reader   *metric.ManualReader
	options  otelfailover.Options
}

func newLab(t testing.TB, n int) *lab {
	l := &lab{t: t, spans: tracetest.NewInMemoryExporter(), reader: metric.NewManualReader()}
	for i := range n {
		r := &replica{addr: fmt.Sprintf("%c:1", 'a'+i), lis: bufconn.Listen(64 << 10)}
		server := grpc.NewServer(grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error { return r.stream(s) }))
		healthv1.RegisterHealthServer(server, r)
		go server.Serve(r.lis)
		t.Cleanup(server.Stop)
		l.replicas = append(l.replicas, r)
	}
	l.options = otelfailover.Options{
		TracerProvider: trace.NewTracerProvider(trace.WithSyncer(l.spans)),
		MeterProvider:  metric.NewMeterProvider(metric.WithReader(l.reader)),
		Propagator:     propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}),
	}
	return l
}

func (l *lab) target() string {
	target := "static:///"
	for i, r := range l.replicas {
		if i > 0 {
			target += ","
		}
		target += r.addr
	}
	return target
}

// dial returns an instrumented connection, once each replica is known to be ready or down. All
// methods are idempotent. The options follow those of the package.
func (l *lab) dial(p failover.Policy, within ...grpc.DialOption) *failover.Client {
	l.t.Helper()
	p.Idempotent = map[string]bool{"/": true}
	settled, known := make(chan struct{}), map[string]bool{}
	p.OnReplica = func(e failover.ReplicaEvent) {
		if e.State != failover.ReplicaReady && e.State != failover.ReplicaDown || known[e.Replica] {
			return
		}
		if known[e.Replica] = true; len(known) == len(l.replicas) {
			close(settled)
		}
	}
	opts := append(within, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return l.replicas[addr[0]-'a'].dial(ctx)
		}))
	conn, err := otelfailover.NewClient(l.target(), p, l.options, opts...)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { conn.Close() })
	conn.Connect()
	<-settled
	return conn
}

// ended returns the only span that has ended.
func (l *lab) ended() tracetest.SpanStub {
	l.t.Helper()
	spans := l.spans.GetSpans()
	if len(spans) != 1 {
		l.t.Fatalf("%d spans have ended, want 1", len(spans))
	}
	return spans[0]
}

// metrics collects the metrics and returns them by name.
func (l *lab) metrics() map[string]metricdata.Aggregation {
	l.t.Helper()
	var all metricdata.ResourceMetrics
	if err := l.reader.Collect(context.Background(), &all); err != nil {
		l.t.Fatal(err)
	}
	found := map[string]metricdata.Aggregation{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			found[m.Name] = m.Data
		}
	}
	return found
}

// points returns the values of a sum, or the counts of a histogram, by attributes other than those
// of the server.
func points(a metricdata.Aggregation) map[string]int {
	found := map[string]int{}
	switch a := a.(type) {
	case metricdata.Sum[int64]:
		for _, p := range a.DataPoints {
			found[text(p.Attributes)] = int(p.Value)
		}
	case metricdata.Histogram[float64]:
		for _, p := range a.DataPoints {
			found[text(p.Attributes)] = int(p.Count)
		}
	case metricdata.Histogram[int64]:
		for _, p := range a.DataPoints {
			found[text(p.Attributes)] = int(p.Count)
		}
	}
	return found
}

// text returns attributes as "key=value key=value", sorted by key.
func text(set attribute.Set) string {
	var s string
	for _, kv := range set.ToSlice() {
		if kv.Key == "server.address" {
			continue
		}
		if s != "" {
			s += " "
		}
		s += fmt.Sprintf("%s=%s", kv.Key, kv.Value.String())
	}
	return s
}

// path returns the attempts of a span in one line: "1 a:1 refused UNAVAILABLE, 2 b:1 ok sent OK".
func path(span tracetest.SpanStub) string {
	var s string
	for i, e := range span.Events {
		if i > 0 {
			s += ", "
		}
		set := attribute.NewSet(e.Attributes...)
		value := func(key attribute.Key) string {
			v, _ := set.Value(key)
			return v.String()
		}
		flag := func(key attribute.Key, word string) string {
			if v, _ := set.Value(key); v.AsBool() {
				return " " + word
			}
			return ""
		}
		s += value("failover.attempt.number") + " " + value("failover.replica") + " " + value("failover.outcome") +
			flag("failover.attempt.sent", "sent") + flag("failover.attempt.hedge", "hedge") + " " + value("rpc.response.status_code")
	}
	return s
}

func check(ctx context.Context, conn *failover.Client, opts ...grpc.CallOption) error {
	_, err := healthv1.NewHealthClient(conn).Check(ctx, new(healthv1.HealthCheckRequest), opts...)
	return err
}

func answer(c codes.Code) func(context.Context) error {
	return func(context.Context) error { return status.Error(c, "as requested") }
}

// hang blocks a handler until its request's deadline.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return status.FromContextError(ctx.Err()).Err()
}
