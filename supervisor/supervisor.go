// Package supervisor keeps commands running on one machine. It launches each command as a process,
// relaunches it when it exits, and leaves no process behind, however the supervisor itself ends.
// What the commands do is their own affair.
//
// Use it to embed supervision in a program. The program in cmd/supervisor adds a cluster file, logs
// and metrics; package control adds a gRPC service and gRPC health probes. The package does not
// supervise goroutines, nor processes on other machines.
//
// Package spec describes what to run, package status what is running, package event what has
// happened, and package restart what follows an exit. The package prints and logs nothing: it
// reports events and delivers the output of the replicas as whole lines.
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

// Config configures a [Supervisor].
type Config struct {
	Groups []spec.Group // what to run at first; at least one group

	// Stay keeps Run going while no replica runs or waits for a relaunch, because a command may
	// start one. Run then returns by itself only when all replicas are finished (see
	// status.StateFinished).
	Stay bool

	// MaxStarting limits how many replicas may be between launch and ready at a time. The others
	// wait. A replica that takes longer than 1 s no longer counts. Launches requested by a command
	// have as many slots again to themselves. Zero means 16; a negative value is an error.
	MaxStarting int

	// Health reports whether a service serves: it asks the server at addr, and returns nil if the
	// answer is yes. Probes of kind ProbeGRPC call it, concurrently for different replicas. It must
	// return soon after ctx has ended. If it is nil, New rejects such probes.
	Health func(ctx context.Context, addr, service string) error

	// DialTLS connects to a replica over TLS. With it, probes of kind ProbeHTTP use HTTPS, and call
	// it concurrently for different replicas. It must return soon after ctx has ended. If it is
	// nil, those probes use HTTP.
	DialTLS func(ctx context.Context, network, addr string) (net.Conn, error)

	// OnEvent receives all events in order, one call at a time. It may block: later events then
	// wait in memory, without a limit, and Run returns only after the last call. If it is nil,
	// events can be read with Watch only.
	OnEvent func(event.Event)

	// OnOutput receives what replicas write to stdout and stderr: one or more whole lines, each
	// with its newline. A line longer than 1 MiB arrives in pieces of 1 MiB. The bytes are valid
	// only during the call. There is one call at a time for each replica; calls for different
	// replicas overlap. A call that blocks delays only the lines of its own replica: up to 1 MiB of
	// them is queued, and beyond that the replica's Overflow applies.
	//
	// Before it returns, Run waits until all lines are delivered, but drops the rest once none has
	// been delivered for 5 s. Dropped lines are counted in Status.Lost and reported as
	// event.KindOutputLost. If OnOutput is nil, lines can be read with Output only.
	OnOutput func(replica string, lines []byte)

	// Guardian is the command of a program that calls [Guard] with its standard input. If the
	// supervisor's process is killed, the guardian kills the replicas and all their descendants. It
	// is replaced if it ends or hangs. On systems other than Linux it kills only what is still in
	// the replicas' process groups.
	//
	// If Guardian is empty, there is none. On Linux the parent-death signal then still kills the
	// first process of each replica, but not its descendants, and an empty control group remains.
	// On other systems nothing is killed.
	Guardian []string

	noParentDeathSignal bool   // for tests of the guardian alone
	noCgroup            bool   // for tests without control groups
	waits               *waits // nil: the defaults
}

// Supervisor runs replicas. It can run only once. Its other methods may be called at any time, by
// any goroutine.
//
// A replica is one process at a time, the leader of its own process group, with an empty standard
// input. When that process has ended, the processes that it started get the replica's StopSignal,
// and SIGKILL after its StopTimeout. Only then is the replica relaunched, or may Run return.
//
// Processes that left the group (by setsid, such as daemons) are found on Linux only. They are in a
// control group (version 2) below that of the supervisor's process, if one can be created.
// Otherwise they are recognized by SUPERVISOR_ID in their environment, which misses those that
// cleared it and, without CAP_SYS_PTRACE, those of other users. In that case, and as process 1, the
// supervisor's process is a subreaper while Run runs, and reaps orphans: the rest of the program
// must then start child processes with package os only, or from a thread other than the first.
type Supervisor struct {
	config  Config
	used    atomic.Bool // Run was called
	killed  context.Context
	kill    context.CancelFunc
	journal event.Journal
	output  *output.Hub
	set     replicas.Set
}

// New returns a Supervisor for c. It launches nothing before [Supervisor.Run]. The error names the
// first value that is out of range.
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

// Run launches all replicas in order and keeps them running until ctx ends. It then stops them as
// [Supervisor.Stop] does, and returns nil when the last process has ended and the last line and
// event have been delivered. Unless Config.Stay is set, it also returns nil when no replica runs or
// will be launched again. It returns an error only if nothing was launched: the guardian cannot be
// started, or Run was called before.
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

// Kill sends SIGKILL to all replicas, whether or not Run is already stopping them, and makes Run
// return. It does not wait. Further calls do nothing.
func (s *Supervisor) Kill() { s.kill() }

// run drives the replicas on sys until the last one has ended.
func (s *Supervisor) run(ctx context.Context, sys replicas.System) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.killed, cancel)()
	s.set.Open(ctx, replicas.Config{
		System: sys, MaxStarting: cmp.Or(s.config.MaxStarting, defaultMaxStarting),
		Prober: probe.NewProber(s.config.Health, s.config.DialTLS), Emit: s.emit, Killed: s.killed,
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

// outputLost counts and reports dropped lines of a replica, which may have been removed meanwhile.
func (s *Supervisor) outputLost(replica, group string, n uint64) {
	s.set.Lost(replica, n)
	s.emit(event.Event{Kind: event.KindOutputLost, Replica: replica, Group: group, Lost: n})
}

func (s *Supervisor) guardianLost(err error) {
	s.emit(event.Event{Kind: event.KindGuardianLost, Err: err})
}
