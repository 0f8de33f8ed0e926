package supervisor

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// lastLines is how long the news of an exit waits for the process's last
	// lines. Reading what a pipe holds takes far less; only a pipe that another
	// process keeps open makes the news wait that long.
	lastLines = 10 * time.Millisecond

	// drainTime is how long after an exit a pipe is read that another process
	// keeps open, so that descriptors do not pile up with the incarnations.
	drainTime = 250 * time.Millisecond
)

// machine launches real processes.
type machine struct {
	output      func(replica string, line []byte)
	guardian    *guardian
	parentDeath bool

	forks   chan func()
	forking sync.WaitGroup
	reading sync.WaitGroup
}

func newMachine(s *Supervisor) (*machine, error) {
	g, err := startGuardian(s.Guardian, func(err error) { s.emit(Event{Kind: GuardianLost, Err: err}) })
	if err != nil {
		return nil, err
	}
	m := &machine{
		output: s.deliver, guardian: g, parentDeath: !s.noParentDeathSignal,
		forks: make(chan func()),
	}
	m.forking.Go(m.forkAll)
	return m, nil
}

// forkAll makes all forks from one thread, which lives as long as the machine:
// Linux sends the parent-death signal when the thread that forked ends.
func (m *machine) forkAll() {
	runtime.LockOSThread() // and never unlock: the thread ends with this goroutine
	for fork := range m.forks {
		fork()
	}
}

// fork starts the command, unless ctx ends before its turn.
func (m *machine) fork(ctx context.Context, cmd *exec.Cmd) error {
	done := make(chan error)
	m.forks <- func() {
		if ctx.Err() != nil {
			done <- ctx.Err()
			return
		}
		done <- cmd.Start()
	}
	return <-done
}

// close releases the machine when all its processes have ended.
func (m *machine) close() {
	m.reading.Wait()
	close(m.forks)
	m.forking.Wait()
	m.guardian.stop()
}

func (m *machine) launch(ctx context.Context, r Replica, incarnation int) (process, error) {
	// The pipe is passed as a file, so that Wait does not wait for whoever
	// else holds its write end.
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer in.Close()
	cmd := exec.Command(r.Args[0], r.Args[1:]...)
	cmd.Dir, cmd.Env = r.Dir, r.Env
	cmd.Env = append(cmd.Environ(), fmt.Sprintf("INCARNATION=%d", incarnation))
	cmd.Stdout, cmd.Stderr = in, in
	p := &osProcess{cmd: cmd, out: out, guardian: m.guardian, end: make(chan ending, 1)}
	cmd.SysProcAttr = p.exit.attr(m.parentDeath)
	if err := m.fork(ctx, cmd); err != nil {
		out.Close()
		return nil, err
	}
	p.launched = time.Now()
	p.guardian.watch(p.pid())
	read := make(chan struct{})
	m.reading.Go(func() {
		defer close(read)
		defer out.Close()
		readLines(out, func(line []byte) { m.output(r.Name, line) })
	})
	go p.watch(read)
	return p, nil
}

// osProcess is a process that leads its own group.
type osProcess struct {
	cmd      *exec.Cmd
	exit     exitWatch
	out      *os.File
	guardian *guardian
	launched time.Time
	end      chan ending

	mu   sync.Mutex
	gone bool // the process has ended, so that its ID may soon be another's
}

func (p *osProcess) pid() int             { return p.cmd.Process.Pid }
func (p *osProcess) ended() <-chan ending { return p.end }

func (p *osProcess) signal(sig syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		// It fails only for a group that is empty already.
		_ = syscall.Kill(-p.pid(), sig)
	}
}

// watch waits for the process and tells its end. A reader of its output closes
// read when it is done.
func (p *osProcess) watch(read <-chan struct{}) {
	var at time.Time
	err := p.exit.wait(p.cmd, func() {
		at = time.Now()
		p.endGroup()
	})
	_ = p.out.SetReadDeadline(at.Add(drainTime)) // fails only when the reader has closed it
	grace := time.NewTimer(lastLines)
	defer grace.Stop()
	select {
	case <-read:
	case <-grace.C:
	}
	exit := exitOf(p.cmd.ProcessState, err)
	exit.Uptime = at.Sub(p.launched)
	p.end <- ending{exit, at}
}

// endGroup kills what is left of the group of a process that has ended.
func (p *osProcess) endGroup() {
	p.signal(syscall.SIGKILL)
	p.mu.Lock()
	p.gone = true
	p.mu.Unlock()
	p.guardian.forget(p.pid())
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
