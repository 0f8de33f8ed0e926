package supervisor

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/internal/output"
)

const (
	// flushTime is how long the end of Run waits for an OnOutput that takes
	// nothing.
	flushTime = 5 * time.Second

	// lastLines is how long the news of an exit waits for OnOutput to be given
	// the process's last lines, which were read by then. Only a slow OnOutput
	// takes that long.
	lastLines = 10 * time.Millisecond

	// drainTime is how long after an exit a pipe is read that another process
	// keeps open, so that descriptors do not pile up with the incarnations.
	drainTime = 250 * time.Millisecond

	// What a first process has left behind is looked at after pauses that
	// double, from the first to the longest.
	leftPause, maxLeftPause = time.Millisecond, 20 * time.Millisecond
)

// waits bounds the waits for what may hang. Tests have longer ones, as on a slow
// machine all may seem to.
type waits struct {
	drain    time.Duration // see drainTime
	flush    time.Duration // see flushTime
	guardian time.Duration // see guardianPatience
	silence  time.Duration // see guardianSilence
}

func (c Config) bounds() waits {
	if c.waits == nil {
		return usualWaits
	}
	return *c.waits
}

var usualWaits = waits{drainTime, flushTime, guardianPatience, guardianSilence}

// machine launches real processes.
type machine struct {
	waits       waits
	output      *output.Hub
	tree        *tree
	guardian    *guardian
	parentDeath bool

	forks   chan func()
	forking sync.WaitGroup
	reading sync.WaitGroup
}

func newMachine(c Config, out *output.Hub, guardianLost func(error)) (*machine, error) {
	w := c.bounds()
	t := newTree(!c.noCgroup)
	g, err := startGuardian(c.Guardian, t.orders(), w, guardianLost)
	if err != nil {
		t.close()
		return nil, err
	}
	m := &machine{
		waits: w, output: out, tree: t, guardian: g, parentDeath: !c.noParentDeathSignal,
		forks: make(chan func()),
	}
	m.forking.Go(m.forkAll)
	return m, nil
}

// forkAll makes all forks from one thread, which lives as long as the machine:
// Linux sends the parent-death signal when the thread that forked ends.
func (m *machine) forkAll() {
	runtime.LockOSThread() // and never unlock: the thread ends with this goroutine
	unblockSignals()
	for fork := range m.forks {
		fork()
	}
}

// fork calls start, which forks, unless ctx ends before its turn.
func (m *machine) fork(ctx context.Context, start func() error) error {
	done := make(chan error)
	m.forks <- func() {
		if ctx.Err() != nil {
			done <- ctx.Err()
			return
		}
		done <- start()
	}
	return <-done
}

// close releases the machine when all its processes have ended.
func (m *machine) close() {
	m.tree.close()
	m.reading.Wait()
	m.output.Close()
	close(m.forks)
	m.forking.Wait()
	m.guardian.stop()
}

func (m *machine) launch(ctx context.Context, r placed, incarnation int) (process, error) {
	// The pipe is passed as a file, so that Wait does not wait for whoever
	// else holds its write end.
	in, out, err := m.output.Open(r.Name, r.group, r.Overflow == OverflowDrop)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	p := &osProcess{
		out: out, drain: m.waits.drain, guardian: m.guardian, branch: m.tree.branch(),
		leader: true, behind: make(chan ending, 1), end: make(chan ending, 1), struck: make(chan struct{}),
	}
	if err := m.start(ctx, p, in, r.Replica, incarnation); err != nil {
		out.Close()
		p.notice.close()
		p.branch.remove()
		return nil, err
	}
	p.launched = time.Now()
	p.guardian.watch(p.pid())
	m.reading.Go(out.Run)
	m.reading.Go(p.watch)
	return p, nil
}

// start starts the process of p, which writes to out.
func (m *machine) start(ctx context.Context, p *osProcess, out *os.File, r Replica, incarnation int) error {
	credential, err := r.Limits.credential()
	if err != nil {
		return err
	}
	if r.Ready.Kind == ProbeNotify {
		if p.notice, err = newReadySocket(p.branch.mark, uidOf(credential)); err != nil {
			return err
		}
	}
	if credential != nil {
		_ = out.Chown(int(credential.Uid), -1) // so that it may open /dev/stdout; where it cannot be had, it may only write
	}
	env := environ(r, incarnation, p.branch.mark, p.notice.address())
	program, err := lookPath(r.Args[0], r.Dir, env)
	if err != nil {
		return err
	}
	build := func() *exec.Cmd {
		cmd := exec.Command(program, r.Args[1:]...)
		cmd.Args[0], cmd.Dir, cmd.Env = r.Args[0], r.Dir, env
		cmd.Stdout, cmd.Stderr = out, out
		cmd.SysProcAttr = p.exit.attr(m.parentDeath)
		cmd.SysProcAttr.Credential = credential
		return cmd
	}
	return m.fork(ctx, func() error {
		p.cmd, err = p.branch.start(build, func(cmd *exec.Cmd) error {
			err := r.Limits.start(cmd)
			if err != nil {
				p.exit.abandon()
			}
			return err
		})
		return err
	})
}

