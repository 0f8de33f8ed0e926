package simulate

import (
	"syscall"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	failover "example.com/crashlab/client/failover/virtual"
	"example.com/crashlab/services/fault"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	supervisor "example.com/crashlab/supervisor/virtual"
)

// replica is a replica and its process, as counterd is. It is the supervisor.World of its own
// supervision.
type replica struct {
	world *world
	index int

	supervised *supervisor.Replica
	timers     [supervisor.Timers]failover.Timer
	launches   []time.Duration // of each incarnation

	// The process that runs.

	runs        bool
	exits       bool // it has crashed, and its supervisor does not know yet
	listens     bool
	drains      bool          // it ends when nothing is in flight
	heard       bool          // and the client has heard that
	stopped     bool          // by SIGSTOP
	held        []func()      // what it does when it goes on
	ended       time.Duration // when the latest process did
	incarnation int
	connected   int // the incarnation that the client's latest connection is to
	plan        fault.Plan
	arrived     uint64
	counted     uint64
	inFlight    []*request // that have arrived and not ended, in any order
	working     int        // of them, those that have a place
	queue       []*request // those that wait for one, and perhaps some that have ended
}

// groupName is that of the replicas, as in a trial on processes.
const groupName = "counter"

func newReplica(w *world, i int) *replica {
	r := &replica{world: w, index: i}
	for t := range r.timers {
		r.timers[t].Do = func() { r.supervised.Fire(r.time(), supervisor.Timer(t)) }
	}
	policy := restart.Policy{Delay: w.settings.RestartDelay, Exact: true}
	if w.settings.RestartDelay == design.Never {
		policy = restart.Policy{Mode: restart.ModeNever}
	}
	r.supervised = supervisor.New(supervisor.Config{Name: design.ReplicaName(i), Group: groupName, Policy: policy}, r, r.time())
	r.supervised.Start(r.time())
	return r
}

// epoch is the beginning of the timeline as package supervisor has times.
var epoch = time.Unix(0, 0).UTC()

func (r *replica) time() time.Time { return epoch.Add(r.world.now()) }

// Set is part of supervisor.World.
func (r *replica) Set(t supervisor.Timer, at time.Time) {
	if at.IsZero() {
		r.world.timeline.Stop(&r.timers[t])
	} else {
		r.world.timeline.Set(&r.timers[t], at.Sub(epoch))
	}
}

// Emit is part of supervisor.World. An exit is told later than it was.
func (r *replica) Emit(e event.Event) {
	at := r.world.now()
	if e.Kind == event.KindExited {
		at = r.ended
		e.Time = epoch.Add(at)
	}
	r.world.note(at, record.Event{Process: &e})
}

// Launch is part of supervisor.World.
func (r *replica) Launch(incarnation int) {
	w := r.world
	w.processes++
	r.runs, r.incarnation = true, incarnation
	r.plan = fault.Plan{Seed: w.trial.Seed, Replica: design.ReplicaName(r.index), Incarnation: uint64(incarnation)}
	r.arrived, r.counted, r.inFlight, r.working, r.queue = 0, 0, nil, 0, nil
	r.launches = append(r.launches, w.now())
	w.after(w.takes(&w.model.Boot), func() {
		if r.runs && r.incarnation == incarnation {
			r.do(r.listen)
		}
	})
}

func (r *replica) listen() {
	r.listens = true
	r.world.listening++
	r.supervised.Ready(r.time())
}

// Terminate is part of supervisor.World: an idle counterd ends at once. One that was stopped goes
// on for that.
func (r *replica) Terminate() { r.world.after(0, func() { r.exit(restart.Exit{}, 0) }) }

// Kill is part of supervisor.World.
func (r *replica) Kill() {
	r.world.after(0, func() { r.exit(restart.Exit{Code: -1, Signal: syscall.SIGKILL}, 0) })
}

// deafen lets the process accept no further connections.
func (r *replica) deafen() {
	if r.listens {
		r.listens = false
		r.world.listening--
	}
}

func (r *replica) leave() { r.supervised.Leave(r.time(), "the supervisor ends") }

// incarnationAt returns the incarnation that was launched last before a time.
func (r *replica) incarnationAt(at time.Duration) int {
	n := len(r.launches)
	for n > 0 && r.launches[n-1] > at {
		n--
	}
	return n
}

