package fault_test

import (
	"fmt"

	"example.com/crashlab/services/fault"
)

// A plan determines in advance which requests of an incarnation crash.
func ExamplePlan() {
	plan := fault.Plan{Seed: 2, Replica: "a", Incarnation: 1}
	faults := fault.Faults{CrashProbability: 0.3}
	for request := range uint64(10) {
		if plan.Draws(request+1).Crash < faults.CrashProbability {
			fmt.Println("request", request+1, "crashes replica", plan.Replica)
			break
		}
	}
	// Output: request 4 crashes replica a
}