// osProcess is a replica's processes: the first leads its own group.
type osProcess struct {
	cmd      *exec.Cmd
	exit     exitWatch
	out      *output.Reader
	drain    time.Duration
	guardian *guardian
	branch   *branch
	notice   *readySocket // nil without a ProbeNotify
	launched time.Time
	behind   chan ending
	end      chan ending
	struck   chan struct{} // closed when all were killed

	mu       sync.Mutex
	leader   bool // it runs
	isStruck bool
	gone     bool // all have ended, so that the group's ID may soon be another's
}

func (p *osProcess) pid() int                  { return p.cmd.Process.Pid }
func (p *osProcess) abandoned() <-chan ending  { return p.behind }
func (p *osProcess) ended() <-chan ending      { return p.end }
func (p *osProcess) notified() <-chan struct{} { return p.notice.said() }
func (p *osProcess) holds(addr string) error   { return holds(addr, p.branch.processes(p.pid())) }

func (p *osProcess) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.signalGroup(sig)
}

// signalGroup does so while p.mu is held.
func (p *osProcess) signalGroup(sig syscall.Signal) {
	if p.gone {
		return
	}
	// Both fail only for a group that is empty already.
	_ = syscall.Kill(-p.pid(), sig)
	if group, err := syscall.Getpgid(p.pid()); err == nil && group != p.pid() {
		_ = syscall.Kill(p.pid(), sig) // the leader has left its group
	}
}

func (p *osProcess) terminate(sig syscall.Signal, to StopTarget) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.leader && to == StopLeader:
		_ = syscall.Kill(p.pid(), sig)
	case p.leader:
		p.signalGroup(sig)
	case !p.gone: // those that it left behind, whatever their group
		for _, pid := range p.branch.processes(p.pid()) {
			_ = syscall.Kill(pid, sig)
		}
	}
	p.signalGroup(syscall.SIGCONT) // a stopped process gets a signal only as it continues
}

func (p *osProcess) kill() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	if !p.gone {
		n = len(p.branch.processes(p.pid()))
	}
	p.signalGroup(syscall.SIGKILL)
	if !p.isStruck {
		p.isStruck = true
		close(p.struck)
	}
	return n
}

// watch waits for the end of all processes and tells it.
func (p *osProcess) watch() {
	var at time.Time
	err := p.exit.wait(p.cmd, func() { at = p.outlast() })
	p.out.ProcessEnded(at.Add(p.drain))
	<-p.out.CaughtUp
	p.out.Flush(lastLines)
	exit := exitOf(p.cmd.ProcessState, err)
	exit.Uptime = at.Sub(p.launched)
	p.end <- ending{Exit: exit, at: at, output: p.out.LastLines()}
	p.notice.close()
	p.branch.remove()
}

// outlast waits, once the first process has ended, until the others have ended
// too or were killed, and returns when that was.
func (p *osProcess) outlast() time.Time {
	at := time.Now()
	p.mu.Lock()
	p.leader = false
	p.mu.Unlock()
	left := p.branch.left(p.pid())
	tell := sync.OnceFunc(func() { p.behind <- ending{left: left} })
	for pause := leftPause; left > 0 && !p.wasStruck(pause); pause = min(2*pause, maxLeftPause) {
		if left = p.branch.left(p.pid()); left > 0 {
			tell() // not at the first look: most end with their leader
		}
		at = time.Now()
	}
	p.signal(syscall.SIGKILL) // for a process that was just being forked
	p.branch.kill(p.pid())
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	p.guardian.forget(p.pid())
	return at
}

// wasStruck waits for a pause, unless all were killed, which it reports.
func (p *osProcess) wasStruck(pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-p.struck:
		return true
	case <-timer.C:
		select {
		case <-p.struck:
			return true
		default:
			return false
		}
	}
}

func exitOf(state *os.ProcessState, err error) Exit {
	if state == nil { // err is no *exec.ExitError then
		return Exit{Code: -1, Err: err}
	}
	status := state.Sys().(syscall.WaitStatus)
	exit := Exit{Code: status.ExitStatus()}
	if status.Signaled() {
		exit.Signal = status.Signal()
	}
	return exit
}