// exit ends the process. Crash is the number of the request that has crashed it; zero: it was told
// to end, or killed.
func (r *replica) exit(e restart.Exit, crash uint64) {
	if !r.runs {
		return
	}
	w := r.world
	inFlight := uint64(len(r.inFlight))
	if crash > 0 {
		inFlight--
	}
	killed := e.Signal != 0
	if !killed {
		w.note(w.now(), record.Event{Count: &record.Count{
			Replica: design.ReplicaName(r.index), Incarnation: r.incarnation, Arrived: r.arrived, Counted: r.counted,
			InFlight: inFlight, Crash: crash,
		}})
	}
	unasked := crash > 0 || killed || r.drains // and so the supervisor learns it later
	r.deafen()
	r.runs, r.drains, r.heard, r.stopped, r.held, r.ended = false, false, false, false, nil, w.now()
	for _, q := range r.inFlight {
		w.timeline.Stop(&q.timer)
	}
	incarnation := r.incarnation
	lose := func() { r.lose(incarnation) }
	notice := w.takes(&w.model.Notice)
	w.after(notice, lose)
	w.after(notice+w.takes(&w.model.Connect), lose) // a dial that was under way
	e.Uptime = r.time().Sub(r.supervised.Launched())
	noticed := func() {
		w.processes--
		r.exits = false
		r.supervised.Exited(r.time(), e)
	}
	if r.exits = unasked; r.exits {
		w.after(w.takes(&w.model.Relaunch), noticed)
	} else {
		noticed()
	}
}

// lose breaks the client's connection, if it is to that incarnation.
func (r *replica) lose(incarnation int) {
	if r.connected == incarnation {
		r.world.client.Break(r.index)
	}
}

// request is the request of an attempt.
type request struct {
	attempt  failover.Attempt
	replica  *replica
	to       int           // the incarnation that the connection is to
	way      time.Duration // of the request, and of the reply
	timer    failover.Timer
	number   uint64 // in the order of arrival, from 1; zero: it has not arrived
	draws    fault.Draws
	index    int  // in the replica's inFlight; -1: it is not there
	place    bool // it is being worked on
	answered bool
	answer   answer // valid then
}

// arrive takes the request in.
func (q *request) arrive() {
	r := q.replica
	if !r.runs || q.to != r.incarnation {
		r.lose(q.to)
		return
	}
	if r.stopped {
		r.held = append(r.held, q.arrive)
		return
	}
	r.arrived++
	q.number, q.draws = r.arrived, r.plan.Draws(r.arrived)
	q.index = len(r.inFlight)
	r.inFlight = append(r.inFlight, q)
	switch capacity := r.world.settings.Capacity; {
	case q.crashes(fault.CrashPointArrival):
		r.exit(restart.Exit{Code: 1}, q.number)
	case capacity > 0 && r.working >= capacity:
		r.queue = append(r.queue, q)
	default:
		q.work()
	}
}

func (q *request) crashes(at fault.CrashPoint) bool {
	s := q.replica.world.settings
	return s.CrashPoint == at && q.draws.Crash < s.PCrash
}

// work begins to work on the request.
func (q *request) work() {
	w := q.replica.world
	q.place = true
	q.replica.working++
	q.timer.Do = q.done
	w.timeline.Set(&q.timer, w.now()+w.settings.ServiceTime.Quantile(q.draws.ServiceTime))
}

// done counts the request, and sends the reply.
func (q *request) done() {
	r, w := q.replica, q.replica.world
	if r.stopped {
		r.held = append(r.held, q.done)
		return
	}
	if q.index < 0 {
		return // it was canceled as the process went on
	}
	r.counted++
	if q.crashes(fault.CrashPointReply) {
		r.exit(restart.Exit{Code: 1}, q.number)
		return
	}
	q.leave()
	q.answered = true
	q.answer = answer{r.index, r.incarnation, r.counted}
	w.client.Answer(q.attempt, failover.Reply{After: q.way, Outcome: failover.OutcomeOK})
}

// leave takes the request off the process.
func (q *request) leave() {
	r := q.replica
	last := len(r.inFlight) - 1
	r.inFlight[q.index] = r.inFlight[last]
	r.inFlight[q.index].index = q.index
	r.inFlight = r.inFlight[:last]
	q.index = -1
	if last == 0 && r.drains {
		r.world.after(0, r.drained)
	}
	if !q.place {
		return // the queue passes over it
	}
	r.working--
	for len(r.queue) > 0 {
		next := r.queue[0]
		r.queue = r.queue[1:]
		if next.index >= 0 {
			next.work()
			return
		}
	}
}

// cancel ends the request, whose attempt has ended, when the process has heard of that.
func (q *request) cancel() {
	r, w := q.replica, q.replica.world
	if q.answered {
		return
	}
	w.after(q.way, func() {
		if !r.runs || r.incarnation != q.to {
			return
		}
		r.do(func() {
			if q.index >= 0 && !q.answered {
				w.timeline.Stop(&q.timer)
				q.leave()
			}
		})
	})
}
