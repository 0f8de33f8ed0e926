package check_test

import (
	"fmt"
	"time"

	"google.golang.org/grpc/codes"

	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
)

// The second call has no record, and the third has succeeded although its only attempt timed out.
func Example() {
	attempt := record.Attempt{Number: 1, Round: 1, Replica: "a", Duration: time.Millisecond, Sent: true}
	ok, timedOut := attempt, attempt
	timedOut.Outcome, timedOut.Code = failover.OutcomeTimeout, codes.DeadlineExceeded
	for _, v := range check.Calls(record.TrialRecords{Calls: []record.Call{
		{Number: 1, Duration: time.Millisecond, Replica: "a", Value: 1, Attempts: []record.Attempt{ok}},
		{Number: 3, Duration: time.Millisecond, Replica: "a", Value: 2, Attempts: []record.Attempt{timedOut}},
	}}) {
		fmt.Printf("%s: %s\n", v.Check, v.Detail)
	}
	// Output:
	// one end per call: call 2: it has no end, but call 3 has
	// calls: call 3: replica "a" answered it, but no attempt at that replica is ok
}
