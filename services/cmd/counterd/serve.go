package main

import (
	"context"
	"fmt"
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
	"example.com/crashlab/supervisor/transport"
)

// stopPatience is how much longer than the drain the process may take to end after a signal: the
// log may be stuck.
const stopPatience = 30 * time.Second

// lastNews is how long health watches continue during a drain, so that they report NOT_SERVING.
const lastNews = 100 * time.Millisecond

// serve listens and serves until SIGTERM or SIGINT, and returns nil once it has drained.
func serve(f flags, logger hclog.Logger) error {
	ctx, restoreSignals := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer restoreSignals()
	defer context.AfterFunc(ctx, func() {
		restoreSignals() // a second signal ends the process at once
		time.AfterFunc(f.DrainTimeout+stopPatience, func() { os.Exit(1) })
	})()

	checker := health.NewServer()
	streams, endStreams := context.WithCancel(context.Background())
	defer endStreams()
	r, err := newReplica(streams, f, logger, checker)
	if err != nil {
		return err
	}
	served := make(chan error, 2)
	where, err := r.listen(f, served)
	if err != nil {
		return err
	}
	logger.Info("listening", append(where, "replica", f.Replica, "incarnation", f.Incarnation,
		"seed", f.Seed, "faults", f.faults().String())...)

	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	restoreSignals()
	logger.Info("draining", "drain_timeout", f.DrainTimeout.String())
	checker.Shutdown()
	time.AfterFunc(lastNews, endStreams)
	drained := drain(r.server, f.DrainTimeout)
	if r.faults != nil {
		go r.faults.Stop()
	}
	counts := r.injector.Freeze()
	if !drained {
		logger.Warn("drain timeout expired, canceling calls in flight")
		go r.server.Stop() // without waiting: a connection that never finishes its handshake blocks even this
	}
	logger.Info("stopped", "incarnation", f.Incarnation, "arrived", counts.Arrived, "counted", r.counter.Count(), "in_flight", counts.InFlight)
	return nil
}

// replica is the server of one replica, and its counts.
type replica struct {
	server   *grpc.Server
	faults   *grpc.Server // serves only the Fault service; nil: server does, or none
	injector *fault.Injector
	counter  *counter.Counter
}

// newReplica returns the replica that the flags describe. Its streams end with the given context.
func newReplica(streams context.Context, f flags, logger hclog.Logger, checker *health.Server) (*replica, error) {
	service := &counter.Counter{Replica: f.Replica, Incarnation: f.Incarnation}
	plan := fault.Plan{Seed: f.Seed, Replica: f.Replica, Incarnation: f.Incarnation}
	injector, err := fault.New(plan, f.faults(), func(c fault.Crash) {
		logger.Error("simulated crash", "request", c.Request, "method", c.Method, "point", c.Point.String(),
			"incarnation", f.Incarnation, "arrived", c.Arrived, "counted", service.Count(), "in_flight", c.InFlight)
		os.Exit(1)
	})
	if err != nil {
		return nil, err
	}
	secured, err := f.Credentials(func(err error) {
		logger.Warn("renewed certificates cannot be used, the old ones stay in use", "error", err)
	})
	if err != nil {
		return nil, err
	}
	name := counterv1.Counter_ServiceDesc.ServiceName
	server := grpc.NewServer(grpc.Creds(secured), grpc.UnaryInterceptor(injector.Unary(name)), grpc.StreamInterceptor(endWith(streams)))
	counterv1.RegisterCounterServer(server, service)
	checker.SetServingStatus(name, healthv1.HealthCheckResponse_SERVING) // the overall "" serves from the start
	healthv1.RegisterHealthServer(server, checker)
	r := &replica{server: server, injector: injector, counter: service}
	switch f.FaultListen {
	case faultsOff:
	case "":
		faultv1.RegisterFaultServer(server, fault.NewService(injector))
	default:
		r.faults = grpc.NewServer(grpc.Creds(secured))
		faultv1.RegisterFaultServer(r.faults, fault.NewService(injector))
		reflection.Register(r.faults)
	}
	reflection.Register(server)
	return r, nil
}

// listen starts the servers, and returns their addresses as arguments for the log. If a server
// ends, its error is sent to served.
func (r *replica) listen(f flags, served chan<- error) (where []any, err error) {
	exposed := f.Server.Enabled() || f.Insecure
	listener, err := transport.Listen(f.Addr, exposed)
	if err != nil {
		return nil, fmt.Errorf("--addr: %w", err)
	}
	where = []any{"addr", listener.Addr().String()}
	if r.faults != nil {
		faults, err := transport.Listen(f.FaultListen, exposed)
		if err != nil {
			listener.Close()
			return nil, fmt.Errorf("--fault-listen: %w", err)
		}
		where = append(where, "fault_addr", faults.Addr().String())
		go func() { served <- r.faults.Serve(faults) }()
	}
	go func() { served <- r.server.Serve(listener) }()
	return where, nil
}

// endWith returns an interceptor that ends streams with the given context. These are health watches
// and reflection, which last as long as the client likes and would delay every drain.
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

// drain lets the calls in flight end. It returns false if some have not ended after the timeout.
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
		return false
	}
}
