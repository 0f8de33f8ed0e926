package supervisor

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/process"
	"example.com/crashlab/supervisor/internal/replicas"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// bubble is synctest.Test on one processor. On two, timers of a bubble can fire at the same time.
// They share a context of the race detector, which then crashes (Go 1.26).
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	synctest.Test(t, f)
}

// fakeSystem launches fake processes. With the zero value they are ready at once and run until
// SIGTERM.
type fakeSystem struct {
	lives time.Duration // time from launch to exit; zero: until a signal
	lag   time.Duration // from the exit until it is reported
	code  int
	deaf  bool          // ignores SIGTERM
	ready time.Duration // time from launch to the notification
	mute  bool          // sends no notification
	// foreign processes belong to a user whom the supervisor may not signal.
	foreign bool
	err     error // error of the launch
	// each, if it is not nil, changes the copy of the fakeSystem that a launch uses.
	each func(s *fakeSystem, r spec.Replica, incarnation int)
}

func (s *fakeSystem) Launch(ctx context.Context, r replicas.Member, incarnation int) (replicas.Process, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	launched := *s
	if s.each != nil {
		s.each(&launched, r.Replica, incarnation)
	}
	if launched.err != nil {
		return nil, launched.err
	}
	p := &fakeProcess{replica: r.Replica, fakeSystem: launched, id: 1000 + incarnation, launched: time.Now(), end: make(chan process.End, 1), notice: make(chan struct{})}
	if launched.lives > 0 {
		time.AfterFunc(launched.lives, func() { p.exit(restart.Exit{Code: launched.code}) })
	}
	if !launched.mute {
		time.AfterFunc(launched.ready, func() { close(p.notice) })
	}
	return p, nil
}

type fakeProcess struct {
	fakeSystem
	replica    spec.Replica
	id         int
	launched   time.Time
	end        chan process.End
	notice     chan struct{}
	once       sync.Once
	stopped    bool
	terminated bool // received SIGTERM, which takes effect only while it is not stopped
}

func (p *fakeProcess) PID() int                  { return p.id }
func (p *fakeProcess) Ended() <-chan process.End { return p.end }
func (p *fakeProcess) Abandoned() <-chan int     { return nil }
func (p *fakeProcess) Holds(string) error        { return nil }

func (p *fakeProcess) Terminate(sig syscall.Signal, _ bool) {
	p.Signal(sig)
	p.Signal(syscall.SIGCONT)
}

func (p *fakeProcess) Kill() (int, error) { return 0, p.Signal(syscall.SIGKILL) }

func (p *fakeProcess) Notified() <-chan struct{} {
	if p.replica.Ready.Kind != spec.ProbeNotify {
		return nil
	}
	return p.notice
}

func (p *fakeProcess) Signal(sig syscall.Signal) error {
	if p.foreign {
		return syscall.EPERM
	}
	switch sig {
	case syscall.SIGSTOP:
		p.stopped = true
	case syscall.SIGCONT:
		p.stopped = false
	case syscall.SIGTERM:
		p.terminated = true
	case syscall.SIGKILL:
		p.exit(restart.Exit{Code: -1, Signal: sig})
	}
	if p.terminated && !p.stopped && !p.deaf {
		p.exit(restart.Exit{Code: -1, Signal: syscall.SIGTERM})
	}
	return nil
}

func (p *fakeProcess) exit(e restart.Exit) {
	now := time.Now()
	e.Uptime = now.Sub(p.launched)
	p.once.Do(func() {
		time.AfterFunc(p.lag, func() { p.end <- process.End{Code: e.Code, Signal: e.Signal, Err: e.Err, Uptime: e.Uptime, At: now} })
	})
}

// simulation is a supervisor of fake processes in a bubble, and the events that it has emitted.
type simulation struct {
	*Supervisor
	t      *testing.T
	start  time.Time
	ended  chan struct{}
	stop   context.CancelFunc
	mu     sync.Mutex
	events []event.Event
}

// simulate runs a supervisor on the system until the test ends or stop is called.
func simulate(t *testing.T, c *Config, sys replicas.System) *simulation {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	sim := &simulation{t: t, start: time.Now(), ended: make(chan struct{}), stop: stop}
	tell := c.OnEvent
	c.OnEvent = func(e event.Event) {
		sim.mu.Lock()
		sim.events = append(sim.events, e)
		sim.mu.Unlock()
		if tell != nil {
			tell(e)
		}
	}
	s, err := New(*c)
	if err != nil {
		t.Fatal(err)
	}
	sim.Supervisor = s
	go func() {
		defer close(sim.ended)
		s.run(ctx, sys)
		s.journal.Close()
	}()
	t.Cleanup(func() { stop(); <-sim.ended })
	synctest.Wait()
	return sim
}

// takeEvents removes the events so far, and returns those of kinds other than the given ones as
// "TIME KIND REPLICA/INCARNATION", where TIME counts from the start.
func (sim *simulation) takeEvents(without ...event.Kind) []string {
	synctest.Wait()
	sim.mu.Lock()
	defer sim.mu.Unlock()
	var events []string
	for _, e := range sim.events {
		if !slices.Contains(without, e.Kind) {
			events = append(events, fmt.Sprintf("%v %v %s/%d", e.Time.Sub(sim.start), e.Kind, e.Replica, e.Incarnation))
		}
	}
	sim.events = nil
	return events
}

// at waits until d after the start.
func (sim *simulation) at(d time.Duration) {
	sim.t.Helper()
	time.Sleep(time.Until(sim.start.Add(d)))
	synctest.Wait()
}

// states returns the states of the replicas, in order.
func (sim *simulation) states() string {
	synctest.Wait()
	var all []string
	for _, s := range sim.List() {
		all = append(all, fmt.Sprintf("%s %v", s.Replica, s.State))
	}
	return strings.Join(all, ", ")
}

// group returns a group of n replicas: a, b, c, and so on.
func group(n int, p restart.Policy, more ...func(*spec.Replica)) spec.Group {
	return spec.Group{Name: "g", Count: n, Policy: p, Replica: func(i int) spec.Replica {
		r := spec.Replica{Name: string(rune('a' + i)), Args: []string{"service"}}
		for _, m := range more {
			m(&r)
		}
		return r
	}}
}

func of(groups ...spec.Group) *Config { return &Config{Groups: groups, Stay: true} }

func notice(r *spec.Replica) { r.Ready.Kind = spec.ProbeNotify }

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func want(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
