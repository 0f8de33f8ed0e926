package supervisor

import (
	"context"
	"syscall"
	"time"
)

// system is the seam to the operating system.
type system interface {
	// launch starts an incarnation's process, unless ctx has ended. The error
	// says why the program could not be executed.
	launch(ctx context.Context, r Replica, incarnation int) (process, error)
}

// process is a launched process and its group.
type process interface {
	pid() int
	// ended delivers one value, when the process has ended, its group is
	// killed and its last lines are most likely delivered.
	ended() <-chan ending
	// signal sends sig to the group; once the process has ended, to nobody.
	signal(sig syscall.Signal)
}

// ending is the end of a process and when that was.
type ending struct {
	Exit
	at time.Time
}

// loop drives one replica.
type loop struct {
	replica     Replica
	policy      Policy
	stopTimeout time.Duration
	sys         system
	emit        func(Event)
	killed      <-chan struct{}

	begun func()          // tells that the first launch was tried
	turn  <-chan struct{} // closed when all replicas before this one were told to stop, or have ended
	pass  func()          // gives the turn to the next replica
}

func (l *loop) run(ctx context.Context) {
	defer l.pass()
	defer l.begun()
	var history History
	n := 0
	for ctx.Err() == nil {
		n++
		e := l.incarnate(ctx, n)
		if e.Kind == Stopped {
			l.emit(e)
			return
		}
		history = history.After(e.Exit)
		e.Next = l.policy.Next(history)
		l.emit(e)
		l.begun()
		if !e.Next.Relaunch {
			l.emit(Event{Kind: GaveUp, Replica: e.Replica, Incarnation: n, Exit: e.Exit, Next: e.Next})
			return
		}
		sleep(ctx, time.Until(e.Time.Add(e.Next.Delay)))
	}
	l.emit(Event{Kind: Stopped, Replica: l.replica.Name, Incarnation: n, Exit: history.Last})
}

// incarnate runs the n-th incarnation to its end, which it returns: an event
// of kind LaunchFailed, Exited or, when ctx ended first, Stopped.
func (l *loop) incarnate(ctx context.Context, n int) Event {
	e := Event{Replica: l.replica.Name, Incarnation: n}
	p, err := l.sys.launch(ctx, l.replica, n)
	if err != nil && ctx.Err() != nil {
		e.Kind, e.Incarnation = Stopped, n-1
		return e
	}
	if err != nil {
		e.Kind, e.Time = LaunchFailed, time.Now()
		e.Exit = Exit{Code: -1, Err: err}
		return e
	}
	e.PID = p.pid()
	e.Kind = Launched
	l.emit(e)
	l.begun()
	var end ending
	select {
	case end = <-p.ended():
		e.Kind = Exited
		if ctx.Err() != nil {
			e.Kind = Stopped // no relaunch to tell of
		}
	case <-ctx.Done():
		end = l.stop(p, e)
		e.Kind = Stopped
	}
	e.Time, e.Exit = end.at, end.Exit
	return e
}

// stop ends the process, in the time it is allowed; e names it in events.
func (l *loop) stop(p process, e Event) ending {
	<-l.turn
	e.Kind = Stopping
	l.emit(e)
	p.signal(syscall.SIGTERM)
	p.signal(syscall.SIGCONT) // a stopped process gets SIGTERM only as it continues
	l.pass()

	timeout := time.NewTimer(l.stopTimeout)
	defer timeout.Stop()
	select {
	case end := <-p.ended():
		return end
	case <-timeout.C:
	case <-l.killed:
	}
	e.Kind = Killed
	l.emit(e)
	p.signal(syscall.SIGKILL)
	return <-p.ended()
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
