package failover

import (
	"context"
	"net"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
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

// loopbackClient returns a connection to three servers on loopback.
func loopbackClient(tb testing.TB, p Policy) *grpc.ClientConn {
	tb.Helper()
	_, conn := connectReady(tb, p, "static:///"+serveHealth(tb)+","+serveHealth(tb)+","+serveHealth(tb))
	return conn
}

// bareConn returns a connection to one server on loopback, as gRPC makes it.
func bareConn(tb testing.TB) *grpc.ClientConn {
	tb.Helper()
	return plainConn(tb, "passthrough:///"+serveHealth(tb))
}

// roundRobinConn returns a connection to three servers on loopback, with gRPC's own round_robin.
func roundRobinConn(tb testing.TB) *grpc.ClientConn {
	tb.Helper()
	m := manual.NewBuilderWithScheme("loopback")
	var s resolver.State
	for range 3 {
		s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{{Addr: serveHealth(tb)}}})
	}
	m.InitialState(s)
	return plainConn(tb, "loopback:///x", grpc.WithResolvers(m), grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`))
}

func plainConn(tb testing.TB, target string, opts ...grpc.DialOption) *grpc.ClientConn {
	tb.Helper()
	conn, err := grpc.NewClient(target, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
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

// interceptorPolicies are the policies under which the interceptor alone is measured: a plain one;
// one with everything that learns and bounds; one with a deadline; one with hedges.
func interceptorPolicies() map[string]Policy {
	bounded := Policy{
		Rounds: 3, Order: OrderLeastInFlight, WhenDown: WhenDownWait, MaxInFlight: 1000, AdaptiveLimit: true, Budget: Budget{Ratio: 0.1},
		Idempotent: map[string]bool{"/": true},
	}
	hedged := bounded
	hedged.Hedge = Hedge{Quantile: 0.95, After: time.Second}
	return map[string]Policy{
		"plain": {Rounds: 3}, "round-robin": {Rounds: 3, Order: OrderRoundRobin}, "bounded": bounded, "hedged": hedged,
		"deadline": {Rounds: 3, Timeout: time.Second},
	}
}

// stubOptions are the call options that a generated stub passes to the interceptor.
var stubOptions = []grpc.CallOption{grpc.StaticMethod()}

// allocations returns how many allocations f makes. Other activity in the process can only add to a
// count, so the least of a few counts is that of f. A count of at most most ends the search.
func allocations(most float64, f func()) float64 {
	least := testing.AllocsPerRun(100, f)
	for n := 0; n < 5 && least > most; n++ {
		least = min(least, testing.AllocsPerRun(100, f))
	}
	return least
}

// The interceptor itself allocates only the attempt's context, and what package context needs for a
// deadline or cancel function.
func TestInterceptorAllocations(t *testing.T) {
	deadline := allocations(0, func() {
		_, cancel := context.WithTimeout(t.Context(), time.Second)
		cancel()
	})
	policies := interceptorPolicies()
	for name, want := range map[string]float64{"plain": 1, "round-robin": 1, "bounded": 1, "deadline": 1 + deadline, "hedged": 5 + deadline} {
		c, conn := readyClient(t, policies[name])
		got := allocations(want, func() {
			if err := c.unary(t.Context(), "/m", nil, nil, conn, invokeNothing, stubOptions...); err != nil {
				t.Fatal(err)
			}
		})
		if got > want {
			t.Errorf("%s: %v allocations a call, want at most %v", name, got, want)
		}
	}
}

// BenchmarkInterceptor measures the interceptor alone, on a connection to three ready replicas,
// without sending the request. clock measures a reading of the clock, for comparison: each attempt
// takes one.
func BenchmarkInterceptor(b *testing.B) {
	for name, policy := range interceptorPolicies() {
		b.Run(name, func(b *testing.B) {
			c, conn := readyClient(b, policy)
			b.ReportAllocs()
			for b.Loop() {
				if err := c.unary(b.Context(), "/m", nil, nil, conn, invokeNothing, stubOptions...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("clock", func(b *testing.B) {
		start := time.Now()
		for b.Loop() {
			_ = time.Since(start)
		}
	})
}

// BenchmarkCall measures a whole call over TCP on loopback: bare on one connection, and through
// failover to the first of three replicas, with and without a deadline for the call or the attempt.
func BenchmarkCall(b *testing.B) {
	plain := loopbackClient(b, Policy{Rounds: 3})
	deadline := loopbackClient(b, Policy{Rounds: 3, Timeout: time.Second})
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

// BenchmarkOverhead makes calls over TCP on loopback alternately through gRPC alone and through
// failover, and reports the ratio of the medians. Other load on the machine affects both.
func BenchmarkOverhead(b *testing.B) {
	for _, bm := range []struct {
		name            string
		plain, failover func(testing.TB) *grpc.ClientConn
	}{
		{"bare", bareConn, func(tb testing.TB) *grpc.ClientConn { return loopbackClient(tb, Policy{}) }},
		{"round-robin", roundRobinConn, func(tb testing.TB) *grpc.ClientConn { return loopbackClient(tb, Policy{Order: OrderRoundRobin}) }},
		{"recommended", roundRobinConn, func(tb testing.TB) *grpc.ClientConn { return loopbackClient(tb, Recommended()) }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			clients := [2]healthv1.HealthClient{healthv1.NewHealthClient(bm.plain(b)), healthv1.NewHealthClient(bm.failover(b))}
			var took [2][]float64
			for n := 0; b.Loop(); n++ {
				for i := range clients {
					i := (i + n) % 2 // neither is always the first
					ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
					start := time.Now()
					_, err := clients[i].Check(ctx, new(healthv1.HealthCheckRequest))
					took[i] = append(took[i], time.Since(start).Seconds())
					cancel()
					if err != nil {
						b.Fatal(err)
					}
				}
			}
			median := func(all []float64) float64 {
				slices.Sort(all)
				return all[len(all)/2]
			}
			b.ReportMetric(0, "ns/op") // it would be of both together
			b.ReportMetric(median(took[1])/median(took[0]), "ratio")
		})
	}
}
