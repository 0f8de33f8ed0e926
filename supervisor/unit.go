package supervisor

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// turnTime is how long a replica may keep others from starting while it
// starts itself: they are many, or they wait for it.
const turnTime = time.Second

// order is what a replica is to do once its process has ended.
type order int

const (
	followPolicy order = iota // what the policy says
	stayDown                  // until it is started
	relaunch                  // at once
	leave                     // the set; it stays so
)

// unit drives one replica: one goroutine, which alone touches the fields below
// inbox, and does what comes next: a command, the end of the process, a
// probe's verdict, or the time that something is due.
type unit struct {
	name   string
	sys    system
	tell   func(Event)
	health func(ctx context.Context, addr, service string) error
	turns  chan struct{}                  // holds one element per replica that is starting
	extra  chan struct{}                  // turns for those that somebody asked for, who does not want to wait
	fails  func(u *unit, then Escalation) // told when it is given up
	idle   func()                         // told when it has nothing more to do
	leaves func(u *unit)                  // told when it is gone
	killed <-chan struct{}                // closed when all must die
	gone   chan struct{}                  // closed when the goroutine has ended
	lost   atomic.Uint64                  // lines of output
	inbox  chan func()

	ctx         context.Context // ends when nothing may be launched any more
	group       string
	replica     Replica
	as          Replica // what the latest launch was made of
	policy      Policy
	state       State
	next        time.Time // with StateWaiting: when it is due
	order       order
	queued      bool
	asked       bool // somebody asked for the launch that it is queued for
	timer       *time.Timer
	history     History
	incarnation int
	process     process
	pid         int
	launched    time.Time
	ready       time.Time
	unready     error // what the latest question whether it is ready came to
	killing     bool
	endTurn     func()
	endProbes   context.CancelFunc
	probes      sync.WaitGroup
	verdicts    chan verdict
	waiters     []waiter
	exits       int
	failures    int
	exited      time.Time
	untold      []Event

	mu     sync.Mutex
	status Status // as it is for others to see
}

// waiter waits until a replica is as it shall be, or cannot be any more.
type waiter struct {
	ctx  context.Context
	met  func() (bool, error) // called by the unit's goroutine
	done chan error
}

// do has f run by the unit's goroutine, and returns when it has. It reports
// whether the unit was still there to do so.
func (u *unit) do(f func()) bool {
	done := make(chan struct{})
	select {
	case u.inbox <- func() { f(); u.publish(); close(done) }:
		<-done
		return true
	case <-u.gone:
		return false
	}
}

func (u *unit) run() {
	defer close(u.gone)
	for u.step() {
		u.settle()
	}
	u.timer.Stop()
	u.state = StateStopped
	u.publish()
	u.probes.Wait()
	u.leaves(u)
	u.emit(u.event(EventRemoved))
	u.publish()
	u.answer()
}

// settle lets others know what has come about.
func (u *unit) settle() {
	u.publish()
	u.answer()
	if u.state == StateStopped || u.state == StateFinished || u.state == StateFailed {
		u.idle()
	}
}

// step waits for what happens next and does what follows from it. It reports
// whether there is more to come.
func (u *unit) step() bool {
	var turns, extra chan<- struct{}
	var ended <-chan ending
	var notified, killed <-chan struct{}
	if u.queued {
		turns = u.turns
		if u.asked {
			extra = u.extra
		}
	}
	if u.process != nil {
		ended = u.process.ended()
		if u.state == StateStarting {
			notified = u.process.notified()
		}
		if !u.killing {
			killed = u.killed
		}
	}
	select {
	case f := <-u.inbox:
		f()
	case turns <- struct{}{}:
		u.launch(u.turns)
	case extra <- struct{}{}:
		u.launch(u.extra)
	case <-u.timer.C:
		u.due()
	case <-notified:
		u.becomeReady()
	case v := <-u.verdicts:
		u.judge(v)
	case end := <-ended:
		u.ended(end)
	case <-killed:
		u.order = leave
		u.kill("all are killed")
	}
	return u.process != nil || u.order != leave
}

// queue asks for the replica's turn to be launched.
func (u *unit) queue() {
	u.timer.Stop()
	u.state, u.next, u.queued, u.asked = StateWaiting, time.Now(), true, false
}

// command makes a replica do what somebody asked for, for the reason given.
func (u *unit) command(o order, reason string) {
	if u.order == leave {
		return
	}
	switch u.order = o; {
	case u.process != nil:
		if u.state != StateStopping {
			u.terminate(reason)
		}
	case o == relaunch:
		u.renew()
	case o == leave:
		u.queued = false
	case u.state != StateStopped:
		u.down()
	}
}

// start has a replica launched that has no process, or will have none.
func (u *unit) start() {
	if u.process == nil || u.order == stayDown {
		u.command(relaunch, "")
	}
}

// configure gives the replica other settings, which its process does not see
// before the next launch.
func (u *unit) configure(p placed) {
	old, oldPolicy := u.replica, u.policy
	u.group, u.replica, u.policy = p.group, p.Replica, p.policy
	u.emit(u.event(EventChanged))
	switch {
	case u.state == StateWaiting && !u.queued && u.policy != oldPolicy:
		u.follow(p.policy.Next(u.history, u.exited, rand.Float64()), u.exited)
	case u.state == StateStarting && (u.replica.Ready != old.Ready || u.replica.StartTimeout != old.StartTimeout):
		u.probe()
	case u.state == StateReady && u.replica.Alive != old.Alive:
		u.watch()
	}
}

func (u *unit) event(k EventKind) Event {
	return Event{Kind: k, Replica: u.name, Group: u.group, Incarnation: u.incarnation, PID: u.pid}
}

// emit has an event told once what it has changed can be seen.
func (u *unit) emit(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	u.untold = append(u.untold, e)
}

// publish makes what has changed be seen by others, and tells of it.
func (u *unit) publish() {
	s := Status{
		Replica: u.name, Group: u.group, Addr: u.replica.Addr, State: u.state,
		Incarnation: u.incarnation, PID: u.pid, Ready: u.ready, Restarts: max(0, u.incarnation-1),
		Exits: u.exits, Failures: u.failures, Last: u.history.Last, Exited: u.exited,
		Lost: u.lost.Load(), Policy: u.policy,
	}
	if u.process != nil {
		s.Addr, s.Launched = u.as.Addr, u.launched
	}
	if u.state == StateWaiting {
		s.Next = u.next
	}
	u.mu.Lock()
	u.status = s
	u.mu.Unlock()
	for _, e := range u.untold {
		u.tell(e)
	}
	clear(u.untold)
	u.untold = u.untold[:0]
}

func (u *unit) now() Status {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.status
	s.Lost = u.lost.Load()
	return s
}

// answer tells those who wait for what has come about.
func (u *unit) answer() {
	waiting := u.waiters[:0]
	for _, w := range u.waiters {
		if met, err := w.met(); met {
			w.done <- err
		} else if w.ctx.Err() == nil {
			waiting = append(waiting, w)
		}
	}
	clear(u.waiters[len(waiting):])
	u.waiters = waiting
}
