package failover_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// A call is made as on an ordinary connection. Trace shows where it went.
func ExampleNewClient() {
	addr, stop := serveExample()
	defer stop()
	policy := failover.Policy{Timeout: time.Minute, Rounds: 3, Pause: 200 * time.Millisecond}
	conn, err := failover.NewClient("static:///"+addr, policy,
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

// The error of a failed call lists every attempt. The dialer refuse simulates that nothing listens
// at the two addresses.
func ExampleError() {
	conn, err := failover.NewClient("static:///127.0.0.1:7101,127.0.0.1:7102", failover.Policy{Rounds: 2},
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(refuse))
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
	// round 1 127.0.0.1:7101 refused sent: false
	// round 1 127.0.0.1:7102 refused sent: false
	// round 2 127.0.0.1:7101 refused sent: false
	// round 2 127.0.0.1:7102 refused sent: false
}

// refuse fails like a dial of an address at which nothing listens.
func refuse(context.Context, string) (net.Conn, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
}

// serveExample starts a replica and returns its address.
func serveExample() (addr string, stop func()) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer()
	healthv1.RegisterHealthServer(server, health.NewServer())
	go server.Serve(lis)
	return lis.Addr().String(), server.Stop
}

// A policy for production: calls have deadlines, wait for a replica rather than fail, adapt to
// crashes of the replicas, and do not multiply the load of an outage.
func ExamplePolicy() {
	addr, stop := serveExample()
	defer stop()
	conn, err := failover.NewClient("static:///"+addr, failover.Policy{
		Rounds:        3,
		Order:         failover.OrderLeastInFlight,
		WhenDown:      failover.WhenDownWait,
		AdaptiveLimit: true,
		Budget:        failover.Budget{Ratio: 0.2, Burst: 100},
		Hedge:         failover.Hedge{Quantile: 0.99},
		Idempotent:    map[string]bool{healthv1.Health_Check_FullMethodName: true},
	}, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	defer conn.Close()

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	reply, err := healthv1.NewHealthClient(conn).Check(ctx, &healthv1.HealthCheckRequest{})
	fmt.Println(reply.GetStatus(), err)
	s := conn.Statistics()
	fmt.Println("calls", s.Calls, "succeeded", s.Succeeded, "hedges", s.Hedges, "limit", s.Limit)
	// Output:
	// SERVING <nil>
	// calls 1 succeeded 1 hedges 0 limit 0
}

// A method that is not known to be idempotent is repeated only if it cannot have been executed. A
// call option can declare one call idempotent.
func ExampleWithIdempotent() {
	addr, stop := serveExample()
	defer stop()
	conn, err := failover.NewClient("static:///"+addr, failover.Policy{},
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		panic(err)
	}
	defer conn.Close()

	var attempts []failover.Attempt
	_, err = healthv1.NewHealthClient(conn).Check(context.Background(), &healthv1.HealthCheckRequest{},
		failover.WithIdempotent(true), failover.WithRounds(2), failover.Trace(&attempts))
	fmt.Println(err, attempts[len(attempts)-1].Outcome)
	// Output:
	// <nil> ok
}
