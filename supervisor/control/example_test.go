package control_test

import (
	"context"
	"fmt"
	"log"

	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/control"
	"example.com/crashlab/supervisor/spec"
)

// A program serves the control service, and another one watches the replicas.
func Example() {
	s, err := supervisor.New(supervisor.Config{Groups: []spec.Group{{
		Count:   1,
		Replica: func(int) spec.Replica { return spec.Replica{Name: "worker", Args: []string{"sleep", "1000"}} },
	}}})
	if err != nil {
		log.Fatal(err)
	}
	l, err := control.Listen("127.0.0.1:0", false)
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- s.Run(ctx) }()
	go func() { ended <- (&control.Server{Supervisor: s}).Serve(ctx, l) }()

	conn, err := control.NewClient(l.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	watch := &supervisorv1.WatchRequest{After: new(uint64(0))} // from the first event
	stream, err := supervisorv1.NewSupervisorClient(conn).Watch(ctx, watch)
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		reply, err := stream.Recv()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(reply.GetEvent().GetReplica(), reply.GetEvent().GetKind())
	}
	conn.Close()

	cancel()
	for range cap(ended) {
		if err := <-ended; err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// worker EVENT_KIND_ADDED
	// worker EVENT_KIND_LAUNCHED
	// worker EVENT_KIND_READY
}
