package virtual_test

import (
	"fmt"
	"time"

	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/failover/virtual"
)

// halfBroken is a World of two replicas: the first breaks the connection at each request, the
// second answers after 10 ms.
type halfBroken struct{}

func (halfBroken) Dial(int, bool) (after time.Duration, ok bool) { return time.Millisecond, true }

func (halfBroken) Send(a virtual.Attempt) virtual.Reply {
	if a.Replica == 0 {
		return virtual.Reply{After: 5 * time.Millisecond, Outcome: virtual.OutcomeLost}
	}
	return virtual.Reply{After: 10 * time.Millisecond, Outcome: virtual.OutcomeOK}
}

func (halfBroken) Probe(int) (after time.Duration, f virtual.Finding) {
	return time.Millisecond, virtual.FindingServing
}

// A call that is lost at the first replica succeeds at the second.
func Example() {
	policy, err := failover.Policy{Idempotent: map[string]bool{"/": true}}.Virtual("/counter.v1.Counter/Get")
	if err != nil {
		panic(err)
	}
	var timeline virtual.Timeline
	client := virtual.New(&timeline, policy, halfBroken{}, 2, 1)
	client.OnAttempt = func(a virtual.Attempt) {
		fmt.Println("attempt", a.Number, "at replica", a.Replica, "took", a.Duration, failover.Outcome(a.Outcome))
	}
	timeline.RunUntil(time.Second) // until both replicas are connected
	client.Call(virtual.Forever, func(c virtual.Call) { fmt.Println("succeeded:", c.OK, "after", c.Duration) })
	timeline.RunUntil(2 * time.Second)
	// Output:
	// attempt 1 at replica 0 took 5ms lost
	// attempt 2 at replica 1 took 10ms ok
	// succeeded: true after 15ms
}
