// Package supervisor keeps commands running on one machine: it launches each
// as a process, relaunches those that exit, and leaves none behind, however it
// ends itself. It knows nothing about what the commands do.
//
// What happens is told by events and complete lines of output; nothing is
// printed or logged here. What to do after an exit is decided by [Policy.Next],
// a pure function.
package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// defaultStopTimeout suits servers that drain calls of a few seconds, and is
// half of the 10 s that container runtimes grant the supervisor itself.
const defaultStopTimeout = 5 * time.Second

// Replica is one command to keep running, as one process at a time.
type Replica struct {
	Name string   // in events; unique within a Supervisor, not empty
	Args []string // the program, looked up in PATH unless it has a slash, then its arguments
	Env  []string // "KEY=value" each; nil: inherit. INCARNATION is set by the supervisor
	Dir  string   // working directory, also for a relative program path; empty: inherit
}

// Supervisor runs replicas. Fields must not change once [Supervisor.Run] was
// called. It runs once.
//
// A replica is its process: each leads its own process group, stdin is empty,
// and what the group still holds when the leader has ended is killed. Only
// processes that left the group (setsid) outlive their replica.
type Supervisor struct {
	Replicas []Replica // at least one
	Policy   Policy    // what happens after an exit; zero: always relaunch, at once

	// StopTimeout is the time from SIGTERM to SIGKILL when replicas are
	// stopped. Zero: 5 s. Negative: an error.
	StopTimeout time.Duration

	// OnEvent is told what happens, one call at a time, in order for each
	// replica. Supervision waits for it, so it must not block or call Run.
	// Nil: nobody is told.
	OnEvent func(Event)

	// OnOutput gets what replicas write to stdout and stderr, line by line
	// without the newline, one call at a time. Lines above 1 MiB come in
	// pieces of 1 MiB. The line is valid during the call only. While it
	// blocks, replicas block in their writes, but are supervised all the same.
	// What a process leaves in its pipe is read for at most 250 ms after its
	// exit. Nil: output is discarded.
	OnOutput func(replica string, line []byte)

	// Guardian is a command whose process runs [Guard] on its stdin. It kills
	// the replicas should the supervisor's process be killed. Empty: none;
	// Linux's parent-death signal then still kills each replica's process, but
	// not the processes it started, and other systems kill nothing.
	Guardian []string

	noParentDeathSignal bool // tests prove with it that the guardian works alone

	used   atomic.Bool // Run was called
	setup  sync.Once
	kill   sync.Once
	killed chan struct{} // closed by Kill; use through killing

	events sync.Mutex // held while OnEvent runs
	output sync.Mutex // held while OnOutput runs
}

// Run launches all replicas in their order and keeps them running until ctx
// ends, then stops them: in their order each process group gets SIGTERM, and
// SIGKILL when its leader is still there after StopTimeout. After ctx has
// ended nothing is launched. Run returns nil when the last process has ended
// and the last line was delivered; also when the policy gave all replicas up.
// It returns an error only before anything was launched: for fields out of
// range, a guardian that cannot be started, or a second call.
func (s *Supervisor) Run(ctx context.Context) error {
	if err := s.check(); err != nil {
		return err
	}
	m, err := newMachine(s)
	if err != nil {
		return err
	}
	defer m.close()
	s.run(ctx, m)
	return nil
}

// Kill ends all replicas with SIGKILL and makes Run return: at once when Run
// is already stopping them, and in place of an orderly stop when it is not. It
// does not wait. Calls after the first change nothing.
func (s *Supervisor) Kill() {
	killed := s.killing()
	s.kill.Do(func() { close(killed) })
}

func (s *Supervisor) killing() chan struct{} {
	s.setup.Do(func() { s.killed = make(chan struct{}) })
	return s.killed
}

func (s *Supervisor) check() error {
	switch {
	case s.used.Swap(true):
		return errors.New("supervisor: Run was called before")
	case len(s.Replicas) == 0:
		return errors.New("supervisor: no replicas: want at least one")
	case s.StopTimeout < 0:
		return fmt.Errorf("supervisor: stop timeout %v: want 0 (the default, %v) or more", s.StopTimeout, defaultStopTimeout)
	case s.Policy.Delay < 0:
		return fmt.Errorf("supervisor: restart delay %v: want 0 or more", s.Policy.Delay)
	}
	names := make(map[string]bool)
	for i, r := range s.Replicas {
		switch {
		case r.Name == "":
			return fmt.Errorf("supervisor: replica %d has no name", i)
		case names[r.Name]:
			return fmt.Errorf("supervisor: replica name %q is used twice", r.Name)
		case len(r.Args) == 0:
			return fmt.Errorf("supervisor: replica %q has no command", r.Name)
		}
		names[r.Name] = true
	}
	return nil
}

// run drives the replicas on the given system until the last one has ended.
func (s *Supervisor) run(ctx context.Context, sys system) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var loops, killer sync.WaitGroup
	killer.Go(func() {
		select {
		case <-s.killing():
			cancel()
		case <-ctx.Done():
		}
	})
	turn := make(chan struct{})
	close(turn) // nobody is before the first replica
	for _, r := range s.Replicas {
		begun, told := make(chan struct{}), make(chan struct{})
		l := &loop{
			replica: r, policy: s.Policy, stopTimeout: s.stopTimeout(),
			sys: sys, emit: s.emit, killed: s.killing(),
			begun: sync.OnceFunc(func() { close(begun) }),
			turn:  turn, pass: sync.OnceFunc(func() { close(told) }),
		}
		loops.Go(func() { l.run(ctx) })
		<-begun
		turn = told
	}
	loops.Wait()
	cancel()
	killer.Wait()
}

func (s *Supervisor) stopTimeout() time.Duration {
	if s.StopTimeout == 0 {
		return defaultStopTimeout
	}
	return s.StopTimeout
}

func (s *Supervisor) emit(e Event) {
	if s.OnEvent == nil {
		return
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	s.events.Lock()
	defer s.events.Unlock()
	s.OnEvent(e)
}

func (s *Supervisor) deliver(replica string, line []byte) {
	if s.OnOutput == nil {
		return
	}
	s.output.Lock()
	defer s.output.Unlock()
	s.OnOutput(replica, line)
}
