package supervisor

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
)

// launch begins the next incarnation, as it is the replica's turn.
func (u *unit) launch(turns <-chan struct{}) {
	u.queued, u.as = false, u.replica
	u.endTurn = sync.OnceFunc(func() { <-turns })
	p, err := process(nil), ErrClosed
	if u.mayLaunch() {
		p, err = u.sys.launch(u.ctx, placed{u.replica, u.group, u.policy}, u.incarnation+1)
	}
	if err != nil && !u.mayLaunch() {
		u.endTurn()
		u.state = StateStopped
		return
	}
	u.incarnation++
	u.launched = time.Now()
	if err != nil {
		u.endTurn()
		u.after(u.event(EventLaunchFailed), Exit{Code: -1, Err: err}, u.launched)
		return
	}
	u.process, u.pid, u.ready, u.killing = p, p.pid(), time.Time{}, false
	u.state, u.endProbes = StateStarting, func() {}
	u.emit(u.event(EventLaunched))
	if u.replica.Ready.Kind != ProbeNone {
		time.AfterFunc(turnTime, u.endTurn)
	}
	u.probe()
}

// mayLaunch reports whether replicas shall still run.
func (u *unit) mayLaunch() bool {
	select {
	case <-u.killed: // its end comes to ctx a moment later
		return false
	default:
		return u.ctx.Err() == nil
	}
}

// probe begins to find out whether the incarnation is ready.
func (u *unit) probe() {
	u.endProbes()
	u.timer.Stop()
	u.unready = nil
	if u.replica.StartTimeout > 0 {
		u.timer.Reset(time.Until(u.launched.Add(u.replica.StartTimeout)))
	}
	switch u.replica.Ready.Kind {
	case ProbeNone:
		u.becomeReady()
	case ProbeTCP, ProbeGRPC:
		u.ask(u.replica.Ready.withDefaults(readyPeriod), untilReady)
	}
}

func (u *unit) becomeReady() {
	u.timer.Stop()
	u.state, u.ready = StateReady, time.Now()
	u.endTurn()
	e := u.event(EventReady)
	e.Time, e.After = u.ready, u.ready.Sub(u.launched)
	u.emit(e)
	u.watch()
}

// watch begins to find out whether the incarnation, which is ready, is alive.
func (u *unit) watch() {
	u.endProbes()
	if u.replica.Alive.Kind != ProbeNone {
		u.ask(u.replica.Alive.withDefaults(alivePeriod), untilDead)
	}
}

// due does what the time has come for.
func (u *unit) due() {
	switch u.state {
	case StateWaiting:
		u.queue()
	case StateStarting:
		err := fmt.Errorf("not ready within %v", u.replica.StartTimeout)
		if u.unready != nil {
			err = fmt.Errorf("%w: %w", err, u.unready)
		}
		u.unhealthy(err)
	case StateStopping:
		u.kill(fmt.Sprintf("it did not end within %v", u.replica.stopTimeout()))
	}
}

// unhealthy replaces an incarnation that is no use.
func (u *unit) unhealthy(err error) {
	e := u.event(EventUnhealthy)
	e.Err = err
	u.emit(e)
	u.kill("it is unhealthy")
}

func (u *unit) kill(reason string) {
	u.state, u.killing = StateStopping, true
	u.timer.Stop()
	u.endProbes()
	e := u.event(EventKilled)
	e.Reason = reason
	u.emit(e)
	u.process.signal(syscall.SIGKILL)
}

// terminate tells the process to end, in the time it is allowed.
func (u *unit) terminate(reason string) {
	u.state = StateStopping
	u.endProbes()
	e := u.event(EventStopping)
	e.Reason = reason
	u.emit(e)
	u.process.signal(syscall.SIGTERM)
	u.process.signal(syscall.SIGCONT) // a stopped process gets SIGTERM only as it continues
	u.timer.Reset(u.replica.stopTimeout())
}

// ended does what follows from the end of the process.
func (u *unit) ended(end ending) {
	e := u.event(EventExited)
	e.Time, e.Output = end.at, end.output
	exit := end.Exit
	if !u.ready.IsZero() {
		exit.Ready = max(end.at.Sub(u.ready), 1) // it was ready, however short
	}
	u.timer.Stop()
	u.endTurn()
	u.endProbes()
	u.process, u.pid, u.ready = nil, 0, time.Time{}
	if u.order == followPolicy {
		u.exits++
		u.after(e, exit, end.at)
		return
	}
	e.Exit, u.history.Last, u.exited = exit, exit, end.at
	u.emit(e)
	switch u.order {
	case stayDown:
		u.down()
	case relaunch:
		u.renew()
	}
}

// after does what the policy says after an exit that nobody asked for, or a
// launch that failed, which e tells of.
func (u *unit) after(e Event, exit Exit, at time.Time) {
	if exit.neverReady() {
		u.failures++
	}
	u.exited = at
	u.history = u.history.After(exit, at, u.policy)
	next := u.policy.Next(u.history, at, rand.Float64())
	e.Time, e.Exit, e.Next = at, exit, next
	u.emit(e)
	u.follow(next, at)
}

// follow does what the policy has decided about an exit, which was at a time.
func (u *unit) follow(d Decision, at time.Time) {
	e := u.event(EventFinished)
	e.Exit, e.Reason = u.history.Last, d.Reason
	switch {
	case d.Relaunch:
		u.state, u.next = StateWaiting, at.Add(d.Delay)
		u.timer.Reset(time.Until(u.next))
		return
	case d.GiveUp:
		u.state, e.Kind = StateFailed, EventFailed
	default:
		u.state = StateFinished
	}
	u.emit(e)
	if !d.GiveUp {
		return
	}
	then := u.policy.Limit.Then
	u.fails(u, then)
	if then == EscalationRestartAll {
		u.history = History{Last: u.history.Last, Short: u.history.Short}
		u.follow(Decision{Relaunch: true, Delay: d.Delay}, at)
	}
}

func (u *unit) down() {
	u.timer.Stop()
	u.state, u.queued = StateStopped, false
	u.emit(u.event(EventStopped))
}

// renew launches a replica as if it had no past.
func (u *unit) renew() {
	u.order, u.history = followPolicy, History{Last: u.history.Last}
	u.queue()
	u.asked = true
}
