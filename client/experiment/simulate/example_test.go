package simulate_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/failover"
)

// Predict how many attempts a call takes if replicas crash at three requests in ten and each has
// one call in flight.
func Example() {
	s := design.Defaults()
	s.PCrash, s.RestartDelay = 0.3, time.Second
	s.WhenDown, s.MaxInFlight, s.Timeout, s.Rounds = failover.WhenDownWait, 1, 0, 99
	d := &design.Design{Seed: 1, Repeats: 100, Parallel: 1, Cells: []design.Cell{{Settings: s}}}

	e := simulate.Engine{Model: simulate.DefaultModel()}
	run, err := e.Run(context.Background(), d, d.Trials())
	if err != nil {
		log.Fatal(err)
	}
	attempts := experiment.Summarize(run).Cells[0].Metrics[design.Attempts]
	fmt.Printf("%.1f attempts per call; 1/(1-p) is %.1f\n", attempts.Estimate, 1/(1-s.PCrash))
	// Output: 1.4 attempts per call; 1/(1-p) is 1.4
}
