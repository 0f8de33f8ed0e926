package main

import (
	"context"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	counterv1 "example.com/crashlab/gen/counter/v1"
	faultv1 "example.com/crashlab/gen/fault/v1"
	"example.com/crashlab/services/counter"
	"example.com/crashlab/services/fault"
)

// lastNews is how long a health watch lives on in a drain, to say NOT_SERVING.
const lastNews = 100 * time.Millisecond

// serve listens and serves until SIGTERM or SIGINT and returns nil once it has drained; any other end is an error.
func serve(f flags, logger hclog.Logger) error {
	ctx, restoreSignals := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer restoreSignals()

	checker := health.NewServer()
	streams, endStreams := context.WithCancel(context.Background())
	defer endStreams()
	server, err := newServer(streams, f, logger, checker)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", f.Addr)
	if err != nil {
		return err
	}
	logger.Info("listening", "addr", listener.Addr().String(), "replica", f.Replica, "incarnation", f.Incarnation,
		"seed", f.Seed, "faults", f.faults().String())
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	restoreSignals() // a second signal now ends the process at once
	logger.Info("draining", "drain_timeout", f.DrainTimeout.String())
	checker.Shutdown()
	time.AfterFunc(lastNews, endStreams)
	if !drain(server, f.DrainTimeout) {
		logger.Warn("drain timeout, calls in flight are cut off")
	}
	logger.Info("stopped")
	return nil
}

// newServer returns the server of one replica. Its streams end with the context.
func newServer(streams context.Context, f flags, logger hclog.Logger, checker *health.Server) (*grpc.Server, error) {
	plan := fault.Plan{Seed: f.Seed, Replica: f.Replica, Incarnation: f.Incarnation}
	injector, err := fault.New(plan, f.faults(), func(c fault.Crash) {
		logger.Error("simulated crash", "request", c.Request, "method", c.Method, "point", c.Point.String())
		os.Exit(1)
	})
	if err != nil {
		return nil, err
	}
	counterName := counterv1.Counter_ServiceDesc.ServiceName
	server := grpc.NewServer(grpc.UnaryInterceptor(injector.Unary(counterName)), grpc.StreamInterceptor(endWith(streams)))
	counterv1.RegisterCounterServer(server, &counter.Counter{Replica: f.Replica, Incarnation: f.Incarnation})
	faultv1.RegisterFaultServer(server, fault.NewService(injector))
	checker.SetServingStatus(counterName, healthv1.HealthCheckResponse_SERVING) // the overall "" serves from the start
	healthv1.RegisterHealthServer(server, checker)
	reflection.Register(server)
	return server, nil
}

// endWith returns an interceptor that ends streams with the context. They are health watches and reflection, which last
// as long as the client likes and would hold up every drain.
func endWith(streams context.Context) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		handled := make(chan error, 1)
		go func() { handled <- handler(srv, stream) }()
		select {
		case err := <-handled:
			return err
		case <-streams.Done():
			return status.Error(codes.Unavailable, "the replica is draining")
		}
	}
}

// drain lets the calls in flight end. It returns false when they have not after the timeout, and cuts them off. It does
// not wait for more: a connection that never finished its handshake would hold up even a hard stop.
func drain(server *grpc.Server, timeout time.Duration) bool {
	drained := make(chan struct{})
	go func() {
		server.GracefulStop()
		close(drained)
	}()
	select {
	case <-drained:
		return true
	case <-time.After(timeout):
		go server.Stop()
		return false
	}
}
