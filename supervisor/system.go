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

// machine is the replicas.System that launches real processes.
type machine struct{ *process.Machine }

func (m machine) Launch(ctx context.Context, r replicas.Member, incarnation int) (replicas.Process, error) {
	p, err := m.Machine.Launch(ctx, process.Command{
		Replica: r.Name, Group: r.Group, Incarnation: incarnation, Args: r.Args, Env: r.Env, Dir: r.Dir,
		Limits: r.Limits, Notify: r.Ready.Kind == spec.ProbeNotify, Drop: r.Overflow == spec.OverflowDrop,
	})
	if err != nil {
		return nil, err // a nil *Process in the interface would not be nil
	}
	return p, nil
}

// waits limits how long to wait for what may hang.
type waits struct {
	process.Waits
	flush time.Duration // how long Run waits for an OnOutput that takes no lines
}

var defaultWaits = waits{process.DefaultWaits, 5 * time.Second}

func (c Config) bounds() waits {
	if c.waits == nil {
		return defaultWaits
	}
	return *c.waits
}

// newMachine returns the machine for s. Its errors are returned by Run.
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

// Guard is the body of a guardian process, see [Config.Guardian]. It reads lines from r, the read
// end of a pipe whose write end only the supervisor holds:
//
//	tree ID      launched processes carry this ID of 32 hexadecimal digits
//	cgroup PATH  they are in this control group, if there is one
//	+ID          the process group ID was launched
//	-ID          the process group ID has ended
//	end          all have ended
//
// The end of r means that the supervisor has ended. Guard then sends SIGKILL to the groups that
// have not ended and, on Linux and unless it has read "end", to all processes in the control group
// or with the ID, and returns. Guard makes its process ignore SIGINT, SIGTERM and SIGHUP, because
// the supervisor needs it until its own end. The error reports lines that Guard does not
// understand, which it skips, and that r cannot be read; it kills nevertheless.
func Guard(r io.Reader) error { return guardian.Guard(r) }
