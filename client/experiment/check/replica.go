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
	always = time.Duration(math.MinInt64 / 2) // with room for rounding
	never  = time.Duration(math.MaxInt64 / 2)

	// stale is how long after the exit of a process, as the supervisor noticed it, the client may
	// still take the connection for a whole one. It takes a moment; nothing bounds it but that the
	// machine gives everybody a turn.
	stale = 10 * time.Second
)

// replica is what is known of one.
type replica struct {
	name       string
	lives      []*life       // its incarnations, in order
	outputLost bool          // its own word may be missing
	clockError time.Duration // how far a time of its supervisor may be wrong, by the clock of the client

	ambiguous    []span // sent, and not known to be counted or not; in the order of their ends
	starts, ends []time.Duration
	lost         []lostAttempt
}

// life is one incarnation.
type life struct {
	number   int
	launched bool
	at       time.Duration // when the launch was told, a little after it was made
	exited   bool
	exit     restart.Exit
	ready    bool
	count    *record.Count

	// begin and end are the bounds of the time in which it can have served. A launch is told too
	// late to be the first: that is the exit of the one before. An exit is noticed after it
	// happened, so it is the last.
	begin, end time.Duration

	replies   []reply
	lastStart time.Duration // of an attempt that it answered
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

// replicasOf returns the replicas that the events tell of, by name. The order of events with nearly
// the same time may be wrong: a process can be seen to end before its launch is told.
func replicasOf(f *findings, t record.TrialRecords) map[string]*replica {
	all := map[string]*replica{}
	for _, e := range t.Events {
		if e.Process != nil && e.Process.Replica != "" {
			r := all[e.Process.Replica]
			if r == nil {
				r = &replica{name: e.Process.Replica, clockError: t.Remote[e.Process.Replica].ClockError}
				all[r.name] = r
			}
			r.note(f, e)
		}
	}
	for _, r := range all {
		r.bound(f)
	}
	for _, e := range t.Events {
		if e.Count != nil {
			l := all[e.Count.Replica].life(e.Count.Incarnation)
			if l == nil {
				f.add(existence, "%s incarnation %d: it has told its count, and was never launched", e.Count.Replica, e.Count.Incarnation)
				continue
			}
			l.count = e.Count
		}
	}
	return all
}

// slack is how far the comparison of a time of the client with one of the supervisor may be wrong.
func (r *replica) slack() time.Duration { return rounding + r.clockError }

// note takes an event of the supervisor.
func (r *replica) note(f *findings, e record.Event) {
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

// search returns the index of the incarnation, or where it belongs.
func (r *replica) search(incarnation int) (int, bool) {
	return slices.BinarySearchFunc(r.lives, incarnation, func(l *life, n int) int { return cmp.Compare(l.number, n) })
}

// life returns the incarnation of that number; nil for none, also of no replica.
func (r *replica) life(incarnation int) *life {
	if r == nil {
		return nil
	}
	if i, ok := r.search(incarnation); ok {
		return r.lives[i]
	}
	return nil
}

// bound sets the bounds of the lives, and checks that they follow each other.
func (r *replica) bound(f *findings) {
	last := always
	for i, l := range r.lives {
		switch {
		case !l.launched:
			f.add(oneExit, "%s incarnation %d: events tell of it, and none that it was launched", r.name, l.number)
		case !l.exited:
			f.add(oneExit, "%s incarnation %d: it was launched at %v, and its exit is missing", r.name, l.number, l.at)
		}
		if l.launched && l.at < last-rounding {
			f.add(oneExit, "%s incarnation %d: it was launched at %v, before the exit of the one before at %v", r.name, l.number, l.at, last)
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

// attribute gives the attempts to the replicas.
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

// answer takes the attempt that the call's reply came from.
func (r *replica) answer(f *findings, c *record.Call, a record.Attempt) {
	l := r.life(c.Incarnation)
	switch {
	case l == nil:
		f.add(existence, "call %d attempt %d: %s has answered as incarnation %d, which was never launched", c.Number, a.Number, r.name, c.Incarnation)
		return
	case a.End() < l.begin-r.slack():
		f.add(aliveness, "call %d attempt %d: %s incarnation %d has answered by %v, before the exit of the one before at %v",
			c.Number, a.Number, r.name, l.number, a.End(), l.begin)
	case a.Start > l.end+r.slack():
		f.add(aliveness, "call %d attempt %d: %s incarnation %d has answered what was sent after %v, and had ended by %v",
			c.Number, a.Number, r.name, l.number, a.Start, l.end)
	}
	l.replies = append(l.replies, reply{c.Number, c.Value, a.Start, a.End()})
	l.lastStart = max(l.lastStart, a.Start)
}

// sort makes the ambiguous attempts ready to be counted.
func (r *replica) sort() {
	slices.SortFunc(r.ambiguous, func(a, b span) int { return cmp.Compare(a.end, b.end) })
	for _, a := range r.ambiguous {
		r.starts, r.ends = append(r.starts, a.start), append(r.ends, a.end)
	}
	slices.Sort(r.starts)
}

// during returns the range of the lives during which an attempt was on its way: from the index
// first up to, not with, next.
func (r *replica) during(a span) (first, next int) {
	first = sort.Search(len(r.lives), func(i int) bool { return r.lives[i].end >= a.start-r.slack() })
	next = sort.Search(len(r.lives), func(i int) bool { return r.lives[i].begin > a.end+r.slack() })
	return first, next
}

// checkProcesses checks what the supervisor saw against what the incarnations told as they ended.
func (r *replica) checkProcesses(f *findings) {
	for _, l := range r.lives {
		told := l.count != nil && l.count.Crash > 0
		served := l.ready || len(l.replies) > 0 // else it may be one that could not listen
		switch {
		case !l.exited || l.exit.Err != nil || l.exit.Signal != 0: // a signal may come after the word
		case told && l.exit.Code != 1:
			f.add(crashTold, "%s incarnation %d: request %d crashed it, and its exit code is %d, not 1", r.name, l.number, l.count.Crash, l.exit.Code)
		case !told && l.exit.Code != 0 && served && !r.outputLost:
			f.add(crashTold, "%s incarnation %d: exit code %d, and it has told of no crash", r.name, l.number, l.exit.Code)
		}
	}
}

// checkLost checks that each attempt that was lost can have been lost with a process. One that has
// answered something that was sent later was alive.
func (r *replica) checkLost(f *findings) {
	for _, a := range r.lost {
		first, next := r.during(span{a.start - stale, a.end})
		died := slices.ContainsFunc(r.lives[min(first, next):next], func(l *life) bool { return l.lastStart < a.end+rounding })
		if !died {
			f.add(lostness, "call %d attempt %d at %s: lost at %v, when no process of it ended", a.call, a.attempt, r.name, a.end)
		}
	}
}
