package process

import (
	"cmp"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/internal/output"
	"example.com/crashlab/supervisor/internal/process/guardian"
	"example.com/crashlab/supervisor/internal/process/tree"
)

const (
	// lastLines is how long the report of an exit waits for the delivery of the process's last
	// lines, which have been read by then. Only a slow receiver takes that long.
	lastLines = 10 * time.Millisecond

	// Pauses between looking for processes that the leader left behind: each is twice the one
	// before, up to the maximum.
	leftPause, maxLeftPause = time.Millisecond, 20 * time.Millisecond
)

// Process is the processes of one incarnation: the first one, called the leader, and its
// descendants. The leader starts in a process group of its own. Methods may be called by any
// goroutine.
type Process struct {
	cmd       *exec.Cmd
	exit      exitWatch
	out       *output.Reader
	drain     time.Duration
	guardian  *guardian.Guardian
	branch    *tree.Branch
	socket    *readySocket // nil without Command.Notify
	launched  time.Time
	abandoned chan int
	end       chan End
	killed    chan struct{} // closed by the first Kill

	mu       sync.Mutex
	leader   bool // the leader is running
	sentTo   recipients
	isKilled bool
	gone     bool // all have ended, so the group's ID may be reused soon
}

// recipients are the processes that were sent the stop signal.
type recipients int

const (
	sentToNobody recipients = iota
	sentToLeader
	sentToGroup
	sentToRest // the processes that the leader left running, which are all that remain
)

// End describes how an incarnation ended.
type End struct {
	Code   int            // exit code of the leader, 0 to 255; -1 if a signal ended it or Err is set
	Signal syscall.Signal // the signal that ended the leader; zero: none
	Err    error          // why its exit status could not be read; else nil
	Uptime time.Duration  // from launch to At
	At     time.Time      // when the last process had ended
	Output []string       // the last lines of output
}

// PID returns the ID of the leader and of its process group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Abandoned delivers one value if the leader ended and left processes behind: their number.
func (p *Process) Abandoned() <-chan int { return p.abandoned }

// Ended delivers one value when all processes have ended and the last lines have been delivered or
// delayed for 10 ms.
func (p *Process) Ended() <-chan End { return p.end }

// Notified returns a channel that is closed when the replica has reported that it is ready. It is
// nil without Command.Notify.
func (p *Process) Notified() <-chan struct{} { return p.socket.reported() }

// Holds returns an error if another process than the replica's listens at addr, and nil if that
// cannot be determined.
func (p *Process) Holds(addr string) error { return p.branch.Holds(p.PID(), addr) }

// Signal sends sig to the process group. It does nothing once all processes have ended. The error
// says that none of them may be signaled, as those of a program that has become another user.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.signalGroup(sig)
}

// signalGroup is Signal for callers that hold p.mu.
func (p *Process) signalGroup(sig syscall.Signal) error {
	if p.gone {
		return nil
	}
	err := kill(-p.PID(), sig)
	if group, unknown := syscall.Getpgid(p.PID()); unknown == nil && group != p.PID() {
		err = cmp.Or(err, kill(p.PID(), sig)) // the leader has left its group
	}
	return err
}

// kill is kill(2), except that it is no error if nothing is left to signal.
func kill(pid int, sig syscall.Signal) error {
	if err := syscall.Kill(pid, sig); err != syscall.ESRCH {
		return os.NewSyscallError("kill", err)
	}
	return nil
}

// Terminate sends sig to the group or, with leaderAlone, only to the leader while it runs. If the
// leader has ended, the processes that it left behind get the signal unless they had it before: all
// of them if none was sent, or those outside the group if the leader died of it. A leader that
// exited by itself is assumed to have stopped the others. Stopped processes are continued so that
// the signal reaches them.
func (p *Process) Terminate(sig syscall.Signal, leaderAlone bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.leader && leaderAlone:
		p.sentTo = sentToLeader
		_ = syscall.Kill(p.PID(), sig)
	case p.leader:
		p.sentTo = sentToGroup
		_ = p.signalGroup(sig) // if it fails, so does Kill later
	case p.sentTo == sentToNobody, p.sentTo != sentToRest && p.exit.bySignal:
		p.terminateRest(sig)
	}
	_ = p.signalGroup(syscall.SIGCONT)
}

// terminateRest sends sig to the processes that the leader left behind. The caller holds p.mu.
func (p *Process) terminateRest(sig syscall.Signal) {
	was := p.sentTo
	p.sentTo = sentToRest
	if p.gone {
		return
	}
	for _, pid := range p.branch.Processes(p.PID()) {
		if group, _ := syscall.Getpgid(pid); was == sentToGroup && group == p.PID() {
			continue
		}
		_ = syscall.Kill(pid, sig)
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
}

// Kill sends SIGKILL to all processes of the replica, and returns their number, or zero if it is
// unknown. The error says that some of them may not be killed. With a control group, all may be.
func (p *Process) Kill() (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.isKilled {
		p.isKilled = true
		close(p.killed)
	}
	if p.gone {
		return 0, nil
	}
	all := p.branch.Processes(p.PID())
	err := p.signalGroup(syscall.SIGKILL)
	for _, pid := range all {
		err = cmp.Or(err, kill(pid, 0)) // whether it may be killed
	}
	if p.branch.KillCgroup() {
		err = nil
	}
	return len(all), err
}

// watch waits until all processes have ended, and delivers the end.
func (p *Process) watch() {
	var at time.Time
	err := p.exit.wait(p.cmd, func() { at = p.awaitOthers() })
	p.out.ProcessEnded(at.Add(p.drain))
	<-p.out.CaughtUp
	p.out.Flush(lastLines)
	end := exitOf(p.cmd.ProcessState, err)
	end.At, end.Uptime, end.Output = at, at.Sub(p.launched), p.out.LastLines()
	p.end <- end
	p.socket.close()
	p.branch.Remove()
}

// awaitOthers is called when the leader has ended. It waits until the other processes have ended or
// been killed, and returns the time of the last end.
func (p *Process) awaitOthers() time.Time {
	at := time.Now()
	p.mu.Lock()
	p.leader = false
	p.mu.Unlock()
	left := p.branch.Left(p.PID())
	report := sync.OnceFunc(func() { p.abandoned <- left })
	for pause := leftPause; left > 0 && !p.waitKilled(pause); pause = min(2*pause, maxLeftPause) {
		if left = p.branch.Left(p.PID()); left > 0 {
			report() // not at the first look: most processes end with their leader
		}
		at = time.Now()
	}
	_ = p.Signal(syscall.SIGKILL) // for a process that was being forked
	p.branch.Kill(p.PID())
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	p.guardian.Forget(p.PID())
	return at
}

// waitKilled waits for a call of Kill, at most for pause, and reports whether there was one.
func (p *Process) waitKilled(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-p.killed:
		return true
	case <-timer.C:
		select {
		case <-p.killed:
			return true
		default:
			return false
		}
	}
}

func exitOf(state *os.ProcessState, err error) End {
	if state == nil { // then err is not an *exec.ExitError
		return End{Code: -1, Err: err}
	}
	status := state.Sys().(syscall.WaitStatus)
	end := End{Code: status.ExitStatus()}
	if status.Signaled() {
		end.Signal = status.Signal()
	}
	return end
}
