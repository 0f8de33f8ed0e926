package check

import (
	"cmp"
	"math"
	"slices"
	"sort"
	"time"

	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
)

const (
	always = time.Duration(math.MinInt64 / 2) // leaves room for rounding
	never  = time.Duration(math.MaxInt64 / 2)

	// maxStale bounds how long after the supervisor noticed an exit the client may still use the
	// connection. It is generous: usually that takes less than a millisecond.
	maxStale = 10 * time.Second
)

// replica collects what the records say about a replica.
type replica struct {
	name       string
	lives      []*life       // its incarnations, in order
	outputLost bool          // its counts may be missing
	clockError time.Duration // of its supervisor's times against the client's clock

	ambiguous    []span          // attempts sent that may have been counted, in order of end
	starts, ends []time.Duration // of ambiguous, each sorted
	lost         []lostAttempt
}

// life is the life of one incarnation.
type life struct {
	number   int
	launched bool
	at       time.Duration // when the launch was reported, shortly after it
	exited   bool
	exit     restart.Exit
	ready    bool
	count    *record.Count

	// begin and end bound the time in which it can have served. The launch is reported too late to
	// be the lower bound, so that is the exit of the incarnation before. The exit is noticed after
	// it happened, so it is the upper bound.
	begin, end time.Duration

	replies   []reply
	lastStart time.Duration // the latest start of an attempt that it answered
}

// reply is the answer to a call.
type reply struct {
	call       int
	value      uint64
	start, end time.Duration // of the attempt
}

// span is the time of an attempt.
type span struct{ start, end time.Duration }

type lostAttempt struct {
	span
	call, attempt int
}

// replicasOf returns the replicas in the events, by name. Events with nearly the same time may be
// out of order: a process may be seen to end before its launch is reported.
func replicasOf(f *findings, t record.TrialRecords) map[string]*replica {
	all := map[string]*replica{}
	for _, e := range t.Events {
		if e.Process != nil && e.Process.Replica != "" {
			r := all[e.Process.Replica]
			if r == nil {
				r = &replica{name: e.Process.Replica, clockError: t.Remote[e.Process.Replica].ClockError}
				all[r.name] = r
			}
			r.addEvent(f, e)
		}
	}
	for _, r := range all {
		r.bound(f)
	}
	for _, e := range t.Events {
		if e.Count != nil {
			l := all[e.Count.Replica].life(e.Count.Incarnation)
			if l == nil {
				f.add(existence, "%s incarnation %d: it reported its counts, but was never launched", e.Count.Replica, e.Count.Incarnation)
				continue
			}
			l.count = e.Count
		}
	}
	return all
}

// slack returns the greatest error when a time of the client is compared with one of the
// supervisor.
func (r *replica) slack() time.Duration { return rounding + r.clockError }

// addEvent adds an event of the supervisor.
func (r *replica) addEvent(f *findings, e record.Event) {
	l := r.life(e.Process.Incarnation)
	switch e.Process.Kind {
	case event.KindLaunched, event.KindExited, event.KindReady:
		if l == nil {
			l = &life{number: e.Process.Incarnation, begin: always, end: never, lastStart: always}
			i, _ := r.search(l.number)
			r.lives = slices.Insert(r.lives, i, l)
		}
	case event.KindOutputLost:
		r.outputLost = true
	}
	switch e.Process.Kind {
	case event.KindLaunched:
		if l.launched {
			f.add(oneExit, "%s incarnation %d: it was launched twice, at %v and at %v", r.name, l.number, l.at, e.At)
		}
		l.launched, l.at = true, e.At
	case event.KindReady:
		l.ready = true
	case event.KindExited:
		if l.exited {
			f.add(oneExit, "%s incarnation %d: it ended twice, at %v and at %v", r.name, l.number, l.end, e.At)
		}
		l.exited, l.exit, l.end = true, e.Process.Exit, e.At
	}
}

// search returns the index of the incarnation in r.lives, or the index at which to insert it.
func (r *replica) search(incarnation int) (int, bool) {
	return slices.BinarySearchFunc(r.lives, incarnation, func(l *life, n int) int { return cmp.Compare(l.number, n) })
}

// life returns the life of an incarnation, or nil if there is none or r is nil.
func (r *replica) life(incarnation int) *life {
	if r == nil {
		return nil
	}
	if i, ok := r.search(incarnation); ok {
		return r.lives[i]
	}
	return nil
}

