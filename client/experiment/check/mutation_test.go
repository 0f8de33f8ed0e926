package check

import (
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/supervisor/event"
)

// find returns the indexes of the elements for which is returns true.
func find[T any](of []T, is func(*T) bool) []int {
	var at []int
	for i := range of {
		if is(&of[i]) {
			at = append(at, i)
		}
	}
	return at
}

func isOK(c *record.Call) bool { return c.Result == record.ResultOK }

// calm reports whether the call's only attempt was answered.
func calm(c *record.Call) bool { return c.Result == record.ResultOK && len(c.Attempts) == 1 }

func processEvent(kind event.Kind) func(*record.Event) bool {
	return func(e *record.Event) bool { return e.Process != nil && e.Process.Kind == kind }
}

// onEvent returns a mutation that changes one of the events for which is returns true.
func onEvent(is func(*record.Event) bool, change func(t *record.TrialRecords, i int)) mutation {
	return func(t *record.TrialRecords, nth int) bool {
		at := find(t.Events, is)
		if len(at) > 0 {
			change(t, at[nth%len(at)])
		}
		return len(at) > 0
	}
}

// onCall returns a mutation that changes one of the calls for which is returns true.
func onCall(is func(*record.Call) bool, change func(t *record.TrialRecords, c *record.Call)) mutation {
	return func(t *record.TrialRecords, nth int) bool {
		at := find(t.Calls, is)
		if len(at) > 0 {
			change(t, &t.Calls[at[nth%len(at)]])
		}
		return len(at) > 0
	}
}

// mutation makes the records inconsistent at the nth possible place. It returns false if there is
// none.
type mutation func(t *record.TrialRecords, nth int) bool

func removeEvent(t *record.TrialRecords, i int) { t.Events = slices.Delete(t.Events, i, i+1) }

func removeCall(t *record.TrialRecords, c *record.Call) {
	number := c.Number
	t.Calls = slices.DeleteFunc(t.Calls, func(c record.Call) bool { return c.Number == number })
}

func lastNumber(t *record.TrialRecords) int {
	last := 0
	for _, c := range t.Calls {
		last = max(last, c.Number)
	}
	return last
}

// fail makes a call fail whose only attempt was answered. That attempt gets the given outcome.
func fail(c *record.Call, o failover.Outcome, sent bool) {
	a := &c.Attempts[0]
	a.Outcome, a.Code, a.Sent, c.Code, c.Result = o, codes.Unavailable, sent, codes.Unavailable, record.ResultFailed
	c.Replica, c.Incarnation, c.Value = "", 0, 0
}

// triedAgain returns the index of the second attempt at the first attempt's replica, or zero if
// there is none.
func triedAgain(c *record.Call) int {
	for i, a := range c.Attempts {
		if i > 0 && a.Replica == c.Attempts[0].Replica {
			return i
		}
	}
	return 0
}

// onPair returns a mutation of two calls in succession that the first incarnation of a replica
// answered.
func onPair(change func(a, b *record.Call)) mutation { return onPairOf(1, 1, change) }

// onPairOf returns a mutation of two calls in succession that the given incarnations of a replica
// answered.
func onPairOf(first, second int, change func(a, b *record.Call)) mutation {
	return func(t *record.TrialRecords, nth int) bool {
		calls := find(t.Calls, calm)
		for _, i := range calls {
			for _, k := range calls {
				a, b := &t.Calls[i], &t.Calls[k]
				if a.Replica == b.Replica && a.Incarnation == first && b.Incarnation == second && a.End()+ms < b.Start {
					change(a, b)
					return true
				}
			}
		}
		return false
	}
}

