package check

import (
	"slices"

	"google.golang.org/grpc/codes"

	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
)

// checkCalls checks what the record of a call says of itself.
func checkCalls(f *findings, t record.TrialRecords) {
	checkNumbers(f, t.Calls)
	for i := range t.Calls {
		c := &t.Calls[i]
		if c.Trial != t.Number {
			f.add(oneEnd, "call %d: it is said to be of trial %d, and is among those of trial %d", c.Number, c.Trial, t.Number)
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
			f.add(oneEnd, "call %d: it has no end, call %d has", n-1, n)
		case n > last+2:
			f.add(oneEnd, "calls %d to %d: they have no end, call %d has", last+1, n-1, n)
		}
		last = n
	}
}

// answer returns the index of the attempt that the call's reply came from; -1 for none. Of a hedged
// call two attempts may be ok, at two replicas; only one gave the reply, and what the other got
// nobody knows.
func answer(c *record.Call) int {
	if c.Result != record.ResultOK {
		return -1
	}
	return slices.IndexFunc(c.Attempts, func(a record.Attempt) bool {
		return a.Outcome == failover.OutcomeOK && a.Replica == c.Replica
	})
}

func checkResult(f *findings, c *record.Call) {
	var ok [2]int // the ones that are no hedges, and the hedges
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
		f.add(callRecord, "call %d: intended at %v, it started at %v and took %v", c.Number, c.Intended, c.Start, c.Duration)
	case c.Result != record.ResultOK && (ok != [2]int{} || c.Value != 0):
		f.add(callRecord, "call %d: it %v, though an attempt was ok or it has the value %d", c.Number, c.Result, c.Value)
	case c.Result == record.ResultFailed && c.Code == codes.OK:
		f.add(callRecord, "call %d: it failed with status %v", c.Number, c.Code)
	case c.Result != record.ResultOK:
	case i < 0:
		f.add(callRecord, "call %d: it is ok by replica %q, where no attempt was ok", c.Number, c.Replica)
	case c.Attempts[i].Incarnation != c.Incarnation:
		f.add(callRecord, "call %d: it is ok by %s incarnation %d, and its attempt %d by incarnation %d",
			c.Number, c.Replica, c.Incarnation, c.Attempts[i].Number, c.Attempts[i].Incarnation)
	case c.Value == 0 || c.Code != codes.OK:
		f.add(callRecord, "call %d: it is ok with the value %d and status %v", c.Number, c.Value, c.Code)
	case ok[0] > 1 || ok[1] > 1:
		f.add(callRecord, "call %d: %d of its attempts are ok, %d of them hedges", c.Number, ok[0]+ok[1], ok[1])
	}
}

func checkAttempts(f *findings, c *record.Call) {
	free := c.Start // when the next attempt that is no hedge may begin
	over := false   // an attempt was ok
	number := 0     // of the last attempt
	hedged := slices.ContainsFunc(c.Attempts, func(a record.Attempt) bool { return a.Hedge })
	for i, a := range c.Attempts {
		// An attempt that was joined by another, and turned out not to have been made, leaves a
		// gap.
		if a.Number <= number || a.Number > number+1 && !hedged {
			f.add(attemptForm, "call %d: its attempts are numbered %d after %d", c.Number, a.Number, number)
		}
		number = a.Number
		if last := lastRound(c.Attempts[:i], a.Replica); a.Round <= last {
			f.add(attemptForm, "call %d attempt %d: round %d at %s after round %d", c.Number, a.Number, a.Round, a.Replica, last)
		}
		if !classified(a) {
			f.add(attemptForm, "call %d attempt %d at %s: it is %v with status %v, sent: %v",
				c.Number, a.Number, a.Replica, a.Outcome, a.Code, a.Sent)
		}
		earliest := c.Start
		if !a.Hedge {
			earliest = free
		}
		if a.Duration < 0 || a.Start < earliest-rounding || a.End() > c.End()+rounding {
			f.add(attemptForm, "call %d attempt %d at %s: it is from %v to %v, and may be from %v to %v",
				c.Number, a.Number, a.Replica, a.Start, a.End(), earliest, c.End())
		}
		if over && !a.Hedge {
			f.add(attemptForm, "call %d attempt %d at %s: it follows one that was ok", c.Number, a.Number, a.Replica)
		}
		free, over = max(free, a.End()), over || a.Outcome == failover.OutcomeOK
	}
}

// lastRound returns the round of the last of the attempts at the replica; zero for none. Each has a
// higher one than the one before it, under every policy.
func lastRound(attempts []record.Attempt, replica string) int {
	for _, a := range slices.Backward(attempts) {
		if a.Replica == replica {
			return a.Round
		}
	}
	return 0
}

// classified reports whether the outcome goes with the status, and with whether the attempt was
// sent.
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
