package workload_test

import (
	"context"
	"errors"
	"fmt"

	"example.com/crashlab/client/workload"
)

// An open loop: 20 calls, 200 a second, of which every fifth fails.
func ExamplePlan_Run() {
	plan := workload.Plan{Calls: 20, Rate: 200}
	if err := plan.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	var records workload.Records
	pace := plan.Run(context.Background(), func(_ context.Context, call int) (workload.Reply, error) {
		if call%5 == 0 {
			return workload.Reply{}, errors.New("no luck")
		}
		return workload.Reply{Value: 1, Replica: "a"}, nil
	}, records.Add)
	s := workload.Summarize(records.All(), pace)
	fmt.Printf("%d succeeded and %d failed: %.0f%%\n", s.Succeeded, s.Failed, 100*s.SuccessRate())
	// Output: 16 succeeded and 4 failed: 80%
}