var mutations = []struct {
	name   string
	check  string // the check that finds it always; if empty, any check may, unless ambiguous attempts hide it
	mutate mutation
}{
	{"a call ends twice", oneEnd, onCall(isOK, func(t *record.TrialRecords, c *record.Call) { t.Calls = append(t.Calls, *c) })},
	{"a record is lost", oneEnd, func(t *record.TrialRecords, nth int) bool {
		last := lastNumber(t)
		return onCall(func(c *record.Call) bool { return c.Number != last }, removeCall)(t, nth)
	}},
	{"an answered call has no record", "", onCall(isOK, func(t *record.TrialRecords, c *record.Call) {
		number := c.Number
		removeCall(t, c)
		for i := range t.Calls {
			if t.Calls[i].Number > number {
				t.Calls[i].Number--
			}
		}
	})},
	{"an ok attempt becomes lost", callRecord, onCall(isOK, func(t *record.TrialRecords, c *record.Call) {
		a := &c.Attempts[answer(c)]
		a.Outcome, a.Code = failover.OutcomeLost, codes.Unavailable
	})},
	{"an ok call becomes failed, its attempt lost", "", onCall(calm, func(t *record.TrialRecords, c *record.Call) {
		fail(c, failover.OutcomeLost, true)
	})},
	{"the same, and the incarnation answers another call after it", lossCause, onPair(func(a, _ *record.Call) { fail(a, failover.OutcomeLost, true) })},
	{"an ok call becomes failed, its attempt refused", "", onCall(calm, func(t *record.TrialRecords, c *record.Call) {
		fail(c, failover.OutcomeRefused, false)
	})},
	{"a lost attempt becomes ok", callRecord, onCall(
		func(c *record.Call) bool { return c.Result == record.ResultFailed && len(c.Attempts) > 0 },
		func(t *record.TrialRecords, c *record.Call) {
			a := &c.Attempts[len(c.Attempts)-1]
			a.Outcome, a.Code, a.Sent = failover.OutcomeOK, codes.OK, true
		})},
	{"a call whose last attempt was lost becomes ok, with the value 1", "", onCall(
		func(c *record.Call) bool {
			return c.Result == record.ResultFailed && c.Attempts[len(c.Attempts)-1].Outcome == failover.OutcomeLost
		},
		func(t *record.TrialRecords, c *record.Call) {
			a := &c.Attempts[len(c.Attempts)-1]
			a.Outcome, a.Code, c.Code, c.Result = failover.OutcomeOK, codes.OK, codes.OK, record.ResultOK
			c.Replica, c.Incarnation, c.Value = a.Replica, a.Incarnation, 1
		})},
	{"two calls have the same value", unique, onPair(func(a, b *record.Call) { b.Value = a.Value })},
	{"two calls have each other's value", realTime, onPair(func(a, b *record.Call) { a.Value, b.Value = b.Value, a.Value })},
	{"a value is too high", gaps, onPair(func(_, b *record.Call) { b.Value += 1000 })},
	{"an attempt has no outcome", attemptForm, onCall(isOK, func(t *record.TrialRecords, c *record.Call) { c.Attempts[0].Outcome = -1 })},
	{"a round is tried twice", attemptForm, onCall(isOK, func(t *record.TrialRecords, c *record.Call) {
		c.Attempts = append(c.Attempts, c.Attempts[0])
		c.Attempts[len(c.Attempts)-1].Number = len(c.Attempts)
	})},
	{"a replica is tried twice in a round", attemptForm, onCall(
		func(c *record.Call) bool { return triedAgain(c) > 0 },
		func(t *record.TrialRecords, c *record.Call) { c.Attempts[triedAgain(c)].Round = c.Attempts[0].Round })},
	{"an attempt follows an ok attempt", attemptForm, onCall(isOK, func(t *record.TrialRecords, c *record.Call) {
		n := len(c.Attempts) + 1
		c.Attempts = append(c.Attempts, record.Attempt{
			Number: n, Round: n, Replica: c.Replica, Start: c.End(), Outcome: failover.OutcomeRefused, Code: codes.Unavailable,
		})
	})},
	{"an attempt begins before its call", attemptForm, onCall(isOK, func(t *record.TrialRecords, c *record.Call) { c.Attempts[0].Start -= 10 * us })},
	{"an attempt ends after its call", attemptForm, onCall(isOK, func(t *record.TrialRecords, c *record.Call) { c.Attempts[0].Duration += time.Second })},
	{"a reply comes from the incarnation before", aliveness, onPairOf(1, 2, func(a, b *record.Call) {
		b.Incarnation, b.Attempts[0].Incarnation = a.Incarnation, a.Incarnation
	})},
	{"a reply comes from the incarnation after", "", onPairOf(1, 2, func(a, b *record.Call) {
		a.Incarnation, a.Attempts[0].Incarnation = b.Incarnation, b.Incarnation
	})},
	{"call and attempt name different incarnations", callRecord, onCall(calm, func(t *record.TrialRecords, c *record.Call) {
		c.Incarnation++
	})},
	{"a reply comes from an incarnation that does not exist", existence, onCall(calm, func(t *record.TrialRecords, c *record.Call) {
		c.Incarnation += 1000
		c.Attempts[0].Incarnation += 1000
	})},
	{"an attempt is made at a replica that does not exist", existence, onCall(calm, func(t *record.TrialRecords, c *record.Call) {
		c.Replica, c.Attempts[0].Replica = "z", "z"
	})},
	{"a launch is missing", oneExit, onEvent(processEvent(event.KindLaunched), removeEvent)},
	{"an exit is missing", oneExit, onEvent(processEvent(event.KindExited), removeEvent)},
	{"an exit is reported twice", oneExit, onEvent(processEvent(event.KindExited), func(t *record.TrialRecords, i int) {
		t.Events = append(t.Events, t.Events[i])
	})},
	{"a launch comes before its predecessor's exit", oneExit, onEvent(
		func(e *record.Event) bool {
			return processEvent(event.KindLaunched)(e) && e.Process.Incarnation > 1
		},
		func(t *record.TrialRecords, i int) { t.Events[i].At -= time.Minute })},
	{"a crash is not reported", crashReport, onEvent(func(e *record.Event) bool { return e.Count != nil && e.Count.Crash > 0 }, removeEvent)},
	{"a crash has another exit code than 1", crashReport, onEvent(
		func(e *record.Event) bool { return processEvent(event.KindExited)(e) && e.Process.Exit.Code == 1 },
		func(t *record.TrialRecords, i int) { t.Events[i].Process.Exit.Code = 0 })},
	{"an incarnation that was never launched reports counts", existence, onEvent(
		func(e *record.Event) bool { return e.Count != nil },
		func(t *record.TrialRecords, i int) { t.Events[i].Count.Incarnation += 1000 })},
	{"more requests were counted than arrived", definite, onEvent(
		func(e *record.Event) bool { return e.Count != nil },
		func(t *record.TrialRecords, i int) { t.Events[i].Count.Counted = t.Events[i].Count.Arrived + 1 })},
	{"a request arrived that was not sent", "", onEvent(
		func(e *record.Event) bool { return e.Count != nil },
		func(t *record.TrialRecords, i int) { t.Events[i].Count.Arrived++ })},
}

