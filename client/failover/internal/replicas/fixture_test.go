package replicas_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/test/bufconn"
)

// bubble is synctest.Test on one processor. On two, timers of a bubble can fire at the same time,
// and as all of them share one context of the race detector, that crashes it (Go 1.26).
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, f)
}

// usual is the Redial of the zero failover.Policy.
var usual = replicas.Redial{Every: 25 * time.Millisecond, Linger: time.Second}

// host is an address at which a real gRPC server, in memory, listens or not.
type host struct {
	healthv1.UnimplementedHealthServer
	check func(context.Context) error // unless nil

	mu     sync.Mutex
	server *grpc.Server // nil while down
	lis    *bufconn.Listener
	dials  []time.Time
}

func (h *host) Check(ctx context.Context, _ *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	if h.check != nil {
		if err := h.check(ctx); err != nil {
			return nil, err
		}
	}
	return new(healthv1.HealthCheckResponse), nil
}

// Watch holds the stream until the client cancels it.
func (h *host) Watch(_ *healthv1.HealthCheckRequest, stream grpc.ServerStreamingServer[healthv1.HealthCheckResponse]) error {
	<-stream.Context().Done()
	return nil
}

// listen accepts new connections, and ends those that the host has.
func (h *host) listen() {
	lis, server := bufconn.Listen(64<<10), grpc.NewServer()
	healthv1.RegisterHealthServer(server, h)
	go server.Serve(lis)
	h.replace(server, lis)
}

// crash ends all connections and refuses new ones.
func (h *host) crash() { h.replace(nil, nil) }

func (h *host) replace(server *grpc.Server, lis *bufconn.Listener) {
	h.mu.Lock()
	old := h.server
	h.server, h.lis = server, lis
	h.mu.Unlock()
	if old != nil {
		old.Stop()
	}
}

func (h *host) dial(ctx context.Context) (net.Conn, error) {
	h.mu.Lock()
	down, lis := h.server == nil, h.lis
	h.dials = append(h.dials, time.Now())
	h.mu.Unlock()
	if down {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	return lis.DialContext(ctx)
}

// dialsSince returns when the host was dialed since the given time.
func (h *host) dialsSince(then time.Time) []time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, at := range h.dials {
		if !at.Before(then) {
			return h.dials[i:]
		}
	}
	return nil
}

// network is hosts a:1, b:1 …, all down at first.
type network []*host

func newNetwork(t testing.TB, n int) network {
	var hosts network
	for range n {
		h := new(host)
		t.Cleanup(h.crash)
		hosts = append(hosts, h)
	}
	return hosts
}

// connect returns a connection that uses the Set, and a resolver that returns all hosts.
func (n network) connect(t testing.TB, set *replicas.Set) (*grpc.ClientConn, *manual.Resolver) {
	t.Helper()
	m := manual.NewBuilderWithScheme("test")
	m.InitialState(n.endpoints(0, len(n)))
	conn, err := grpc.NewClient("test:///x", grpc.WithResolvers(m),
		grpc.WithDefaultServiceConfig(fmt.Sprintf(`{"loadBalancingConfig":%s}`, replicas.Config(set))),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) { return n[addr[0]-'a'].dial(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.Connect()
	return conn, m
}

// endpoints returns a resolver state with the hosts from i to before j.
func (n network) endpoints(i, j int) resolver.State {
	var s resolver.State
	for ; i < j; i++ {
		addr := resolver.Address{Addr: fmt.Sprintf("%c:1", 'a'+i)}
		s.Endpoints = append(s.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{addr}})
	}
	return s
}
