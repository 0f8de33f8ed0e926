package supervisor

import (
	"context"
	"fmt"
	"io"
	"time"

	"example.com/crashlab/supervisor/internal/process"
	"example.com/crashlab/supervisor/internal/process/guardian"
	"example.com/crashlab/supervisor/internal/replicas"
	"example.com/crashlab/supervisor/spec"
)

// machine is the system that launches real processes.
type machine struct{ *process.Machine }

func (m machine) Launch(ctx context.Context, r replicas.Member, incarnation int) (replicas.Process, error) {
	p, err := m.Machine.Launch(ctx, process.Command{
		Replica: r.Name, Group: r.Group, Incarnation: incarnation, Args: r.Args, Env: r.Env, Dir: r.Dir,
		Limits: r.Limits, Notify: r.Ready.Kind == spec.ProbeNotify, Drop: r.Overflow == spec.OverflowDrop,
	})
	if err != nil {
		return nil, err // not a nil *Process in an interface
	}
	return p, nil
}

// waits bounds how long to wait for what may hang.
type waits struct {
	process.Waits
	flush time.Duration // how long Run waits at its end for an OnOutput that takes no line
}

var usualWaits = waits{process.UsualWaits, 5 * time.Second}

func (c Config) bounds() waits {
	if c.waits == nil {
		return usualWaits
	}
	return *c.waits
}

// newMachine returns the machine that s runs on. Its errors are for users.
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

// Guard is all that a guardian process does, see [Config.Guardian]. It reads lines
// from r, the read end of a pipe whose write end only the supervisor holds:
//
//	tree ID      launched processes are marked with this ID of 32 hexadecimal digits
//	cgroup PATH  and are in this control group, if there is one
//	+ID          the process group ID was launched
//	-ID          the process group ID has ended
//	end          all have ended
//
// At the end of r, which comes however the supervisor ended, it sends SIGKILL to
// the groups that have not ended and, on Linux and unless there was "end", to all
// processes in the control group or with the mark. Then it returns. Guard makes the
// process ignore SIGINT, SIGTERM and SIGHUP, as the supervisor still needs it after
// those. It returns an error for lines that it does not understand, which it skips,
// and if r cannot be read; it kills then too.
func Guard(r io.Reader) error { return guardian.Guard(r) }
