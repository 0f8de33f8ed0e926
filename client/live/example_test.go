package live_test

import (
	"fmt"
	"time"

	"example.com/crashlab/client/live"
)

// Fold a session in which replica a goes down, and follow it by a difference.
func ExampleFold() {
	began := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	list := func(state live.ReplicaState, incarnation int) live.ReplicasListed {
		return live.ReplicasListed{Anew: true, Replicas: []live.ReplicaStatus{{Name: "a", State: state, Incarnation: incarnation}}}
	}
	f := live.NewFold("example", began, "A")
	f.Apply(began, list(live.ReplicaReady, 1))
	f.Apply(began.Add(live.Frame), live.Tick{})
	first := f.State()

	f.Apply(began.Add(150*time.Millisecond), list(live.ReplicaDown, 1))
	f.Apply(began.Add(2*live.Frame), live.Tick{})
	diff := live.Difference(first, f.State())

	first.Apply(diff)
	band := first.Bands.Items[0]
	fmt.Println("was", band.State, "until", time.Duration(band.To), "and is", first.Replicas[0].State)
	// Output: was ready until 150ms and is down
}
