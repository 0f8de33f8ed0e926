package otelfailover_test

import (
	"context"
	"fmt"
	"net"
	"sync"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/failover/otelfailover"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// A call that succeeds with its second attempt is one span with two events. A program would export
// its spans; the example prints them.
func ExampleNewClient() {
	addr, stop := serveAtSecondAttempt()
	defer stop()
	spans := tracetest.NewInMemoryExporter()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(spans)))

	policy := failover.Policy{Rounds: 3, Idempotent: map[string]bool{"/grpc.health.v1.Health/": true}}
	conn, err := otelfailover.NewClient("static:///"+addr, policy, otelfailover.Options{},
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	defer conn.Close()

	reply, err := healthv1.NewHealthClient(conn).Check(context.Background(), &healthv1.HealthCheckRequest{})
	fmt.Println(reply.GetStatus(), err)
	for _, span := range spans.GetSpans() {
		fmt.Println(span.SpanKind, span.Name)
		for _, event := range span.Events {
			fmt.Print(event.Name)
			for _, kv := range event.Attributes {
				switch kv.Key {
				case "failover.outcome", "failover.attempt.number", "failover.attempt.round":
					fmt.Printf(" %s=%s", kv.Key, kv.Value.String())
				}
			}
			fmt.Println()
		}
	}
	// Output:
	// SERVING <nil>
	// client grpc.health.v1.Health/Check
	// failover.attempt failover.outcome=failed failover.attempt.number=1 failover.attempt.round=1
	// failover.attempt failover.outcome=ok failover.attempt.number=2 failover.attempt.round=2
}

// serveAtSecondAttempt starts a server that does not answer its first request.
func serveAtSecondAttempt() (addr string, stop func()) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	var first sync.Once
	server := grpc.NewServer(grpc.UnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		err := error(nil)
		first.Do(func() { err = status.Error(codes.Unavailable, "not yet") })
		if err != nil {
			return nil, err
		}
		return handler(ctx, req)
	}))
	healthv1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(lis)
	return lis.Addr().String(), server.Stop
}
