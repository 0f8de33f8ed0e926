// Package control connects package supervisor with gRPC. It provides the service
// supervisor.v1.Supervisor, by which other programs watch and command the replicas ([Server]),
// connections to it ([NewClient]), and a probe for replicas that serve grpc.health.v1 ([Prober]).
//
// A program that needs none of these can use package supervisor without gRPC. The program
// supervisor ctl is a client of the service; so is grpcurl, by reflection.
package control

import (
	"context"
	"net"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor"
)

const (
	// endPatience is how long calls in flight may take when Serve ends. It lets watchers receive
	// the last events.
	endPatience = time.Second
	// A connection whose other side has vanished is detected within keepaliveTime +
	// keepaliveTimeout.
	keepaliveTime    = time.Minute
	keepaliveTimeout = 20 * time.Second
)

// Server serves supervisor.v1.Supervisor, grpc.health.v1 and reflection.
type Server struct {
	Supervisor *supervisor.Supervisor

	// Reload reads the configuration again and applies it. Its error is returned to the caller. An
	// error that wraps none of package supervisor or context means that the configuration is not
	// valid. Calls may overlap. If Reload is nil, the service refuses to reload.
	Reload func(ctx context.Context) error

	// Reopen closes the files that the program writes and opens the ones that are at their paths
	// now. If it is nil, there are none.
	Reopen func(ctx context.Context) error

	// Sinks returns the places to which the program writes, for List. If it is nil, there are none.
	Sinks func() []Sink

	// Credentials secure the connections, see package transport. If they are nil, connections are
	// not secured.
	Credentials credentials.TransportCredentials
}

// Sink is a place to which the program writes lines.
type Sink struct {
	Name string
	Lost uint64 // number of lost lines
	Err  error  // error of the latest write; nil: it succeeded
}

// Serve serves on l, and closes it, until ctx ends. It then accepts no more calls, and cancels
// those in flight after 1 s. Watches end by themselves when the supervisor has ended, so ctx should
// end after that. Serve returns an error only if the listener fails. Connections are limited as by
// [LimitConnections].
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	options := []grpc.ServerOption{
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: keepaliveTime, Timeout: keepaliveTimeout}),
	}
	if s.Credentials != nil {
		options = append(options, grpc.Creds(s.Credentials))
	}
	server := grpc.NewServer(options...)
	checker := health.NewServer()
	checker.SetServingStatus(supervisorv1.Supervisor_ServiceDesc.ServiceName, healthv1.HealthCheckResponse_SERVING)
	supervisorv1.RegisterSupervisorServer(server, &service{supervisor: s.Supervisor, reload: s.Reload, reopen: s.Reopen, sinks: s.Sinks})
	healthv1.RegisterHealthServer(server, checker)
	reflection.Register(server)

	served := make(chan error, 1)
	go func() { served <- server.Serve(LimitConnections(l)) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	checker.Shutdown()
	stopped := make(chan struct{})
	go func() {
		server.GracefulStop()
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(endPatience):
		// Serve does not wait for this: a connection that never finishes its handshake holds it up.
		go server.Stop()
	}
	return nil
}
