package supervisor_test

import (
	"context"
	"fmt"
	"time"

	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// A service that keeps crashing is relaunched until its policy gives it up.
func Example() {
	s, err := supervisor.New(supervisor.Config{
		Groups: []spec.Group{{
			Count:  1,
			Policy: restart.Policy{Limit: restart.Limit{Exits: 3, Window: time.Hour}},
			Replica: func(i int) spec.Replica {
				return spec.Replica{Name: fmt.Sprint("service-", i), Args: []string{"sh", "-c", "exit $CRASHLAB_INCARNATION"}}
			},
		}},
		OnEvent: func(e event.Event) {
			if e.Kind == event.KindExited || e.Kind == event.KindFailed {
				fmt.Println(e.Replica, e.Kind, e.Exit)
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := s.Run(context.Background()); err != nil { // returns when no replica runs any more
		fmt.Println(err)
	}
	// Output:
	// service-0 exited exit code 1
	// service-0 exited exit code 2
	// service-0 exited exit code 3
	// service-0 failed exit code 3
}

// Watch returns events from the first one on, and List returns the present state.
func ExampleSupervisor_Watch() {
	s, err := supervisor.New(supervisor.Config{Groups: []spec.Group{{
		Count:   1,
		Replica: func(int) spec.Replica { return spec.Replica{Name: "worker", Args: []string{"sleep", "1000"}} },
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	for e, err := range s.Watch(ctx, 0) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Println(e.Replica, e.Kind)
		if e.Kind == event.KindReady {
			break
		}
	}
	for _, r := range s.List() {
		fmt.Println(r.Replica, "is", r.State, "at incarnation", r.Incarnation)
	}
	cancel()
	if err := <-ended; err != nil {
		fmt.Println(err)
	}
	// Output:
	// worker added
	// worker launched
	// worker ready
	// worker is ready at incarnation 1
}
