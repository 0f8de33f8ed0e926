package simulate

import (
	"iter"
	"slices"
	"time"

	"google.golang.org/grpc/codes"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/failover/virtual"
	"example.com/crashlab/client/workload"
)

// load makes the calls of a plan in virtual time, as workload.Plan.Run does in real time.
type load struct {
	workload.Plan
	world    *world
	started  int
	underWay int
	between  int // workers that are about to make a call
	late     int

	// The rest is for open loops.

	next    func() (time.Duration, bool)
	stop    func()          // ends next
	due     time.Duration   // when the next call is due
	more    bool            // there is a next call
	waiting []time.Duration // when the calls were due that have not started
	timer   virtual.Timer
}

func (l *load) begin(w *world) {
	l.Plan, l.world = w.settings.Plan(w.trial.Seed), w
	if l.Rate > 0 {
		l.open()
		return
	}
	workers := l.Workers
	if l.Calls > 0 {
		workers = min(workers, l.Calls)
	}
	for range workers {
		l.work()
	}
}

// end discards the rest of the load.
func (l *load) end() {
	if l.stop != nil {
		l.stop()
	}
}

// since returns the time since the load began.
func (l *load) since() time.Duration { return l.world.now() - l.world.began }

// over reports whether no call is under way or to come.
func (l *load) over() bool {
	return l.underWay == 0 && l.between == 0 && !l.more && len(l.waiting) == 0
}

// work makes the next call of an idle worker of a closed loop.
func (l *load) work() {
	if l.Duration > 0 && l.since() >= l.Duration || l.Calls > 0 && l.started >= l.Calls {
		return
	}
	began := l.since()
	l.call(began, func() {
		if l.since() > began {
			l.work()
			return
		}
		l.between++
		l.world.after(turnaround, func() {
			l.between--
			l.work()
		})
	})
}

// turnaround is the time between two calls of a worker if the first failed at once, as when too
// many calls wait. Without it, virtual time would stand still.
const turnaround = 10 * time.Microsecond

// open begins an open loop.
func (l *load) open() {
	if l.MaxUnderWay == 0 {
		l.MaxUnderWay = workload.DefaultMaxUnderWay
	}
	l.next, l.stop = iter.Pull(l.Due())
	l.timer.Do = l.arrives
	l.await()
}

// await sets the timer for the next call of an open loop.
func (l *load) await() {
	if l.due, l.more = l.next(); l.more {
		l.world.timeline.Set(&l.timer, l.world.began+l.due)
	}
}

func (l *load) arrives() {
	l.waiting = append(l.waiting, l.due)
	l.await()
	l.admit()
}

// admit starts the calls that are due and have a place.
func (l *load) admit() {
	for len(l.waiting) > 0 && l.underWay < l.MaxUnderWay {
		intended := l.waiting[0]
		l.waiting = l.waiting[1:]
		if l.Duration > 0 && l.since() > l.Duration+workload.Tolerance { // too late to start
			if intended >= l.Warmup {
				l.late++
			}
			continue
		}
		l.call(intended, l.admit)
	}
}

// call makes a call that was due at the intended time, and calls then after it.
func (l *load) call(intended time.Duration, then func()) {
	w := l.world
	l.started++
	l.underWay++
	number, start := l.started, l.since()
	deadline := virtual.Forever
	if w.settings.Deadline > 0 {
		deadline = w.now() + w.settings.Deadline
	}
	w.client.Call(deadline, func(c virtual.Call) {
		l.underWay--
		w.calls = append(w.calls, w.recordCall(c, record.Call{
			Trial: w.trial.Number, Number: number, Intended: intended, Start: start, Duration: c.Duration, Warmup: intended < l.Warmup,
		}))
		then()
	})
}

// recordCall completes the record of a call.
func (w *world) recordCall(c virtual.Call, r record.Call) record.Call {
	r.Attempts = w.attempts[c.Number]
	slices.SortFunc(r.Attempts, func(a, b record.Attempt) int { return a.Number - b.Number }) // hedges end in any order
	a, answered := w.answers[c.Number]
	delete(w.attempts, c.Number)
	delete(w.answers, c.Number)
	if c.OK && answered {
		r.Result, r.Replica, r.Incarnation, r.Value = record.ResultOK, design.ReplicaName(a.replica), a.incarnation, a.value
		return r
	}
	reason := failover.ReasonOf(c.Reason)
	r.Result, r.Reason, r.Code = record.ResultFailed, reason.String(), codes.Unavailable
	switch reason {
	case failover.ReasonCallerEnded:
		r.Code = codes.DeadlineExceeded
	case failover.ReasonShed:
		r.Code = codes.ResourceExhausted
	}
	return r
}

func attemptCode(o virtual.Outcome) codes.Code {
	switch o {
	case virtual.OutcomeOK:
		return codes.OK
	case virtual.OutcomeTimeout:
		return codes.DeadlineExceeded
	case virtual.OutcomeCanceled:
		return codes.Canceled
	}
	return codes.Unavailable
}
