package otelfailover_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/codes"
	api "go.opentelemetry.io/otel/trace"
	"google.golang.org/grpc"
	grpccodes "google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
)

// Probes of an ejected replica are not calls: only the calls, which all succeed, have spans and are
// counted. A probe does not belong to the trace of the call that caused the ejection, but has its
// baggage and its own metadata.
func TestProbesAreNotRecorded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		l := newLab(t, 2)
		l.replicas[0].handle = answer(grpccodes.Unavailable)
		probes := 0
		watch := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
			traced := api.SpanContextFromContext(ctx).IsValid()
			md, _ := metadata.FromOutgoingContext(ctx)
			probe := failover.IsProbe(opts)
			if probe {
				probes++
			}
			if traced == probe || (len(md["traceparent"]) == 0) != probe || len(md["baggage"]) != 1 || len(md["tenant"]) != 1 {
				t.Errorf("probe %v: traced %v, with the metadata %v", probe, traced, md)
			}
			return invoker(ctx, method, req, reply, cc, opts...)
		}
		conn := l.dial(failover.Policy{Ejection: failover.Ejection{After: 1}}, grpc.WithChainUnaryInterceptor(watch))
		member, err := baggage.NewMember("user", "me")
		if err != nil {
			t.Fatal(err)
		}
		bag, err := baggage.New(member)
		if err != nil {
			t.Fatal(err)
		}
		ctx := metadata.AppendToOutgoingContext(baggage.ContextWithBaggage(t.Context(), bag), "tenant", "me")
		for range 20 {
			if err := check(ctx, conn); err != nil {
				t.Fatal(err)
			}
			time.Sleep(500 * time.Millisecond)
			synctest.Wait()
		}
		if probes < 10 {
			t.Errorf("%d probes, want more", probes)
		}
		spans := l.spans.GetSpans()
		for _, span := range spans {
			if span.Status.Code == codes.Error {
				t.Errorf("span %q has the status %v", span.Name, span.Status)
			}
		}
		const ok = "rpc.method=grpc.health.v1.Health/Check rpc.response.status_code=OK"
		if got := points(l.metrics()["failover.call.duration"]); len(spans) != 20 || len(got) != 1 || got[ok] != 20 {
			t.Errorf("%d spans, and durations %v, want 20 of successful calls", len(spans), got)
		}
	})
}
