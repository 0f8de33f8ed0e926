package supervisor

import (
	"context"
	"fmt"
	"io"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/internal/process"
	"example.com/crashlab/supervisor/internal/process/guardian"
	"example.com/crashlab/supervisor/restart"
)

// system is the seam to the operating system.
type system interface {
	// launch starts an incarnation's process, unless ctx has ended. The error
	// says why the program could not be executed.
	launch(ctx context.Context, r member, incarnation int) (osProcess, error)
}

// osProcess is a [process.Process].
type osProcess interface {
	PID() int
	Notified() <-chan struct{}
	Abandoned() <-chan int
	Ended() <-chan process.End
	Signal(sig syscall.Signal)
	Terminate(sig syscall.Signal, leaderAlone bool)
	Kill() int
	Holds(addr string) error
}

// machine is the system that launches real processes.
type machine struct{ *process.Machine }

func (m machine) launch(ctx context.Context, r member, incarnation int) (osProcess, error) {
	p, err := m.Launch(ctx, process.Command{
		Replica: r.Name, Group: r.group, Incarnation: incarnation, Args: r.Args, Env: r.Env, Dir: r.Dir,
		Limits: r.Limits.process(), Notify: r.Ready.Kind == ProbeNotify, Drop: r.Overflow == OverflowDrop,
	})
	if err != nil {
		return nil, err // not a nil *Process in an interface
	}
	return p, nil
}

func exitOf(e process.End) restart.Exit {
	return restart.Exit{Code: e.Code, Signal: e.Signal, Uptime: e.Uptime, Err: e.Err}
}

// waits bounds the waits for what may hang.
type waits struct {
	process.Waits
	flush time.Duration // how long the end of Run waits for an OnOutput that takes nothing
}

var usualWaits = waits{process.UsualWaits, 5 * time.Second}

func (c Config) bounds() waits {
	if c.waits == nil {
		return usualWaits
	}
	return *c.waits
}

// newMachine returns the system that s runs on.
func newMachine(s *Supervisor) (machine, error) {
	c := s.config
	m, err := process.New(process.Config{
		Output: s.output, Guardian: c.Guardian, GuardianLost: s.guardianLost, Waits: c.bounds().Waits,
		NoParentDeathSignal: c.noParentDeathSignal, NoCgroup: c.noCgroup,
	})
	if err != nil {
		return machine{}, fmt.Errorf("supervisor: %w", err)
	}
	return machine{m}, nil
}

// Guard is the whole body of a guardian process, see [Config.Guardian]. It
// reads lines from r, the read end of a pipe whose write end only the
// supervisor holds:
//
//	tree ID      what it launches is marked with an ID: 32 hexadecimal digits
//	cgroup PATH  and is in this control group, where there is one
//	+ID          a process group was launched
//	-ID          it has ended
//	end          all have ended
//
// At the end of r, which comes however the supervisor ended, it kills
// (SIGKILL) the groups still there and, on Linux and unless there was "end",
// all processes in the control group or with the mark; then it returns. It
// ignores SIGINT, SIGTERM and SIGHUP from then on, as the supervisor needs it
// after those. It returns an error for lines it did not understand, which
// change nothing, and when r fails; it kills then too.
func Guard(r io.Reader) error { return guardian.Guard(r) }
