// Package check tells whether the records of a trial can be true: whether every call has one end,
// the attempts agree with the replicas' own counts and with the supervisor's events, and the
// counters have counted.
//
// A violation means that the service, the client, the supervisor or the recording is wrong, not
// that calls failed.
//
// What is definite is an answer: the reply to an attempt that is ok names the incarnation that gave
// it. Any other attempt that was sent is ambiguous. It may have been counted or not, by any
// incarnation that lived while it was on its way. The checks allow what ambiguous attempts can
// explain, and nothing else.
package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"example.com/crashlab/client/experiment/record"
)

// Violation is something in the records that cannot be.
type Violation struct {
	Check  string // which check found it, such as "unique values"
	Detail string // one line that names the call, the replica, the incarnation and the numbers
}

// The checks.
const (
	oneEnd      = "one end per call"     // calls are numbered from 1, and each number is there once
	callRecord  = "calls"                // the result of a call follows from its attempts
	attemptForm = "attempts"             // each is classified, in its place, in the time of its call
	existence   = "launched"             // the incarnations that are named were
	oneExit     = "one exit per launch"  // and no launch before the exit of the incarnation before
	crashTold   = "crashes told"         // those that replicas told are those that the supervisor saw
	aliveness   = "answered while alive" // by an incarnation that had not ended
	lostness    = "lost with a process"  // nothing else breaks the connection of an attempt
	unique      = "unique values"        // no incarnation answers a value twice
	realTime    = "order of values"      // a call that began after the end of another got a higher one
	gaps        = "gaps in values"       // none is above the number of attempts that can have been counted by then
	definite    = "answered, so counted" // and has arrived
	accounted   = "counted, so sent"     // and what has arrived, too
)

// most is how many violations of one check are told each; more are only counted.
const most = 20

// rounding is how far the comparison of two times of the same clock may be wrong. Files have whole
// microseconds: an end is the sum of two that were cut off, and those before the load are cut off
// the other way.
const rounding = 3 * time.Microsecond

// Calls returns the violations in the records of a load of whose replicas nothing else is known;
// none is the rule.
func Calls(t record.TrialRecords) []Violation {
	var f findings
	checkCalls(&f, t)
	return f.all()
}

// Trial returns the violations in the records of one trial; none is the rule. Of each check it
// tells the first 20, and how many more there are.
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

// findings are the violations found so far.
type findings struct {
	told  []Violation
	count map[string]int // by check
}

func (f *findings) add(check, format string, args ...any) {
	if f.count == nil {
		f.count = map[string]int{}
	}
	if f.count[check]++; f.count[check] <= most {
		f.told = append(f.told, Violation{check, fmt.Sprintf(format, args...)})
	}
}

func (f *findings) all() []Violation {
	for _, check := range slices.Sorted(maps.Keys(f.count)) {
		if n := f.count[check]; n > most {
			f.told = append(f.told, Violation{check, fmt.Sprintf("and %d more", n-most)})
		}
	}
	return f.told
}
