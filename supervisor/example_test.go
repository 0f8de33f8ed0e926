package supervisor_test

import (
	"context"
	"fmt"

	"example.com/crashlab/supervisor"
)

func ExampleSupervisor() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := &supervisor.Supervisor{
		Replicas: []supervisor.Replica{{Name: "a", Args: []string{"sh", "-c", "exit $INCARNATION"}}},
		OnEvent: func(e supervisor.Event) {
			if e.Kind == supervisor.Exited {
				fmt.Println(e.Replica, e.Kind, e.Exit)
				if e.Incarnation == 2 {
					cancel()
				}
			}
		},
	}
	if err := s.Run(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// a exited exit code 1
	// a exited exit code 2
}
