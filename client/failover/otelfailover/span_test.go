package otelfailover_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	api "go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
)

func TestCallIsOneSpan(t *testing.T) {
	l := newLab(t, 2)
	l.replicas[0].down.Store(true)
	ctx, parent := l.options.TracerProvider.Tracer("test").Start(t.Context(), "parent")
	if err := check(ctx, l.dial(failover.Policy{})); err != nil {
		t.Fatal(err)
	}
	span := l.ended()
	if span.Name != "grpc.health.v1.Health/Check" || span.SpanKind != api.SpanKindClient || span.Parent.SpanID() != parent.SpanContext().SpanID() {
		t.Errorf("got span %q of kind %v within %v", span.Name, span.SpanKind, span.Parent.SpanID())
	}
	want := attribute.NewSet(
		attribute.String("rpc.system.name", "grpc"), attribute.String("rpc.method", "grpc.health.v1.Health/Check"),
		attribute.String("rpc.response.status_code", "OK"), attribute.String("server.address", "static:///a:1,b:1"))
	if got := attribute.NewSet(span.Attributes...); !got.Equals(&want) {
		t.Errorf("got attributes %s\nwant %s", text(got), text(want))
	}
	if span.Status.Code != codes.Unset {
		t.Errorf("got status %v, want none", span.Status)
	}
}

func TestAttemptsAreEvents(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, 3)
		l.replicas[0].down.Store(true)
		l.replicas[1].handle = answer(grpccodes.Unavailable)
		l.replicas[2].handle = hang
		check(t.Context(), l.dial(failover.Policy{Timeout: time.Second, Rounds: 2}))
		want := "1 b:1 failed sent UNAVAILABLE, 2 c:1 timeout sent DEADLINE_EXCEEDED, 3 a:1 refused UNAVAILABLE, " +
			"4 b:1 failed sent UNAVAILABLE, 5 c:1 timeout sent DEADLINE_EXCEEDED, 6 a:1 refused UNAVAILABLE"
		span := l.ended()
		if got := path(span); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		event := span.Events[4]
		set := attribute.NewSet(event.Attributes...)
		number, _ := set.Value("failover.attempt.round")
		took, _ := set.Value("failover.attempt.duration")
		if event.Name != "failover.attempt" || number.AsInt64() != 2 || took.AsFloat64() != 1 {
			t.Errorf("got %q in round %d of %vs, want failover.attempt in round 2 of 1s", event.Name, number.AsInt64(), took.AsFloat64())
		}
	})
}

func TestFailedCallIsAnError(t *testing.T) {
	l := newLab(t, 1)
	l.replicas[0].handle = answer(grpccodes.Canceled)
	err := check(t.Context(), l.dial(failover.Policy{}))
	span := l.ended()
	if span.Status.Code != codes.Error || !strings.Contains(err.Error(), span.Status.Description) || !strings.Contains(span.Status.Description, "as requested") {
		t.Errorf("got status %v of the error %v", span.Status, err)
	}
	set := attribute.NewSet(span.Attributes...)
	for key, want := range map[attribute.Key]string{
		"error.type": "CANCELLED", "rpc.response.status_code": "CANCELLED", "failover.reason": "not_retryable",
	} {
		if got, _ := set.Value(key); got.AsString() != want {
			t.Errorf("%s: got %q, want %q", key, got.AsString(), want)
		}
	}
}

func TestHedgeIsAnEventOfTheSameSpan(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, 2)
		l.replicas[0].handle = hang
		conn := l.dial(failover.Policy{Hedge: failover.Hedge{After: time.Second, Share: 1}})
		if err := check(t.Context(), conn); err != nil {
			t.Fatal(err)
		}
		if got, want := path(l.ended()), "2 b:1 ok sent hedge OK, 1 a:1 canceled sent CANCELLED"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := points(l.metrics()["failover.attempts"]); got["failover.outcome=canceled failover.replica=a:1"] != 1 {
			t.Errorf("got attempts %v", got)
		}
	})
}

// seen records the metadata that reached the replicas.
type seen struct {
	mu  sync.Mutex
	all []metadata.MD
}

func (s *seen) handle(c grpccodes.Code) func(context.Context) error {
	return func(ctx context.Context) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		md, _ := metadata.FromIncomingContext(ctx)
		s.all = append(s.all, md)
		return answer(c)(ctx)
	}
}

