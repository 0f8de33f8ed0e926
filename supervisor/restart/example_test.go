package restart_test

import (
	"fmt"
	"time"

	"example.com/crashlab/supervisor/restart"
)

// The delay of a replica that keeps crashing doubles until the replica is given up.
func ExamplePolicy_Next() {
	policy := restart.Policy{
		Delay:   time.Second,
		Backoff: restart.Backoff{Factor: 2, Max: 10 * time.Second},
		Limit:   restart.Limit{Exits: 4, Window: time.Hour},
	}
	crash := restart.Exit{Code: 1, Uptime: 2 * time.Second, Ready: time.Second}
	var history restart.History
	for now := time.Unix(0, 0); ; now = now.Add(time.Minute) {
		history = history.After(crash, now, policy)
		d := policy.Next(history, now, 0)
		if d.GiveUp {
			fmt.Println("given up:", d.Reason)
			return
		}
		fmt.Println("relaunched after", d.Delay)
	}
	// Output:
	// relaunched after 1s
	// relaunched after 2s
	// relaunched after 4s
	// given up: 4 exits within 1h0m0s
}
