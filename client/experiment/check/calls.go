package check

import (
	"slices"

	"google.golang.org/grpc/codes"

	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
)

// checkCalls checks that the record of each call is consistent in itself.
func checkCalls(f *findings, t record.TrialRecords) {
	checkNumbers(f, t.Calls)
	for i := range t.Calls {
		c := &t.Calls[i]
		if c.Trial != t.Number {
			f.add(oneEnd, "call %d: its record names trial %d, but is among those of trial %d", c.Number, c.Trial, t.Number)
		}
		checkResult(f, c)
		checkAttempts(f, c)
	}
}

func checkNumbers(f *findings, calls []record.Call) {
	numbers := make([]int, len(calls))
	for i, c := range calls {
		numbers[i] = c.Number
	}
	slices.Sort(numbers)
	last := 0
	for _, n := range numbers {
		switch {
		case n < 1:
			f.add(oneEnd, "call %d: calls are numbered from 1", n)
			continue
		case n == last:
			f.add(oneEnd, "call %d: it ended more than once", n)
		case n == last+2:
			f.add(oneEnd, "call %d: it has no end, but call %d has", n-1, n)
		case n > last+2:
			f.add(oneEnd, "calls %d to %d: they have no end, but call %d has", last+1, n-1, n)
		}
		last = n
	}
}

// answer returns the index of the attempt that gave the call's reply, or -1 if there is none. Two
// attempts of a hedged call may be ok, at different replicas, but only one gave the reply; the
// records do not have the other's value.
func answer(c *record.Call) int {
	if c.Result != record.ResultOK {
		return -1
	}
	return slices.IndexFunc(c.Attempts, func(a record.Attempt) bool {
		return a.Outcome == failover.OutcomeOK && a.Replica == c.Replica
	})
}

func checkResult(f *findings, c *record.Call) {
	var ok [2]int // attempts that are not hedges, and hedges
	for _, a := range c.Attempts {
		switch {
		case a.Outcome == failover.OutcomeOK && a.Hedge:
			ok[1]++
		case a.Outcome == failover.OutcomeOK:
			ok[0]++
		}
	}
	i := answer(c)
	switch {
	case c.Result < record.ResultOK || c.Result > record.ResultInterrupted:
		f.add(callRecord, "call %d: its result is %v", c.Number, c.Result)
	case c.Duration < 0 || c.Start < c.Intended-rounding:
		f.add(callRecord, "call %d: it was due at %v, started at %v and took %v", c.Number, c.Intended, c.Start, c.Duration)
	case c.Result != record.ResultOK && (ok != [2]int{} || c.Value != 0):
		f.add(callRecord, "call %d: its result is %v, but %d of its attempts are ok and its value is %d", c.Number, c.Result, ok[0]+ok[1], c.Value)
	case c.Result == record.ResultFailed && c.Code == codes.OK:
		f.add(callRecord, "call %d: it failed with status %v", c.Number, c.Code)
	case c.Result != record.ResultOK:
	case i < 0:
		f.add(callRecord, "call %d: replica %q answered it, but no attempt at that replica is ok", c.Number, c.Replica)
	case c.Attempts[i].Incarnation != c.Incarnation:
		f.add(callRecord, "call %d: %s incarnation %d answered it, but its attempt %d names incarnation %d",
			c.Number, c.Replica, c.Incarnation, c.Attempts[i].Number, c.Attempts[i].Incarnation)
	case c.Value == 0 || c.Code != codes.OK:
		f.add(callRecord, "call %d: it is ok with the value %d and status %v", c.Number, c.Value, c.Code)
	case ok[0] > 1 || ok[1] > 1:
		f.add(callRecord, "call %d: %d of its attempts are ok, %d of them hedges", c.Number, ok[0]+ok[1], ok[1])
	}
}

func checkAttempts(f *findings, c *record.Call) {
	earliestNext := c.Start // when the next attempt that is not a hedge may start
	succeeded := false      // an attempt was ok
	number := 0             // of the last attempt
	hedged := slices.ContainsFunc(c.Attempts, func(a record.Attempt) bool { return a.Hedge })
	for i, a := range c.Attempts {
		// A hedge that could not be made leaves a gap.
		if a.Number <= number || a.Number > number+1 && !hedged {
			f.add(attemptForm, "call %d: attempt %d follows attempt %d", c.Number, a.Number, number)
		}
		number = a.Number
		if last := lastRound(c.Attempts[:i], a.Replica); a.Round <= last {
			f.add(attemptForm, "call %d attempt %d: round %d at %s after round %d", c.Number, a.Number, a.Round, a.Replica, last)
		}
		if !classified(a) {
			f.add(attemptForm, "call %d attempt %d at %s: its outcome is %v with status %v, sent: %v",
				c.Number, a.Number, a.Replica, a.Outcome, a.Code, a.Sent)
		}
		earliest := c.Start
		if !a.Hedge {
			earliest = earliestNext
		}
		if a.Duration < 0 || a.Start < earliest-rounding || a.End() > c.End()+rounding {
			f.add(attemptForm, "call %d attempt %d at %s: it lasted from %v to %v, outside %v to %v",
				c.Number, a.Number, a.Replica, a.Start, a.End(), earliest, c.End())
		}
		if succeeded && !a.Hedge {
			f.add(attemptForm, "call %d attempt %d at %s: it follows an attempt that was ok", c.Number, a.Number, a.Replica)
		}
		earliestNext, succeeded = max(earliestNext, a.End()), succeeded || a.Outcome == failover.OutcomeOK
	}
}

// lastRound returns the round of the last attempt at the replica, or zero if there is none. Under
// every policy, each attempt at a replica has a higher round than the one before.
func lastRound(attempts []record.Attempt, replica string) int {
	for _, a := range slices.Backward(attempts) {
		if a.Replica == replica {
			return a.Round
		}
	}
	return 0
}

// classified reports whether the outcome of an attempt fits its status and whether it was sent.
func classified(a record.Attempt) bool {
	switch a.Outcome {
	case failover.OutcomeOK:
		return a.Sent && a.Code == codes.OK
	case failover.OutcomeRefused:
		return !a.Sent && a.Code != codes.OK
	case failover.OutcomeLost, failover.OutcomeFailed:
		return a.Sent && a.Code != codes.OK
	case failover.OutcomeTimeout:
		return a.Code == codes.DeadlineExceeded
	case failover.OutcomeRejected:
		return a.Code != codes.OK
	case failover.OutcomeCanceled:
		return a.Code == codes.Canceled || a.Code == codes.DeadlineExceeded
	}
	return false
}
