// Package supervisor keeps commands running on one machine: it launches each
// as a process, relaunches those that exit, and leaves none behind, however it
// ends itself. It knows nothing about what the commands do.
//
// What happens is told by events and complete lines of output; nothing is
// printed or logged here. What to do after an exit is decided by [restart.Policy.Next],
// a pure function.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/output"
)

const (
	// defaultStopTimeout suits servers that drain calls of a few seconds, and
	// is half of the 10 s that container runtimes grant the supervisor itself.
	defaultStopTimeout = 5 * time.Second
	defaultMaxStarting = 16
)

// Config says what a [Supervisor] runs and whom it tells.
type Config struct {
	Groups []Group // what runs at first; at least one

	// Stay keeps Run going while no replica runs or waits for its relaunch, as
	// a command may start one. Run then returns only when all replicas are
	// finished.
	Stay bool

	// MaxStarting bounds how many replicas are between launch and ready at a
	// time, each for at most a second; the others wait for their turn. Launches
	// that a command asked for have as many turns of their own. Zero: 16.
	// Negative: an error.
	MaxStarting int

	// Health asks the service at an address whether it serves; nil means that it
	// does. Probes of kind ProbeGRPC use it. Calls run at the same time, one per
	// replica, and each must end soon after ctx has. Nil: such probes are an
	// error.
	Health func(ctx context.Context, addr, service string) error

	// OnEvent receives events, one call at a time, in order. It may block:
	// later events then wait in memory, and Run returns only after the last was
	// delivered. Nil: nothing is called; see also Watch.
	OnEvent func(event.Event)

	// OnOutput receives what replicas write to stdout and stderr: whole lines,
	// one or more, each with its newline. Lines above 1 MiB come in pieces of
	// 1 MiB. The bytes are valid during the call only. Each replica's calls come
	// one at a time; those of different replicas overlap. A call that blocks
	// delays its own replica's lines and nothing else: 1 MiB of them waits, and
	// then what the replica's Overflow says happens. The end of Run waits for
	// lines while some are taken every 5 s. Lost lines are counted in
	// Status.Lost and in events of kind event.KindOutputLost. Nil: see Output.
	OnOutput func(replica string, lines []byte)

	// Guardian is a command whose process runs [Guard] on its stdin. It kills
	// the replicas and what they started should the supervisor's process be
	// killed. It is replaced when it ends or hangs. On systems other than Linux
	// it knows process groups alone. Empty: none; Linux's parent-death signal
	// then still kills each replica's process, but not the processes it started
	// (and an empty control group stays), and other systems kill nothing.
	Guardian []string

	noParentDeathSignal bool   // tests prove with it that the guardian works alone
	noCgroup            bool   // and with it that it needs no control group
	waits               *waits // nil: the usual ones
}

// Supervisor runs replicas. It runs once; its other methods may be called at
// any time, by any goroutine.
//
// A replica is its process: each leads its own process group, and stdin is
// empty. What its process has started is killed when that has ended, before a
// relaunch, and at the latest when Run ends. For processes that left the group
// (setsid, daemons) this takes Linux. They are in a control group (version 2)
// below ours, where we may make one. Else they are known by SUPERVISOR_ID in
// their environment: one that has cleared it is not found, nor one of another
// user unless we may look at it (CAP_SYS_PTRACE). In that case, and as process
// 1, our process is a subreaper while Run runs, and reaps orphans: children
// that the program around us starts by other means than package os must not be
// those of its first thread.
type Supervisor struct {
	config  Config
	used    atomic.Bool // Run was called
	killed  context.Context
	kill    context.CancelFunc
	journal event.Journal
	output  *output.Hub
	set     set
}

// New returns a Supervisor that launches nothing before [Supervisor.Run]. The
// error names what is out of range.
func New(c Config) (*Supervisor, error) {
	switch _, err := members(c.Groups, c.Health != nil); {
	case err != nil:
		return nil, fmt.Errorf("supervisor: %w", err)
	case len(c.Groups) == 0:
		return nil, errors.New("supervisor: no groups: want at least one")
	case c.MaxStarting < 0:
		return nil, fmt.Errorf("supervisor: %d replicas starting at a time: want 0 (the default, %d) or more", c.MaxStarting, defaultMaxStarting)
	}
	s := &Supervisor{config: c}
	s.output = output.NewHub(c.OnOutput, s.outputLost, c.bounds().flush)
	s.killed, s.kill = context.WithCancel(context.Background())
	return s, nil
}

// Run launches all replicas in their order and keeps them running until ctx
// ends, then stops them: in their order each process group gets SIGTERM, and
// SIGKILL when its leader is still there after its StopTimeout. After ctx has
// ended nothing is launched. Run returns nil when the last process has ended
// and the last line and event were delivered; also when no replica runs or
// will be launched again, unless Stay. It returns an error only before
// anything was launched: for a guardian that cannot be started, or a second
// call.
func (s *Supervisor) Run(ctx context.Context) error {
	if s.used.Swap(true) {
		return errors.New("supervisor: Run was called before")
	}
	defer s.journal.Close()
	m, err := newMachine(s)
	if err != nil {
		return err
	}
	s.run(ctx, m)
	m.Close()
	return nil
}

// Kill ends all replicas with SIGKILL and makes Run return: at once when Run
// is already stopping them, and in place of an orderly stop when it is not. It
// does not wait. Calls after the first change nothing.
func (s *Supervisor) Kill() { s.kill() }

// run drives the replicas on the given system until the last one has ended.
func (s *Supervisor) run(ctx context.Context, sys system) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.killed, cancel)()
	s.set.open(ctx, s, sys)
	for s.set.busy(s.config.Stay) {
		select {
		case <-s.set.idled:
			continue
		case <-ctx.Done():
		}
		break
	}
	cancel()
	s.set.close()
}

func (s *Supervisor) emit(e event.Event) {
	s.journal.Add(e, s.config.OnEvent)
	if e.Kind == event.KindRemoved {
		s.output.Forget(e.Replica)
	}
}

// outputLost takes note of lines of a replica's output that were dropped.
// It may have been removed by then.
func (s *Supervisor) outputLost(replica, group string, n uint64) {
	if r := s.set.find(replica); r != nil {
		r.lost.Add(n)
	}
	s.emit(event.Event{Kind: event.KindOutputLost, Replica: replica, Group: group, Lost: n})
}

func (s *Supervisor) guardianLost(err error) {
	s.emit(event.Event{Kind: event.KindGuardianLost, Err: err})
}
