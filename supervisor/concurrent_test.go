package supervisor

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

// crowd is several people who command one supervisor without coordination.
type crowd struct {
	t        *testing.T
	s        *Supervisor
	newGroup func(count int, p restart.Policy, version int) spec.Group
}

// person issues random commands with short timeouts.
func (c *crowd) person(r *rand.Rand, commands int) {
	for range commands {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+r.IntN(100))*ms)
		name := string(rune('a' + r.IntN(5)))
		if r.IntN(4) == 0 {
			name = "g"
		}
		p := restart.Policy{Delay: time.Duration(r.IntN(20)) * ms, Limit: restart.Limit{Exits: r.IntN(3), Then: restart.Escalation(r.IntN(3))}}
		count, version := 1+r.IntN(5), r.IntN(3)
		commands := []func() error{
			func() error { return c.s.Start(name) },
			func() error { return c.s.Stop(ctx, name) },
			func() error { return c.s.Restart(ctx, name) },
			func() error { return c.s.RollingRestart(ctx, name) },
			func() error { return c.s.Signal(syscall.SIGKILL, name) },
			func() error { return c.s.Scale(ctx, "g", count) },
			func() error { return c.s.SetPolicy(ctx, "g", p) },
			func() error { return c.s.Apply(ctx, []spec.Group{c.newGroup(count, p, version)}) },
		}
		n := r.IntN(len(commands))
		if err := commands[n](); err != nil && !expected(err) {
			c.t.Errorf("command %d to %s: %v", n, name, err)
		}
		for _, s := range c.s.List() {
			if s.State < status.StateWaiting || (s.PID != 0) != (s.State == status.StateStarting || s.State == status.StateReady || s.State == status.StateStopping) {
				c.t.Errorf("impossible status: %+v", s)
			}
		}
		cancel()
		time.Sleep(time.Duration(r.IntN(20)) * ms)
	}
}

// expected reports whether concurrent commands may cause the error.
func expected(err error) bool {
	for _, want := range []error{ErrUnknown, ErrNotRunning, ErrNotReady, ErrSuperseded, context.DeadlineExceeded} {
		if errors.Is(err, want) {
			return true
		}
	}
	return errors.Is(err, errNoLuck)
}

var errNoLuck = errors.New("no luck")

// settled checks that the replicas are those of the current group, that all are ready, and that no
// command or slot is pending.
func (c *crowd) settled() {
	c.t.Helper()
	all := c.s.List()
	if n := c.s.Current()[0].Count; n != len(all) {
		c.t.Errorf("%d replicas, want %d", len(all), n)
	}
	for i, s := range all {
		if s.Replica != string(rune('a'+i)) || s.State != status.StateReady || s.Policy != c.s.Current()[0].Policy {
			c.t.Errorf("replica %d is %+v, want it ready with policy %+v", i, s, c.s.Current()[0].Policy)
		}
	}
	if n := c.s.set.Pending(); n > 0 {
		c.t.Errorf("%d commands and slots are pending, want none", n)
	}
}

// With concurrent commands, the last one wins, and the supervisor stays consistent.
func TestConcurrentCommands(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := *seed
		if n == 0 {
			n = rand.Uint64()
		}
		t.Logf("-seed %d", n)
		newGroup := func(count int, p restart.Policy, version int) spec.Group {
			return group(count, p, func(r *spec.Replica) {
				r.Addr, r.Args, r.StopTimeout = "a:1", []string{"service", fmt.Sprint(version)}, 50*ms
				r.Ready = spec.Probe{Kind: []spec.ProbeKind{spec.ProbeNone, spec.ProbeNotify, spec.ProbeGRPC}[version]}
				r.Alive = spec.Probe{Kind: spec.ProbeGRPC, Period: 10 * ms}
			})
		}
		s := of(newGroup(3, restart.Policy{}, 0))
		s.MaxStarting = 2
		s.Health = func(context.Context, string, string) error { return nil }
		sim := simulate(t, s, &fakeSystem{lag: ms, ready: 5 * ms, each: func(s *fakeSystem, _ spec.Replica, n int) {
			s.deaf = n%3 == 0
			if n%7 == 0 {
				s.lives = 3 * ms
			}
			if n%11 == 0 {
				s.err = errNoLuck
			}
		}})
		c := &crowd{t, sim.Supervisor, newGroup}
		var people sync.WaitGroup
		for i := range uint64(5) {
			people.Go(func() { c.person(rand.New(rand.NewPCG(n, i)), *steps/10) })
		}
		people.Wait()
		err := ErrNotReady
		for try := 0; try < 10 && errors.Is(err, ErrNotReady); try++ { // a launch may have failed on purpose
			err = sim.SetPolicy(t.Context(), "g", restart.Policy{})
		}
		if err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second) // until the last stops have ended
		for range 2 {           // the first attempt may be one of the launches that fail on purpose
			if err := sim.Start(); err != nil {
				t.Error(err)
			}
			time.Sleep(3 * time.Second)
		}
		c.settled()

		// Run ends while commands are in progress, and none of them waits forever.
		var late sync.WaitGroup
		for range 3 {
			late.Go(func() { _ = sim.Restart(context.Background()) })
			late.Go(func() { _ = sim.Scale(context.Background(), "g", 1+rand.IntN(5)) })
			late.Go(func() { _ = sim.RollingRestart(context.Background()) })
			late.Go(func() { _ = sim.Stop(context.Background()) })
		}
		if n%2 == 0 {
			sim.Kill()
		} else {
			sim.stop()
		}
		<-sim.ended
		late.Wait()
		account(t, sim.events)
	})
}

func TestScaleIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		g := group(2, restart.Policy{})
		g.Max = 3
		sim := simulate(t, of(g), &fakeSystem{})
		if err := sim.Scale(t.Context(), "g", 4); err == nil || !strings.Contains(err.Error(), "4 replicas: want 3 or less") {
			t.Errorf("got %v", err)
		}
		want(t, sim.states(), "a ready, b ready")
		if err := sim.Scale(t.Context(), "g", 3); err != nil {
			t.Error(err)
		}
		want(t, sim.states(), "a ready, b ready, c ready")
	})
}

// A change whose context has ended has no effect: another change may have been made since.
func TestChangeThatWasGivenUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{})), &fakeSystem{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 { // the lock is free and ctx has ended, so that select could choose either
			if err := sim.Scale(ctx, "g", 2); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		}
		want(t, sim.states(), "a ready")
		if err := sim.Scale(t.Context(), "g", 2); err != nil {
			t.Error(err)
		}
	})
}
