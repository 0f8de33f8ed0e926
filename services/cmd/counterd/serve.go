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
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/reflection"

	counterv1 "example.com/crashlab/gen/counter/v1"
	faultv1 "example.com/crashlab/gen/fault/v1"
	"example.com/crashlab/services/counter"
	"example.com/crashlab/services/fault"
)

// serve listens and serves until SIGTERM or SIGINT and returns nil once it has drained; any other end is an error.
func serve(f flags, logger hclog.Logger) error {
	ctx, restoreSignals := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer restoreSignals()

	checker := health.NewServer()
	server, err := newServer(f, logger, checker)
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
	drain(server, f.DrainTimeout, logger)
	logger.Info("stopped")
	return <-served
}

func newServer(f flags, logger hclog.Logger, checker *health.Server) (*grpc.Server, error) {
	plan := fault.Plan{Seed: f.Seed, Replica: f.Replica, Incarnation: f.Incarnation}
	injector, err := fault.New(plan, f.faults(), func(c fault.Crash) {
		logger.Error("simulated crash", "request", c.Request, "method", c.Method, "point", c.Point.String())
		os.Exit(1)
	})
	if err != nil {
		return nil, err
	}
	counterName := counterv1.Counter_ServiceDesc.ServiceName
	server := grpc.NewServer(grpc.UnaryInterceptor(injector.Unary(counterName)))
	counterv1.RegisterCounterServer(server, &counter.Counter{Replica: f.Replica, Incarnation: f.Incarnation})
	faultv1.RegisterFaultServer(server, fault.NewService(injector))
	checker.SetServingStatus(counterName, healthv1.HealthCheckResponse_SERVING) // the overall "" serves from the start
	healthv1.RegisterHealthServer(server, checker)
	reflection.Register(server)
	return server, nil
}

// drain lets the calls in flight end, and cuts off what is left of them after the timeout.
func drain(server *grpc.Server, timeout time.Duration, logger hclog.Logger) {
	cutOff := time.AfterFunc(timeout, func() {
		logger.Warn("drain timeout, calls in flight are cut off")
		server.Stop()
	})
	defer cutOff.Stop()
	server.GracefulStop()
}
