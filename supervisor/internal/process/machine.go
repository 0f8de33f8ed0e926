// Package process launches the processes of replicas, and waits for their end and
// that of all processes that they have started. It is what package supervisor
// uses of the operating system; when to launch, signal or kill is decided there
// and in package lifecycle.
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

// Waits bound how long to wait for what may hang.
type Waits struct {
	Drain    time.Duration // how long after an exit to read a pipe that another process keeps open
	Guardian guardian.Waits
}

// DefaultWaits are the waits outside tests, which wait longer, as on a slow machine
// everything may seem to hang. Drain is short so that descriptors do not pile up
// over many incarnations.
var DefaultWaits = Waits{Drain: 250 * time.Millisecond, Guardian: guardian.DefaultWaits}

// Config says how a [Machine] works.
type Config struct {
	Output       *output.Hub // receives what the processes write
	Guardian     []string    // the command of the guardian; empty: none
	GuardianLost func(error) // see guardian.Config
	Waits        Waits

	NoParentDeathSignal bool // for tests that the guardian works alone
	NoCgroup            bool // for tests that no control group is needed
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

// New returns a machine without processes, which must be closed. The only error
// is that the guardian cannot be started.
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

// forkAll forks all processes from one thread, which lives as long as the machine:
// Linux sends the parent-death signal when the thread that forked ends.
func (m *Machine) forkAll() {
	runtime.LockOSThread() // and never unlock: the thread ends with this goroutine
	unblockSignals()
	for fork := range m.forks {
		fork()
	}
}

// fork calls start, which forks, unless ctx ends before its turn.
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

// Command is what is launched for a replica.
type Command struct {
	Replica     string // its name, and that of its group, for its output
	Group       string
	Incarnation int

	Args   []string // the program, looked up in PATH unless it has a slash, then its arguments
	Env    []string // nil: ours
	Dir    string   // empty: ours
	Limits spec.Limits
	Notify bool // give it a NOTIFY_SOCKET, by which it reports that it is ready
	Drop   bool // drop lines of output for which there is no room, rather than have it wait
}

// Launch starts a process, unless ctx has ended. The error says why the program
// could not be executed. For want of descriptors it tries again with those that
// the machine keeps in reserve.
func (m *Machine) Launch(ctx context.Context, c Command) (*Process, error) {
	return m.spare.launch(func() (*Process, error) { return m.launch(ctx, c) })
}

func (m *Machine) launch(ctx context.Context, c Command) (*Process, error) {
	// The pipe is passed as a file, so that Wait does not wait for other
	// processes that hold its write end.
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

// start starts the process of p, which writes to out.
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
		_ = out.Chown(int(credential.Uid), -1) // so that it may open /dev/stdout; without, it may only write
	}
	env := environ(c, p.branch.Mark(), p.socket.address())
	program, err := lookPath(c.Args[0], c.Dir, env)
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
