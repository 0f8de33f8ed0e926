// Package process launches the processes of replicas, and waits for the end of each and of all its
// descendants. It is the part of package supervisor that depends on the operating system. When to
// launch, signal or kill is decided by packages lifecycle and replicas.
package process

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"example.com/crashlab/supervisor/internal/output"
	"example.com/crashlab/supervisor/internal/process/guardian"
	"example.com/crashlab/supervisor/internal/process/threads"
	"example.com/crashlab/supervisor/internal/process/tree"
	"example.com/crashlab/supervisor/spec"
)

// Waits limits how long to wait for what may hang.
type Waits struct {
	Drain    time.Duration // after an exit, how long to read a pipe that another process keeps open
	Guardian guardian.Waits
}

// DefaultWaits are the waits in production. Tests wait longer, because on a slow machine everything
// may seem to hang. Drain is short so that descriptors do not accumulate over many incarnations.
var DefaultWaits = Waits{Drain: 250 * time.Millisecond, Guardian: guardian.DefaultWaits}

// Config configures a [Machine].
type Config struct {
	Output       *output.Hub // receives what the processes write
	Guardian     []string    // command of the guardian; empty: none
	GuardianLost func(error) // see guardian.Config
	Waits        Waits

	NoParentDeathSignal bool // for tests of the guardian alone
	NoCgroup            bool // for tests without control groups
}

// Machine launches processes.
type Machine struct {
	config   Config
	tree     *tree.Tree
	guardian *guardian.Guardian

	spare   fileReserve
	forks   chan func()
	forking sync.WaitGroup
	reading sync.WaitGroup
}

// New returns a machine without processes, which must be closed. The only error is that the
// guardian cannot be started.
func New(c Config) (*Machine, error) {
	t := tree.New(!c.NoCgroup)
	g, err := guardian.Start(guardian.Config{Command: c.Guardian, Tree: t.Handle(), Waits: c.Waits.Guardian, Lost: c.GuardianLost})
	if err != nil {
		t.Close()
		return nil, err
	}
	m := &Machine{config: c, tree: t, guardian: g, forks: make(chan func())}
	m.spare.fill()
	threads.Reserve(runtime.GOMAXPROCS(0) + spareThreads)
	m.forking.Go(m.forkAll)
	return m, nil
}

// forkAll forks all processes from one thread that lives as long as the machine, because Linux
// sends the parent-death signal when the thread that forked ends.
func (m *Machine) forkAll() {
	runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
	unblockSignals()
	for fork := range m.forks {
		fork()
	}
}

// fork calls start, which forks, on that thread, unless ctx has ended by then.
func (m *Machine) fork(ctx context.Context, start func() error) error {
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

// Close releases the machine. All its processes must have ended.
func (m *Machine) Close() {
	m.tree.Close()
	m.reading.Wait()
	m.config.Output.Close()
	close(m.forks)
	m.forking.Wait()
	m.guardian.Stop()
	m.spare.close()
}

// Command is a command to launch.
type Command struct {
	Replica     string // name of the replica, for its output
	Group       string // name of its group
	Incarnation int

	Args   []string // the program, which is looked up in PATH unless it contains a slash, and its arguments
	Env    []string // nil: the supervisor's
	Dir    string   // empty: the supervisor's
	Limits spec.Limits
	Notify bool // set NOTIFY_SOCKET, for readiness reports
	Drop   bool // drop lines of output that do not fit into the queue, instead of blocking the process
}

// Launch starts a process, unless ctx has ended. The error says why the program could not be
// executed. If descriptors are lacking, Launch tries again with those that the machine keeps in
// reserve.
func (m *Machine) Launch(ctx context.Context, c Command) (*Process, error) {
	return m.spare.launch(func() (*Process, error) { return m.launch(ctx, c) })
}

func (m *Machine) launch(ctx context.Context, c Command) (*Process, error) {
	// The pipe is an *os.File, so that exec.Cmd.Wait does not wait for other processes that hold
	// its write end.
	in, out, err := m.config.Output.Open(c.Replica, c.Group, c.Drop)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	p := &Process{
		out: out, drain: m.config.Waits.Drain, guardian: m.guardian, branch: m.tree.Branch(),
		leader: true, abandoned: make(chan int, 1), end: make(chan End, 1), killed: make(chan struct{}),
	}
	if err := m.start(ctx, p, in, c); err != nil {
		out.Close()
		p.socket.close()
		p.branch.Remove()
		return nil, err
	}
	p.launched = time.Now()
	p.guardian.Watch(p.PID())
	m.reading.Go(out.Run)
	m.reading.Go(p.watch)
	return p, nil
}

// start starts the process of p, whose output goes to out.
func (m *Machine) start(ctx context.Context, p *Process, out *os.File, c Command) error {
	credential, err := limits(c.Limits).credential()
	if err != nil {
		return err
	}
	if c.Notify {
		if p.socket, err = newReadySocket(p.branch.Mark(), uidOf(credential)); err != nil {
			return err
		}
	}
	if credential != nil {
		_ = out.Chown(int(credential.Uid), -1) // lets it open /dev/stdout; otherwise it can only write
	}
	env := environ(c, p.branch.Mark(), p.socket.address())
	program, err := LookPath(c.Args[0], c.Dir, env)
	if err != nil {
		return err
	}
	build := func() *exec.Cmd {
		cmd := exec.Command(program, c.Args[1:]...)
		cmd.Args[0], cmd.Dir, cmd.Env = c.Args[0], c.Dir, env
		cmd.Stdout, cmd.Stderr = out, out
		cmd.SysProcAttr = p.exit.attr(!m.config.NoParentDeathSignal)
		cmd.SysProcAttr.Credential = credential
		return cmd
	}
	return m.fork(ctx, func() error {
		p.cmd, err = p.branch.Start(build, func(cmd *exec.Cmd) error {
			err := limits(c.Limits).start(cmd)
			if err != nil {
				p.exit.abandon()
			}
			return err
		})
		return err
	})
}
