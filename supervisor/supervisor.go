// Package supervisor keeps commands running on one machine: it launches each
// as a process, relaunches those that exit, and leaves none behind, however it
// ends itself. It knows nothing about what the commands do.
//
// Use it to embed supervision in a program; the command in cmd/supervisor adds a
// cluster file, logs and metrics, and package control a gRPC service. It is not
// for goroutines, nor for processes on several machines.
//
// What it is to run is described by package spec, what it runs by package status.
// The package prints and logs nothing: it reports events, see package event, and
// delivers complete lines of output. What follows an exit is decided by
// [restart.Policy.Next], a pure function.
package supervisor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/output"
	"example.com/crashlab/supervisor/internal/probe"
	"example.com/crashlab/supervisor/internal/replicas"
	"example.com/crashlab/supervisor/spec"
)

const defaultMaxStarting = 16

// Config says what a [Supervisor] runs, and where it reports events and output.
type Config struct {
	Groups []spec.Group // what runs at first; at least one

	// Stay keeps Run going while no replica runs or waits for a relaunch, as a
	// command may start one. Run then returns by itself only when all replicas
	// are finished (see status.StateFinished).
	Stay bool

	// MaxStarting bounds how many replicas are between launch and ready at a
	// time; the others wait for their turn. One that takes longer than a second
	// no longer counts. For launches that a command asked for there are as many
	// turns more. Zero: 16. Negative: an error.
	MaxStarting int

	// Health asks the server at addr whether the service serves, and returns nil
	// if so. Probes of kind ProbeGRPC call it, for several replicas at the same
	// time. A call must return soon after ctx has ended. Nil: such probes are an
	// error.
	Health func(ctx context.Context, addr, service string) error

	// DialTLS connects to a replica by TLS. Probes of kind ProbeHTTP call it, for
	// several replicas at the same time, and ask by HTTPS. A call must return soon
	// after ctx has ended. Nil: they ask by HTTP.
	DialTLS func(ctx context.Context, network, addr string) (net.Conn, error)

	// OnEvent receives events, one call at a time, in order. It may block: later
	// events then wait in memory, without bound, and Run returns only after the
	// last call. Nil: events can be read by Watch only.
	OnEvent func(event.Event)

	// OnOutput receives what replicas write to stdout and stderr: one or more
	// whole lines, each with its newline. Lines above 1 MiB come in pieces of
	// 1 MiB. The bytes are valid during the call only. Calls for one replica come
	// one at a time; those for different replicas overlap. A call that blocks
	// delays the lines of its own replica and nothing else: up to 1 MiB of them
	// waits, and beyond that the replica's Overflow applies. At its end Run waits
	// until all lines are taken, but drops the rest once none was taken for 5 s.
	// Dropped lines are counted in Status.Lost and in events of kind
	// event.KindOutputLost. Nil: lines can be read by Output only.
	OnOutput func(replica string, lines []byte)

	// Guardian is a command that calls [Guard] with its stdin. Should the
	// supervisor's process be killed, it kills the replicas and all that they
	// started. It is replaced when it ends or hangs. On systems other than Linux
	// it kills only what is still in the replicas' process groups. Empty: there
	// is none. Then, on Linux, the parent-death signal still kills each replica's
	// first process, but not the processes that it started, and an empty control
	// group stays; on other systems nothing is killed.
	Guardian []string

	noParentDeathSignal bool   // for tests that the guardian works alone
	noCgroup            bool   // for tests that no control group is needed
	waits               *waits // nil: the usual ones
}

// Supervisor runs replicas. It runs once; its other methods may be called at
// any time, by any goroutine.
//
// A replica is one process at a time, which leads its own process group and has
// an empty stdin. When it has ended, the processes that it started get its
// StopSignal, and SIGKILL after its StopTimeout; the relaunch, and the end of
// Run, come after that.
//
// Processes that left the group (setsid, daemons) are found on Linux only. They
// are in a control group (version 2) below that of our process, if one can be
// made. Otherwise they are found by SUPERVISOR_ID in their environment: those that
// have cleared it are missed, and so are those of other users, unless we may look
// at them (CAP_SYS_PTRACE). In that case, and as process 1, our process is a
// subreaper while Run runs, and reaps orphans. Children that the program around
// us starts by other means than package os must then not be started by its first
// thread.
type Supervisor struct {
	config  Config
	used    atomic.Bool // Run was called
	killed  context.Context
	kill    context.CancelFunc
	journal event.Journal
	output  *output.Hub
	set     replicas.Set
}

// New returns a Supervisor, which launches nothing before [Supervisor.Run]. It
// returns an error that names the value that is out of range.
func New(c Config) (*Supervisor, error) {
	switch err := replicas.Check(c.Groups, c.Health != nil); {
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

// Run launches all replicas in order and keeps them running until ctx ends. Then
// it launches nothing more and stops all, as [Supervisor.Stop] does. It returns
// nil when the last process has ended and the last line and event were delivered.
// It does so too, unless Stay, when no replica runs or will be launched again. It
// returns an error only before anything was launched: if the guardian cannot be
// started, or for a second call.
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

// Kill sends SIGKILL to all replicas, whether or not Run is already stopping them,
// and makes Run return. It does not wait. Calls after the first do nothing.
func (s *Supervisor) Kill() { s.kill() }

// run drives the replicas on the given system until the last one has ended.
func (s *Supervisor) run(ctx context.Context, sys replicas.System) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.killed, cancel)()
	s.set.Open(ctx, replicas.Config{
		System: sys, MaxStarting: cmp.Or(s.config.MaxStarting, defaultMaxStarting),
		Asker: probe.NewAsker(s.config.Health, s.config.DialTLS), Emit: s.emit, Killed: s.killed,
	}, s.config.Groups)
	for s.set.Busy(s.config.Stay) {
		select {
		case <-s.set.Idled():
			continue
		case <-ctx.Done():
		}
		break
	}
	cancel()
	s.set.Close()
}

func (s *Supervisor) emit(e event.Event) {
	s.journal.Add(e, s.config.OnEvent)
	if e.Kind == event.KindRemoved {
		s.output.Forget(e.Replica)
	}
}

// outputLost counts and reports dropped lines of a replica, which may have been
// removed by then.
func (s *Supervisor) outputLost(replica, group string, n uint64) {
	s.set.Lost(replica, n)
	s.emit(event.Event{Kind: event.KindOutputLost, Replica: replica, Group: group, Lost: n})
}

func (s *Supervisor) guardianLost(err error) {
	s.emit(event.Event{Kind: event.KindGuardianLost, Err: err})
}