// clone returns a deep copy of the records.
func clone(t record.TrialRecords) record.TrialRecords {
	t.Calls, t.Events = slices.Clone(t.Calls), slices.Clone(t.Events)
	for i := range t.Calls {
		t.Calls[i].Attempts = slices.Clone(t.Calls[i].Attempts)
	}
	for i := range t.Events {
		if p := t.Events[i].Process; p != nil {
			changeable := *p
			t.Events[i].Process = &changeable
		}
		if c := t.Events[i].Count; c != nil {
			changeable := *c
			t.Events[i].Count = &changeable
		}
	}
	return t
}

func TestWrongRecordsAreDetected(t *testing.T) {
	var worlds []record.TrialRecords
	for seed := range seeds(100) {
		worlds = append(worlds, newWorld(seed).run(workers(seed)))
	}
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			applied, detected := 0, 0
			for seed, world := range worlds {
				seen := clone(world)
				if !m.mutate(&seen, seed) {
					continue
				}
				applied++
				found := Trial(seen)
				if len(found) > 0 && (m.check == "" || slices.ContainsFunc(found, func(v Violation) bool { return v.Check == m.check })) {
					detected++
				} else if !ambiguous(seen) {
					t.Errorf("seed %d: got %v, want a violation of %q", seed, found, m.check)
				}
			}
			t.Logf("detected in %d of %d worlds", detected, applied)
			if applied < 15 || detected < applied/2 || m.check != "" && detected < applied {
				t.Errorf("detected in %d of %d worlds, want at least 15 worlds, half of them detected, and all if a check always finds it", detected, applied)
			}
		})
	}
}

// A missing exit is one violation, although it affects other checks.
func TestMissingExitIsOneViolation(t *testing.T) {
	for seed := range seeds(100) {
		seen := newWorld(seed).run(workers(seed))
		onEvent(processEvent(event.KindExited), removeEvent)(&seen, int(seed))
		if found := Trial(seen); len(found) != 1 || found[0].Check != oneExit {
			t.Errorf("seed %d: %v, want one violation of %q", seed, found, oneExit)
		}
	}
}
