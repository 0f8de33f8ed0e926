package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// Until it is restarted, a replica is probed at its old address.
func TestProbesFollowTheProcess(t *testing.T) {
	bubble(t, func(t *testing.T) {
		version := func(n int) []spec.Group {
			return []spec.Group{group(2, restart.Policy{}, notice, func(r *spec.Replica) {
				r.Addr = fmt.Sprintf("%s:%d", r.Name, n)
				r.Alive = spec.Probe{Kind: spec.ProbeGRPC, Period: time.Duration(n) * 100 * ms}
			})}
		}
		s := of(version(1)...)
		var serves sync.Map
		s.Health = func(_ context.Context, addr, _ string) error {
			if at, _ := serves.Load(addr[:1]); at != addr {
				return errors.New("no process serves at " + addr)
			}
			return nil
		}
		sim := simulate(t, s, &fakeSystem{ready: 5 * time.Second, each: func(_ *fakeSystem, r spec.Replica, _ int) { serves.Store(r.Name, r.Addr) }})
		sim.at(6 * time.Second)
		sim.takeEvents()
		applied := failure(func() error { return sim.Apply(t.Context(), version(2)) })
		if s, _ := sim.Get("b"); s.Addr != "b:1" {
			t.Errorf("b has the address %s before its restart", s.Addr)
		}
		if err := <-applied; err != nil {
			t.Error(err)
		}
		if s, _ := sim.Get("b"); s.Addr != "b:2" {
			t.Errorf("b has the address %s", s.Addr)
		}
		expect(t, sim.takeEvents(event.KindChanged, event.KindExited), "6s stopping a/1", "6s launched a/2", "11s ready a/2",
			"11s stopping b/1", "11s launched b/2", "16s ready b/2")
	})
}

// A changed probe is used at once for a replica that is starting.
func TestReadyProbeChangesWhileStarting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		probed := func(service string, timeout time.Duration) spec.Group {
			return group(1, restart.Policy{}, func(r *spec.Replica) {
				r.Addr, r.StartTimeout = "a:1", timeout
				r.Ready = spec.Probe{Kind: spec.ProbeGRPC, Service: service}
			})
		}
		s := of(probed("wrong", 0))
		s.Health = func(_ context.Context, _, service string) error {
			if service != "right" {
				return errors.New("unknown service")
			}
			return nil
		}
		sim := simulate(t, s, &fakeSystem{})
		sim.at(10 * time.Second)
		want(t, sim.states(), "a starting")
		if err := sim.Apply(t.Context(), []spec.Group{probed("right", 0)}); err != nil {
			t.Error(err)
		}
		expect(t, sim.takeEvents(event.KindAdded), "0s launched a/1", "10s changed a/1", "10s ready a/1")
		if err := sim.Apply(t.Context(), []spec.Group{probed("wrong", time.Minute)}); err != nil {
			t.Error(err)
		}
		if err := sim.Restart(t.Context()); err != nil {
			t.Error(err)
		}
		if err := sim.Apply(t.Context(), []spec.Group{probed("wrong", 0)}); err != nil {
			t.Error(err)
		}
		sim.at(15 * time.Second)
		if err := sim.Apply(t.Context(), []spec.Group{probed("wrong", 6*time.Second)}); err != nil {
			t.Error(err)
		}
		if err := sim.Apply(t.Context(), []spec.Group{probed("wrong", 0)}); err != nil {
			t.Error(err)
		}
		sim.at(20 * time.Second)
		// The start timeout was removed.
		expect(t, sim.takeEvents(event.KindChanged, event.KindLaunched, event.KindStopping, event.KindExited, event.KindStillStarting))
		if err := sim.Apply(t.Context(), []spec.Group{probed("wrong", 15*time.Second)}); err != nil {
			t.Error(err)
		}
		sim.at(26 * time.Second) // the timeout counts from the launch, not from the change
		expect(t, sim.takeEvents(event.KindStillStarting), "20s changed a/2", "25s unhealthy a/2", "25s killed a/2", "25s exited a/2", "25s launched a/3")
	})
}

// The count of failures of the liveness probe is reset if the probe changes, and only then.
func TestAliveProbeChangesWhileRunning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		asked := func(stop time.Duration, alive spec.Probe) []spec.Group {
			return []spec.Group{group(1, restart.Policy{}, func(r *spec.Replica) { r.Addr, r.StopTimeout, r.Alive = "a:1", stop, alive })}
		}
		s := of(asked(1, spec.Probe{})...)
		s.Health = func(_ context.Context, _, service string) error { return errors.New("not " + service) }
		sim := simulate(t, s, &fakeSystem{})
		sim.at(time.Minute)
		sim.takeEvents()
		for i, groups := range [][]spec.Group{
			asked(1, spec.Probe{Kind: spec.ProbeGRPC, Service: "x"}), asked(2, spec.Probe{Kind: spec.ProbeGRPC, Service: "x"}), asked(2, spec.Probe{}),
			asked(2, spec.Probe{Kind: spec.ProbeGRPC, Service: "y"}),
		} {
			sim.at(time.Minute + time.Duration(i)*1100*ms)
			if err := sim.Apply(t.Context(), groups); err != nil {
				t.Error(err)
			}
		}
		sim.at(time.Minute + 3*1100*ms + 3*time.Second)
		expect(t, sim.takeEvents(event.KindChanged, event.KindKilled), "1m6s unhealthy a/1", "1m6s exited a/1", "1m6s launched a/2", "1m6s ready a/2")
		if err := sim.Apply(t.Context(), asked(3, spec.Probe{Kind: spec.ProbeGRPC, Service: "y"})); err != nil {
			t.Error(err)
		}
		sim.at(time.Minute + 3*1100*ms + 5500*ms)
		if err := sim.Apply(t.Context(), asked(4, spec.Probe{Kind: spec.ProbeGRPC, Service: "y"})); err != nil {
			t.Error(err)
		}
		sim.at(time.Minute + 3*1100*ms + 6*time.Second)
		expect(t, sim.takeEvents(event.KindChanged, event.KindKilled), "1m9s unhealthy a/2", "1m9s exited a/2", "1m9s launched a/3", "1m9s ready a/3")
	})
}
