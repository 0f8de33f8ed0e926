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

// replica simulates a replica, its process counterd, and its supervision, whose supervisor.World it
// is.
type replica struct {
	world *world
	index int

	supervised *supervisor.Replica
	timers     [supervisor.Timers]failover.Timer
	launches   []time.Duration // of each incarnation

	// The rest describes the current process.

	runs        bool
	listens     bool
	draining    bool          // it exits when nothing is in flight
	drainKnown  bool          // the client knows that it drains
	stopped     bool          // by SIGSTOP
	held        []func()      // to do when it resumes
	ended       time.Duration // when the latest process ended
	noticed     time.Duration // when the client notices that
	incarnation int
	connected   int // the incarnation of the client's latest connection
	plan        fault.Plan
	arrived     uint64
	counted     uint64
	inFlight    []*request // arrived and not ended, in any order
	working     int        // requests in flight that are being worked on
	queue       []*request // requests that wait for capacity, and perhaps some that have ended
}

// groupName is the group of the replicas, as in a trial on processes.
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

// epoch is the start of the timeline as a time of package supervisor.
var epoch = time.Unix(0, 0).UTC()

func (r *replica) time() time.Time { return epoch.Add(r.world.now()) }

// Set implements supervisor.World.
func (r *replica) Set(t supervisor.Timer, at time.Time) {
	if at.IsZero() {
		r.world.timeline.Stop(&r.timers[t])
	} else {
		r.world.timeline.Set(&r.timers[t], at.Sub(epoch))
	}
}

// Emit implements supervisor.World. The supervisor learns of an exit after it happened; the record
// has the time at which it happened.
func (r *replica) Emit(e event.Event) {
	at := r.world.now()
	if e.Kind == event.KindExited {
		at = r.ended
		e.Time = epoch.Add(at)
	}
	r.world.recordEvent(at, record.Event{Process: &e})
}

// Launch implements supervisor.World.
func (r *replica) Launch(incarnation int) {
	w := r.world
	w.processes++
	r.runs, r.incarnation = true, incarnation
	r.plan = fault.Plan{Seed: w.trial.Seed, Replica: design.ReplicaName(r.index), Incarnation: uint64(incarnation)}
	r.arrived, r.counted, r.inFlight, r.working, r.queue = 0, 0, nil, 0, nil
	r.launches = append(r.launches, w.now())
	w.after(w.draw(&w.model.Boot), func() {
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

// Terminate implements supervisor.World. It is called only when counterd is idle, which then exits
// at once, even if it was stopped.
func (r *replica) Terminate() { r.world.after(0, func() { r.exit(restart.Exit{}, 0) }) }

// Kill implements supervisor.World.
func (r *replica) Kill() {
	r.world.after(0, func() { r.exit(restart.Exit{Code: -1, Signal: syscall.SIGKILL}, 0) })
}

// stopListening makes the process accept no further connections.
func (r *replica) stopListening() {
	if r.listens {
		r.listens = false
		r.world.listening--
	}
}

func (r *replica) leave() { r.supervised.Leave(r.time(), "the supervisor ends") }

// incarnationAt returns the incarnation of the last launch at or before a time.
func (r *replica) incarnationAt(at time.Duration) int {
	n := len(r.launches)
	for n > 0 && r.launches[n-1] > at {
		n--
	}
	return n
}

// exit ends the process. Crash is the number of the request that crashed it, or zero if a signal
// ended it.
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
		w.recordEvent(w.now(), record.Event{Count: &record.Count{
			Replica: design.ReplicaName(r.index), Incarnation: r.incarnation, Arrived: r.arrived, Counted: r.counted,
			InFlight: inFlight, Crash: crash,
		}})
	}
	unexpected := crash > 0 || killed || r.draining
	r.stopListening()
	r.runs, r.draining, r.drainKnown, r.stopped, r.held, r.ended = false, false, false, false, nil, w.now()
	for _, q := range r.inFlight {
		w.timeline.Stop(&q.timer)
	}
	incarnation := r.incarnation
	lose := func() { r.lose(incarnation) }
	notice := w.draw(&w.model.Notice)
	r.noticed = w.now() + notice
	w.after(notice, lose)
	w.after(notice+w.draw(&w.model.Connect), lose) // for a dial that was under way
	e.Uptime = r.time().Sub(r.supervised.Launched())
	reap := func() {
		w.processes--
		r.supervised.Exited(r.time(), e)
	}
	if unexpected { // the supervisor notices it later
		w.after(w.draw(&w.model.Relaunch), reap)
	} else {
		reap()
	}
}

// lose breaks the client's connection if it is to the given incarnation.
func (r *replica) lose(incarnation int) {
	if r.connected == incarnation {
		r.world.client.Break(r.index)
	}
}

// request is the request of an attempt.
type request struct {
	attempt     failover.Attempt
	replica     *replica
	incarnation int           // of the replica at the other end of the connection
	latency     time.Duration // one way
	timer       failover.Timer
	number      uint64 // in order of arrival, from 1; 0 before
	draws       fault.Draws
	index       int  // in the replica's inFlight, or -1
	working     bool // the replica works on it
	answered    bool
	answer      answer // valid if answered
}

// arrive delivers the request to its process.
func (q *request) arrive() {
	r := q.replica
	if !r.runs || q.incarnation != r.incarnation {
		if r.world.now() >= r.noticed { // until then the connection is open, and exit breaks it
			r.lose(q.incarnation)
		}
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

// work starts working on the request.
func (q *request) work() {
	w := q.replica.world
	q.working = true
	q.replica.working++
	q.timer.Do = q.done
	w.timeline.Set(&q.timer, w.now()+w.settings.ServiceTime.Quantile(q.draws.ServiceTime))
}

// done counts the request and sends the reply.
func (q *request) done() {
	r, w := q.replica, q.replica.world
	if r.stopped {
		r.held = append(r.held, q.done)
		return
	}
	if q.index < 0 {
		return // canceled when the process resumed
	}
	r.counted++
	if q.crashes(fault.CrashPointReply) {
		r.exit(restart.Exit{Code: 1}, q.number)
		return
	}
	q.leave()
	q.answered = true
	q.answer = answer{r.index, r.incarnation, r.counted}
	w.client.Answer(q.attempt, failover.Reply{After: q.latency, Outcome: failover.OutcomeOK})
}

// leave removes the request from its process, and starts on the next in the queue.
func (q *request) leave() {
	r := q.replica
	last := len(r.inFlight) - 1
	r.inFlight[q.index] = r.inFlight[last]
	r.inFlight[q.index].index = q.index
	r.inFlight = r.inFlight[:last]
	q.index = -1
	if last == 0 && r.draining {
		r.world.after(0, r.exitIfDrained)
	}
	if !q.working {
		return // the queue skips it later
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

// cancel ends the request of an attempt that has ended, once the cancellation reaches the process.
func (q *request) cancel() {
	r, w := q.replica, q.replica.world
	if q.answered {
		return
	}
	w.after(q.latency, func() {
		if !r.runs || r.incarnation != q.incarnation {
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