// A program that forwards the metadata of an incoming request must not forward the span of its own
// caller as the parent.
func TestSpanReachesEveryReplica(t *testing.T) {
	l := newLab(t, 2)
	var s seen
	l.replicas[0].handle, l.replicas[1].handle = s.handle(grpccodes.Unavailable), s.handle(grpccodes.OK)
	bag, err := baggage.Parse("k=v")
	if err != nil {
		t.Fatal(err)
	}
	ctx := metadata.AppendToOutgoingContext(baggage.ContextWithBaggage(t.Context(), bag), "traceparent", "00-stale", "own", "1")
	conn := l.dial(failover.Policy{})
	if err := check(ctx, conn); err != nil {
		t.Fatal(err)
	}
	id := l.ended().SpanContext
	want := "00-" + id.TraceID().String() + "-" + id.SpanID().String() + "-01"
	if len(s.all) != 2 {
		t.Fatalf("%d requests arrived, want 2", len(s.all))
	}
	for i, md := range s.all {
		got := strings.Join(md["traceparent"], " ") + strings.Join(md["baggage"], " ") + strings.Join(md["own"], " ")
		if got != want+"k=v"+"1" {
			t.Errorf("attempt %d carried %v, want %s, the baggage and the caller's own", i+1, md, want)
		}
	}
	if out, _ := metadata.FromOutgoingContext(ctx); out.Get("traceparent")[0] != "00-stale" {
		t.Errorf("the caller's metadata was written to: %v", out)
	}
}

// A call that is not sampled is not recorded, and the replicas get a span context that is not
// sampled.
func TestCallThatIsNotSampled(t *testing.T) {
	l := newLab(t, 1)
	l.options.TracerProvider = trace.NewTracerProvider(trace.WithSyncer(l.spans), trace.WithSampler(trace.NeverSample()))
	var s seen
	l.replicas[0].handle = s.handle(grpccodes.OK)
	if err := check(t.Context(), l.dial(failover.Policy{})); err != nil {
		t.Fatal(err)
	}
	if n := len(l.spans.GetSpans()); n != 0 {
		t.Errorf("%d spans, want none", n)
	}
	if got := strings.Join(s.all[0]["traceparent"], " "); !strings.HasSuffix(got, "-00") {
		t.Errorf("the replica got traceparent %q, want one not sampled", got)
	}
	if got := points(l.metrics()["failover.attempts"])["failover.outcome=ok failover.replica=a:1"]; got != 1 {
		t.Errorf("%d attempts were counted, want 1", got)
	}
}

// An interceptor within the call's span may create spans of its own. The events of attempts belong
// to the call's span.
func TestUserInterceptors(t *testing.T) {
	l := newLab(t, 2)
	l.replicas[0].handle = answer(grpccodes.Unavailable)
	calls := 0
	within := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		calls++
		ctx, span := l.options.TracerProvider.Tracer("test").Start(ctx, "within")
		defer span.End()
		return invoker(ctx, method, req, reply, cc, opts...)
	}
	var attempts []failover.Attempt
	conn := l.dial(failover.Policy{
		OnAttempt: func(_ context.Context, _ string, a failover.Attempt) { attempts = append(attempts, a) },
	}, grpc.WithChainUnaryInterceptor(within))
	if err := check(t.Context(), conn); err != nil {
		t.Fatal(err)
	}
	spans := l.spans.GetSpans()
	if calls != 1 || len(spans) != 2 {
		t.Fatalf("the interceptor saw %d calls, and %d spans ended; want 1 and 2", calls, len(spans))
	}
	inner, outer := spans[0], spans[1]
	if inner.Parent.SpanID() != outer.SpanContext.SpanID() || len(inner.Events) != 0 || len(outer.Events) != 2 || len(attempts) != 2 {
		t.Errorf("the interceptor's span has %d events, the call's %d, the user's hook saw %d attempts; want 0, 2 and 2",
			len(inner.Events), len(outer.Events), len(attempts))
	}
	if s := conn.Statistics(); s.Calls != 1 {
		t.Errorf("the user's statistics have %d calls, want 1", s.Calls)
	}
}

// The name of a method that is not static may be anything, so it appears neither in metrics nor as
// the name of the span.
func TestMethodThatIsNotStatic(t *testing.T) {
	l := newLab(t, 1)
	conn := l.dial(failover.Policy{})
	if err := conn.Invoke(t.Context(), "/grpc.health.v1.Health/Check", new(healthv1.HealthCheckRequest), new(healthv1.HealthCheckResponse)); err != nil {
		t.Fatal(err)
	}
	span := l.ended()
	set := attribute.NewSet(span.Attributes...)
	method, _ := set.Value("rpc.method")
	original, _ := set.Value("rpc.method_original")
	if span.Name != "grpc" || method.AsString() != "_OTHER" || original.AsString() != "grpc.health.v1.Health/Check" {
		t.Errorf("got span %q with %s", span.Name, text(set))
	}
	if got := points(l.metrics()["failover.call.attempts"]); got["rpc.method=_OTHER"] != 1 || len(got) != 1 {
		t.Errorf("got %v, want one call of _OTHER", got)
	}
}
