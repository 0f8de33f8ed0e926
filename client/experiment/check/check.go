// Package check verifies that the records of a trial are consistent: every call ends once, the
// attempts agree with the replicas' own counts and with the supervisor's events, and the counters
// count correctly. Use it to test a service, or to trust a run that a program of your own
// evaluates; package experiment applies it to every run.
//
// A violation means that the service, the client, the supervisor or the recording has a bug. It
// does not mean that calls failed.
//
// Only answers are certain: the reply to an attempt with outcome ok names the incarnation that gave
// it. Any other attempt that was sent is ambiguous: an incarnation that lived while it was under
// way may have counted it or not. The checks accept whatever ambiguous attempts can explain, and
// nothing else. The checks of a counter's values are those of a linearizable counter, whose
// operations take effect once between their start and their end (Herlihy and Wing, Linearizability,
// 1990).
package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"example.com/crashlab/client/experiment/record"
)

// Violation is a contradiction in the records.
type Violation struct {
	Check  string // name of the check that found it, such as "unique values"
	Detail string // one line with the call, the replica, the incarnation and the numbers
}

// The names of the checks.
const (
	oneEnd      = "one end per call"     // calls are numbered from 1 without gaps, and each ends once
	callRecord  = "calls"                // the result of a call follows from its attempts
	attemptForm = "attempts"             // attempts are classified, in order, and within their call
	existence   = "launched"             // the incarnations that records name were launched
	oneExit     = "one exit per launch"  // and the next launch follows the exit
	crashReport = "crashes reported"     // replicas report the crashes that the supervisor saw
	aliveness   = "answered while alive" // the incarnation that answered had not ended
	lossCause   = "lost with a process"  // only the end of a process breaks connections
	unique      = "unique values"        // no incarnation answers a value twice
	realTime    = "order of values"      // of two calls in succession, the later gets the higher value
	gaps        = "gaps in values"       // no value exceeds the number of attempts that may have been counted by then
	definite    = "answered, so counted" // what was answered has arrived and was counted
	accounted   = "counted, so sent"     // what was counted or has arrived was sent
)

// maxDetails is how many violations of one check are reported in detail; the rest are counted.
const maxDetails = 20

// rounding is the greatest error when two times of the same clock are compared. Files have whole
// microseconds: an end is the sum of two truncated values, and times before the load are truncated
// upwards.
const rounding = 3 * time.Microsecond

// Calls returns the violations in the records of a load on replicas of which nothing else is known,
// such as one of crashlab load --save. A correct system has none.
func Calls(t record.TrialRecords) []Violation {
	var f findings
	checkCalls(&f, t)
	return f.all()
}

// Trial returns the violations in the records of a trial. A correct system has none. For each check
// Trial returns the first 20, and one Violation with the number of the rest.
func Trial(t record.TrialRecords) []Violation {
	var f findings
	checkCalls(&f, t)
	replicas := replicasOf(&f, t)
	attribute(&f, replicas, t.Calls)
	for _, r := range slices.SortedFunc(maps.Values(replicas), func(a, b *replica) int { return cmp.Compare(a.name, b.name) }) {
		r.checkProcesses(&f)
		r.checkLost(&f)
		for _, l := range r.lives {
			r.checkValues(&f, l)
			r.checkDefinite(&f, l)
		}
		r.checkAccounted(&f)
	}
	return f.all()
}

// findings collects violations.
type findings struct {
	violations []Violation
	count      map[string]int // by check
}

func (f *findings) add(check, format string, args ...any) {
	if f.count == nil {
		f.count = map[string]int{}
	}
	if f.count[check]++; f.count[check] <= maxDetails {
		f.violations = append(f.violations, Violation{check, fmt.Sprintf(format, args...)})
	}
}

func (f *findings) all() []Violation {
	for _, check := range slices.Sorted(maps.Keys(f.count)) {
		if n := f.count[check]; n > maxDetails {
			f.violations = append(f.violations, Violation{check, fmt.Sprintf("and %d more", n-maxDetails)})
		}
	}
	return f.violations
}
