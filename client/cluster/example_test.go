package cluster_test

import (
	"context"
	"fmt"
	"net"

	"example.com/crashlab/client/cluster"
	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"google.golang.org/grpc"
)

// Connect lists the replicas that a supervisor runs, with the addresses at which they are reached.
func ExampleConnect() {
	control, stop := serveControl()
	defer stop()
	ctx := context.Background()
	c, err := cluster.Connect(ctx, cluster.Target{Control: []string{control}}, nil)
	if err != nil {
		panic(err)
	}
	defer c.Close()
	for _, r := range c.Replicas {
		fmt.Println(r.Name, r.Addr, "incarnation", r.Status.GetIncarnation())
	}
	// Output:
	// a 127.0.0.1:7101 incarnation 1
	// b 127.0.0.1:7102 incarnation 3
}

// supervisor stands in for a running supervisor.
type supervisor struct {
	supervisorv1.UnimplementedSupervisorServer
}

func (supervisor) List(context.Context, *supervisorv1.ListRequest) (*supervisorv1.ListResponse, error) {
	return &supervisorv1.ListResponse{Replicas: []*supervisorv1.Status{
		{Replica: "a", Addr: "127.0.0.1:7101", Incarnation: 1},
		{Replica: "b", Addr: "127.0.0.1:7102", Incarnation: 3},
	}}, nil
}

// serveControl starts its control service and returns the address.
func serveControl() (addr string, stop func()) {
	lis, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer()
	supervisorv1.RegisterSupervisorServer(server, supervisor{})
	go server.Serve(lis)
	return lis.Addr().String(), server.Stop
}
