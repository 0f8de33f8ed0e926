package failover_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
)

var bubble = failover.Bubble

var soak = flag.Bool("soak", false, "repeat ten times as often what is tried at random")

// times returns how often to repeat a randomized test: n times, or ten times as often with -soak.
func times(n int) int {
	if *soak {
		return 10 * n
	}
	return n
}

// replica is a real gRPC server in this process, reached through memory. It serves grpc.health.v1,
// a service that every user of gRPC has.
type replica struct {
	healthv1.UnimplementedHealthServer
	addr string

	// handle, unless nil, answers instead of SERVING.
	handle func(context.Context) error
	// health is the answer of the health service; zero means SERVING.
	health atomic.Int32
	// other, unless nil, answers streams of unknown methods.
	other   func(grpc.ServerStream) error
	served  atomic.Int64
	streams atomic.Int64
	dials   atomic.Int64

	restarts   sync.Mutex // held during a restart
	relaunches sync.WaitGroup

	mu      sync.Mutex
	server  *grpc.Server // nil while down
	lis     *bufconn.Listener
	retired bool // stays down
}

// incarnation is the context key of a value that identifies the incarnation that a request reached.
type incarnation struct{}

func (r *replica) Check(ctx context.Context, _ *healthv1.HealthCheckRequest) (*healthv1.HealthCheckResponse, error) {
	r.served.Add(1)
	if r.handle != nil {
		if err := r.handle(ctx); err != nil {
			return nil, err
		}
	}
	says := healthv1.HealthCheckResponse_SERVING
	if v := r.health.Load(); v != 0 {
		says = healthv1.HealthCheckResponse_ServingStatus(v)
	}
	return &healthv1.HealthCheckResponse{Status: says}, nil
}

// Watch counts the stream and ends it with Unimplemented.
func (r *replica) Watch(*healthv1.HealthCheckRequest, grpc.ServerStreamingServer[healthv1.HealthCheckResponse]) error {
	r.streams.Add(1)
	return status.Error(codes.Unimplemented, "no")
}

func (r *replica) unknown(_ any, stream grpc.ServerStream) error {
	if r.other == nil {
		return status.Error(codes.Unimplemented, "no")
	}
	return r.other(stream)
}

func (r *replica) start() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.retired {
		return
	}
	lis := bufconn.Listen(64 << 10)
	r.lis = lis
	r.server = grpc.NewServer(grpc.UnknownServiceHandler(r.unknown), grpc.UnaryInterceptor(
		func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			return next(context.WithValue(ctx, incarnation{}, lis), req)
		}))
	healthv1.RegisterHealthServer(r.server, r)
	go r.server.Serve(lis)
}

// crash breaks all connections and refuses new ones, like the end of a process.
func (r *replica) crash() {
	if server := r.take(); server != nil {
		server.Stop()
	}
}

// restart is a crash with an immediate relaunch: a dial made when the connections break reaches the
// new server.
func (r *replica) restart() {
	r.restarts.Lock()
	defer r.restarts.Unlock()
	server := r.take()
	r.start()
	if server != nil {
		server.Stop()
	}
}

// relaunch is a restart by one of the replica's handlers, which cannot wait for its own end.
func (r *replica) relaunch() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.retired {
		r.relaunches.Go(r.restart)
	}
}

// retire is a crash without a relaunch. It returns when no relaunch is under way.
func (r *replica) retire() {
	r.mu.Lock()
	r.retired = true
	r.mu.Unlock()
	r.relaunches.Wait()
	r.crash()
}

// take returns the current server and removes it.
func (r *replica) take() *grpc.Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	server := r.server
	r.server = nil
	return server
}

func (r *replica) dial(ctx context.Context) (net.Conn, error) {
	r.dials.Add(1)
	r.mu.Lock()
	down, lis := r.server == nil, r.lis
	r.mu.Unlock()
	if down {
		return refuse(ctx, r.addr)
	}
	return lis.DialContext(ctx)
}

// cluster is n replicas named a:1, b:1, c:1 …, all up.
type cluster []*replica

func newCluster(t testing.TB, n int) cluster {
	var c cluster
	for i := range n {
		r := &replica{addr: fmt.Sprintf("%c:1", 'a'+i)}
		r.start()
		t.Cleanup(r.retire)
		c = append(c, r)
	}
	return c
}

func (c cluster) target() string {
	target := "static:///"
	for i, r := range c {
		if i > 0 {
			target += ","
		}
		target += r.addr
	}
	return target
}

func (c cluster) options() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			for _, r := range c {
				if r.addr == addr {
					return r.dial(ctx)
				}
			}
			return nil, fmt.Errorf("no replica at %s", addr)
		}),
	}
}

// client returns a new connection to the target. All methods are idempotent unless the policy says
// otherwise.
func (c cluster) client(t testing.TB, target string, p failover.Policy, opts ...grpc.DialOption) *failover.Client {
	t.Helper()
	if p.Idempotent == nil {
		p.Idempotent = map[string]bool{"/": true}
	}
	conn, err := failover.NewClient(target, p, append(c.options(), opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// connect returns a connection to the cluster.
func (c cluster) connect(t testing.TB, p failover.Policy, opts ...grpc.DialOption) *failover.Client {
	t.Helper()
	return c.connectTo(t, c.target(), len(c), p, opts...)
}

// connectTo returns a connection to a target of n replicas, once each is known to be ready or down.
func (c cluster) connectTo(t testing.TB, target string, n int, p failover.Policy, opts ...grpc.DialOption) *failover.Client {
	t.Helper()
	settled, count, user := make(chan struct{}), 0, p.OnReplica
	p.OnReplica = func(e failover.ReplicaEvent) {
		if user != nil {
			user(e)
		}
		if e.State == failover.ReplicaReady || e.State == failover.ReplicaDown {
			if count++; count == n {
				close(settled)
			}
		}
	}
	conn := c.client(t, target, p, opts...)
	conn.Connect()
	<-settled
	return conn
}

// crash ends all replicas.
func (c cluster) crash() {
	for _, r := range c {
		r.crash()
	}
}

// call makes one call and returns its attempts.
func call(ctx context.Context, conn grpc.ClientConnInterface, opts ...grpc.CallOption) ([]failover.Attempt, error) {
	var attempts []failover.Attempt
	_, err := healthv1.NewHealthClient(conn).Check(ctx, new(healthv1.HealthCheckRequest), append(opts, failover.Trace(&attempts))...)
	return attempts, err
}

// watch opens a stream and returns its error, which is Unimplemented if it reached a replica.
func watch(ctx context.Context, conn grpc.ClientConnInterface, opts ...grpc.CallOption) error {
	stream, err := healthv1.NewHealthClient(conn).Watch(ctx, new(healthv1.HealthCheckRequest), opts...)
	if err != nil {
		return err
	}
	_, err = stream.Recv()
	return err
}

// path describes the attempts in one line: "a:1 lost sent, b:1 ok sent".
func path(attempts []failover.Attempt) string {
	var s string
	for i, a := range attempts {
		if i > 0 {
			s += ", "
		}
		s += fmt.Sprintf("%s %v", a.Replica, a.Outcome)
		if a.Sent {
			s += " sent"
		}
	}
	return s
}

// hang blocks a handler until its request's deadline.
func hang(ctx context.Context) error {
	<-ctx.Done()
	return status.FromContextError(ctx.Err()).Err()
}

func answer(c codes.Code) func(context.Context) error {
	return func(context.Context) error { return status.Error(c, "as requested") }
}

const long = 10 * time.Minute // a deadline that no test should reach
