package failover

import (
	"context"
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// serveHealth starts a server on loopback and returns its address.
func serveHealth(tb testing.TB) string {
	tb.Helper()
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	server := grpc.NewServer()
	healthv1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(lis)
	tb.Cleanup(server.Stop)
	return lis.Addr().String()
}

// readyClient returns a connection to three servers, and the interceptor behind it.
func readyClient(tb testing.TB, p Policy) (*client, *grpc.ClientConn) {
	tb.Helper()
	ready := make(chan struct{}, 3)
	p.OnReplica = func(e ReplicaEvent) {
		if e.State == Ready {
			ready <- struct{}{}
		}
	}
	c, err := newClient(p)
	if err != nil {
		tb.Fatal(err)
	}
	target := "static:///" + serveHealth(tb) + "," + serveHealth(tb) + "," + serveHealth(tb)
	opts := append(c.dialOptions(), c.serviceConfig, grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient(target, opts...)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	conn.Connect()
	for range 3 {
		<-ready
	}
	return c, conn
}

func bareConn(tb testing.TB) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient("passthrough:///"+serveHealth(tb), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { conn.Close() })
	conn.Connect()
	for s := conn.GetState(); s != connectivity.Ready; s = conn.GetState() {
		conn.WaitForStateChange(tb.Context(), s)
	}
	return conn
}

func invokeNothing(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
	return nil
}

// The interceptor's own allocations: the attempt's context, and what context.WithTimeout makes for a deadline.
func TestInterceptorAllocations(t *testing.T) {
	deadline := testing.AllocsPerRun(100, func() {
		_, cancel := context.WithTimeout(t.Context(), time.Second)
		cancel()
	})
	for _, tc := range []struct {
		name   string
		policy Policy
		want   float64
	}{
		{"plain", Policy{Rounds: 3}, 1},
		{"round-robin", Policy{Rounds: 3, Order: RoundRobin}, 1},
		{"deadline", Policy{Timeout: time.Second}, 1 + deadline},
	} {
		c, conn := readyClient(t, tc.policy)
		got := testing.AllocsPerRun(100, func() {
			if err := c.unary(t.Context(), "/m", nil, nil, conn, invokeNothing); err != nil {
				t.Fatal(err)
			}
		})
		if got > tc.want {
			t.Errorf("%s: %v allocations a call, want at most %v", tc.name, got, tc.want)
		}
	}
}

// BenchmarkInterceptor is the interceptor alone, on a connection to three ready replicas; the request goes nowhere.
func BenchmarkInterceptor(b *testing.B) {
	for _, bm := range []struct {
		name   string
		policy Policy
	}{{"plain", Policy{Rounds: 3}}, {"deadline", Policy{Rounds: 3, Timeout: time.Second}}} {
		b.Run(bm.name, func(b *testing.B) {
			c, conn := readyClient(b, bm.policy)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.unary(b.Context(), "/m", nil, nil, conn, invokeNothing); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCall is a whole call over TCP on loopback: bare on one connection, and through failover to the first of
// three replicas, with and without a deadline for the call or the attempt.
func BenchmarkCall(b *testing.B) {
	_, plain := readyClient(b, Policy{Rounds: 3})
	_, deadline := readyClient(b, Policy{Rounds: 3, Timeout: time.Second})
	bare := bareConn(b)
	for _, bm := range []struct {
		name    string
		conn    *grpc.ClientConn
		timeout time.Duration
	}{
		{"bare", bare, 0}, {"failover", plain, 0},
		{"bare-deadline", bare, time.Second}, {"failover-deadline", deadline, 0},
	} {
		b.Run(bm.name, func(b *testing.B) {
			client := healthv1.NewHealthClient(bm.conn)
			b.ReportAllocs()
			for b.Loop() {
				ctx, cancel := b.Context(), func() {}
				if bm.timeout > 0 {
					ctx, cancel = context.WithTimeout(ctx, bm.timeout)
				}
				if _, err := client.Check(ctx, new(healthv1.HealthCheckRequest)); err != nil {
					b.Fatal(err)
				}
				cancel()
			}
		})
	}
}