// bound sets the bounds of the lives and checks that they do not overlap.
func (r *replica) bound(f *findings) {
	last := always
	for i, l := range r.lives {
		switch {
		case !l.launched:
			f.add(oneExit, "%s incarnation %d: there are events of it, but its launch is missing", r.name, l.number)
		case !l.exited:
			f.add(oneExit, "%s incarnation %d: it was launched at %v, but its exit is missing", r.name, l.number, l.at)
		}
		if l.launched && l.at < last-rounding {
			f.add(oneExit, "%s incarnation %d: it was launched at %v, before its predecessor's exit at %v", r.name, l.number, l.at, last)
		}
		l.begin = last
		switch {
		case l.exited:
			last = max(last, l.end)
		case i+1 < len(r.lives) && r.lives[i+1].launched:
			l.end = r.lives[i+1].at // at the latest
		}
	}
}

// attribute adds the attempts to their replicas.
func attribute(f *findings, replicas map[string]*replica, calls []record.Call) {
	for i := range calls {
		c := &calls[i]
		answered := answer(c)
		for k, a := range c.Attempts {
			r := replicas[a.Replica]
			switch {
			case r == nil:
				f.add(existence, "call %d attempt %d: there is no replica %q", c.Number, a.Number, a.Replica)
			case k == answered:
				r.answer(f, c, a)
			case a.Outcome != failover.OutcomeOK && a.Incarnation != 0 && r.life(a.Incarnation) == nil:
				f.add(existence, "call %d attempt %d: %s has no incarnation %d", c.Number, a.Number, r.name, a.Incarnation)
			}
			if r != nil && k != answered && a.Sent {
				r.ambiguous = append(r.ambiguous, span{a.Start, a.End()})
				if a.Outcome == failover.OutcomeLost {
					r.lost = append(r.lost, lostAttempt{span{a.Start, a.End()}, c.Number, a.Number})
				}
			}
		}
	}
	for _, r := range replicas {
		r.sort()
	}
}

// answer adds the attempt that gave the call's reply.
func (r *replica) answer(f *findings, c *record.Call, a record.Attempt) {
	l := r.life(c.Incarnation)
	switch {
	case l == nil:
		f.add(existence, "call %d attempt %d: %s answered as incarnation %d, which was never launched", c.Number, a.Number, r.name, c.Incarnation)
		return
	case a.End() < l.begin-r.slack():
		f.add(aliveness, "call %d attempt %d: %s incarnation %d answered by %v, before its predecessor's exit at %v",
			c.Number, a.Number, r.name, l.number, a.End(), l.begin)
	case a.Start > l.end+r.slack():
		f.add(aliveness, "call %d attempt %d: %s incarnation %d answered an attempt sent after %v, but had ended by %v",
			c.Number, a.Number, r.name, l.number, a.Start, l.end)
	}
	l.replies = append(l.replies, reply{c.Number, c.Value, a.Start, a.End()})
	l.lastStart = max(l.lastStart, a.Start)
}

// sort sorts the ambiguous attempts for ambiguousIn and unaccounted.
func (r *replica) sort() {
	slices.SortFunc(r.ambiguous, func(a, b span) int { return cmp.Compare(a.end, b.end) })
	for _, a := range r.ambiguous {
		r.starts, r.ends = append(r.starts, a.start), append(r.ends, a.end)
	}
	slices.Sort(r.starts)
}

// during returns the range [first, next) of indexes of the lives during which an attempt was under
// way.
func (r *replica) during(a span) (first, next int) {
	first = sort.Search(len(r.lives), func(i int) bool { return r.lives[i].end >= a.start-r.slack() })
	next = sort.Search(len(r.lives), func(i int) bool { return r.lives[i].begin > a.end+r.slack() })
	return first, next
}

// checkProcesses compares the exits that the supervisor saw with the crashes that the incarnations
// reported.
func (r *replica) checkProcesses(f *findings) {
	for _, l := range r.lives {
		reported := l.count != nil && l.count.Crash > 0
		served := l.ready || len(l.replies) > 0 // otherwise it may have failed to listen
		switch {
		case !l.exited || l.exit.Err != nil || l.exit.Signal != 0: // a signal may follow the report
		case reported && l.exit.Code != 1:
			f.add(crashReport, "%s incarnation %d: request %d crashed it, but its exit code is %d, not 1", r.name, l.number, l.count.Crash, l.exit.Code)
		case !reported && l.exit.Code != 0 && served && !r.outputLost:
			f.add(crashReport, "%s incarnation %d: its exit code is %d, but it reported no crash", r.name, l.number, l.exit.Code)
		}
	}
}

// checkLost checks that the end of a process can explain each lost attempt. An incarnation that
// answered an attempt sent later was still alive.
func (r *replica) checkLost(f *findings) {
	for _, a := range r.lost {
		first, next := r.during(span{a.start - maxStale, a.end})
		died := slices.ContainsFunc(r.lives[min(first, next):next], func(l *life) bool { return l.lastStart < a.end+rounding })
		if !died {
			f.add(lossCause, "call %d attempt %d at %s: it was lost at %v, but no process of %[3]s ended then", a.call, a.attempt, r.name, a.end)
		}
	}
}
