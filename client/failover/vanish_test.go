package failover

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

// The only replica crashes between the choice and the attempt of a call, and comes back at the same
// address. A call that waits does not fail because of that: its attempt is made only on a
// connection.
func TestReplicaVanishesBetweenChoiceAndPick(t *testing.T) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	serve := func(lis net.Listener) *grpc.Server {
		server := grpc.NewServer()
		healthv1.RegisterHealthServer(server, health.NewServer())
		go server.Serve(lis)
		return server
	}
	server := serve(lis)
	ready, lost := make(chan struct{}, 10), make(chan struct{}, 10)
	c, err := newClient(Policy{WhenDown: WhenDownWait, OnReplica: func(e ReplicaEvent) {
		switch e.State {
		case ReplicaReady:
			ready <- struct{}{}
		case ReplicaDown:
			lost <- struct{}{}
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	back := make(chan *grpc.Server, 1)
	var crash sync.Once
	attempts := 0
	// attempt comes between the choice and what gRPC does to make the attempt.
	attempt := func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		attempts++
		crash.Do(func() {
			server.Stop()
			<-lost
			time.AfterFunc(300*time.Millisecond, func() {
				for { // another process may hold the port for a moment
					if again, err := net.Listen("tcp", lis.Addr().String()); err == nil {
						back <- serve(again)
						return
					}
					time.Sleep(time.Millisecond)
				}
			})
		})
		return invoker(ctx, method, req, reply, cc, opts...)
	}
	opts := append(c.dialOptions(), c.serviceConfig, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithChainUnaryInterceptor(attempt))
	conn, err := grpc.NewClient("static:///"+lis.Addr().String(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Connect()
	<-ready
	var trace []Attempt
	reply, err := healthv1.NewHealthClient(conn).Check(t.Context(), new(healthv1.HealthCheckRequest), Trace(&trace))
	if err != nil || attempts != 2 || len(trace) != 1 || reply.Status != healthv1.HealthCheckResponse_SERVING {
		t.Errorf("got %v, %v, and %d attempts begun, want success at the second, which is the first that was made", err, trace, attempts)
	}
	(<-back).Stop()
}
