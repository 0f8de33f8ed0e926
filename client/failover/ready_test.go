package failover

import (
	"context"
	"net"
	"runtime"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/test/bufconn"
)

// Bubble is synctest.Test on one processor: f runs in virtual time. On two processors, timers of a
// bubble can fire at the same time, and as all of them share one context of the race detector, that
// crashes it (Go 1.26). A test with a bubble may not be parallel: the others would have one
// processor too.
func Bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, f)
}

// serveInMemory starts a server, and returns how to dial it.
func serveInMemory(tb testing.TB) (dial func(context.Context) (net.Conn, error)) {
	tb.Helper()
	lis, server := bufconn.Listen(64<<10), grpc.NewServer()
	healthv1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(lis)
	tb.Cleanup(server.Stop)
	return lis.DialContext
}

// readyClient returns a connection to three servers in memory, and the interceptor behind it.
func readyClient(tb testing.TB, p Policy) (*client, *grpc.ClientConn) {
	tb.Helper()
	servers := map[string]func(context.Context) (net.Conn, error){}
	for _, addr := range []string{"a:1", "b:1", "c:1"} {
		servers[addr] = serveInMemory(tb)
	}
	return connectReady(tb, p, "static:///a:1,b:1,c:1", grpc.WithContextDialer(
		func(ctx context.Context, addr string) (net.Conn, error) { return servers[addr](ctx) }))
}

// connectReady returns a connection to a target of three servers, all of which are ready, and the
// interceptor behind it.
func connectReady(tb testing.TB, p Policy, target string, opts ...grpc.DialOption) (*client, *grpc.ClientConn) {
	tb.Helper()
	ready := make(chan struct{}, 3)
	p.OnReplica = func(e ReplicaEvent) {
		if e.State == ReplicaReady {
			ready <- struct{}{}
		}
	}
	c, err := newClient(p)
	if err != nil {
		tb.Fatal(err)
	}
	opts = append(opts, c.serviceConfig, grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient(target, append(opts, c.dialOptions()...)...)
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

// Seed sets the seed of all random choices, before the first call.
func (c *Client) Seed(seed uint64) { c.client.seed(seed) }
