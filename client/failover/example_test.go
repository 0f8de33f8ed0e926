package failover_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// A call is made on an ordinary connection. Where it went is there for those who ask.
func ExampleNewClient() {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer()
	healthv1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(lis)
	defer server.Stop()

	policy := failover.Policy{Timeout: time.Second, Rounds: 3, Pause: 200 * time.Millisecond}
	conn, err := failover.NewClient("static:///"+lis.Addr().String(), policy,
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	defer conn.Close()

	var attempts []failover.Attempt
	reply, err := healthv1.NewHealthClient(conn).Check(context.Background(), &healthv1.HealthCheckRequest{}, failover.Trace(&attempts))
	fmt.Println(reply.GetStatus(), err)
	for _, a := range attempts {
		fmt.Println("round", a.Round, a.Outcome, "sent:", a.Sent)
	}
	// Output:
	// SERVING <nil>
	// round 1 ok sent: true
}

// A call that failed tells every attempt. Nothing listens at these two addresses.
func ExampleError() {
	conn, err := failover.NewClient("static:///127.0.0.1:1,127.0.0.1:2", failover.Policy{Rounds: 2},
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	defer conn.Close()

	_, err = healthv1.NewHealthClient(conn).Check(context.Background(), &healthv1.HealthCheckRequest{})
	fmt.Println(status.Code(err))
	if failed, ok := errors.AsType[*failover.Error](err); ok {
		for _, a := range failed.Attempts {
			fmt.Println("round", a.Round, a.Replica, a.Outcome, "sent:", a.Sent)
		}
	}
	// Output:
	// Unavailable
	// round 1 127.0.0.1:1 refused sent: false
	// round 1 127.0.0.1:2 refused sent: false
	// round 2 127.0.0.1:1 refused sent: false
	// round 2 127.0.0.1:2 refused sent: false
}
