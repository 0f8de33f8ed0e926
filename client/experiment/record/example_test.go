package record_test

import (
	"fmt"
	"log"

	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
)

// Count the attempts that were lost in the newest run, by replica.
func Example() {
	run, err := record.Open("runs/latest")
	if err != nil {
		log.Fatal(err)
	}
	lost := map[string]int{}
	for _, t := range run.Trials {
		for _, c := range t.Calls {
			for _, a := range c.Attempts {
				if a.Outcome == failover.OutcomeLost {
					lost[a.Replica]++
				}
			}
		}
	}
	fmt.Println(lost)
}
