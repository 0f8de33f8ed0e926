package supervisor

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

var (
	seed  = flag.Uint64("seed", 0, "seed of the random schedules; 0 draws one")
	steps = flag.Int("steps", 1000, "number of steps of a random schedule")
)

// schedule performs random commands on a supervisor, and random signals to its processes.
type schedule struct {
	*rand.Rand
	t       *testing.T
	config  *Config
	s       *Supervisor // set when it runs
	group   func(count int, p restart.Policy, version int) spec.Group
	count   int
	policy  restart.Policy
	version int
	down    map[string]bool // names of replicas that a command has stopped
}

func (c *schedule) step() {
	ctx := c.t.Context()
	names := c.names()
	name := names[c.IntN(len(names))]
	check := func(err error) {
		c.t.Helper()
		if err != nil {
			c.t.Fatal(err)
		}
	}
	switch c.IntN(9) {
	case 0, 1:
		_ = c.s.Signal(syscall.SIGKILL, name) // it may have no process at the moment
	case 2:
		_ = c.s.Signal(syscall.SIGSTOP, name)
	case 3:
		check(c.s.Stop(ctx, name))
		c.down[name] = true
	case 4:
		check(c.s.Start(name))
		delete(c.down, name)
	case 5:
		check(c.s.Restart(ctx, name))
		delete(c.down, name)
	case 6:
		c.count = 1 + c.IntN(5)
		check(c.s.Scale(ctx, "g", c.count))
		for name := range c.down {
			if !slices.Contains(c.names(), name) {
				delete(c.down, name)
			}
		}
	case 7:
		c.policy.Delay = time.Duration(c.IntN(20)) * ms
		check(c.s.SetPolicy(ctx, "g", c.policy))
	case 8:
		c.version = c.IntN(3)
		check(c.s.Apply(ctx, []spec.Group{c.group(c.count, c.policy, c.version)}))
	}
}

func (c *schedule) names() []string {
	var names []string
	for i := range c.count {
		names = append(names, string(rune('a'+i)))
	}
	return names
}

// settled returns an error unless the replicas are as the commands require.
func (c *schedule) settled() error {
	all := c.s.List()
	if len(all) != c.count {
		return fmt.Errorf("%d replicas, want %d", len(all), c.count)
	}
	for i, s := range all {
		want := status.StateReady
		if c.down[s.Replica] {
			want = status.StateStopped
		}
		if s.Replica != c.names()[i] || s.State != want || s.Policy != c.policy {
			return fmt.Errorf("replica %s is %v with %+v; want %s %v with %+v", s.Replica, s.State, s.Policy, c.names()[i], want, c.policy)
		}
	}
	return nil
}

// account checks the events of a whole run: there is one exit for each launch, incarnations and
// sequence numbers have no gaps, and a replica has events only between its added and removed
// events.
func account(t *testing.T, events []event.Event) {
	t.Helper()
	type replica struct {
		added       bool
		incarnation int
		pid         int
	}
	replicas := make(map[string]*replica)
	for i, e := range events {
		if e.Sequence != uint64(i+1) {
			t.Fatalf("event %d has the number %d", i+1, e.Sequence)
		}
		if e.Kind == event.KindAdded && replicas[e.Replica] == nil {
			replicas[e.Replica] = new(replica)
		}
		r := replicas[e.Replica]
		bad := r == nil
		switch {
		case bad:
		case e.Kind == event.KindAdded:
			bad = r.added
			*r = replica{added: true}
		case e.Kind == event.KindLaunched, e.Kind == event.KindLaunchFailed:
			bad = r.pid != 0 || e.Incarnation != r.incarnation+1
			r.incarnation, r.pid = e.Incarnation, e.PID
		case e.Kind == event.KindExited:
			bad = r.pid == 0 || e.PID != r.pid || e.Incarnation != r.incarnation
			r.pid = 0
		case e.Kind == event.KindRemoved:
			bad = r.pid != 0
			r.added = false
		default:
			bad = e.PID != r.pid || e.Incarnation != r.incarnation
		}
		if bad || !r.added && e.Kind != event.KindRemoved {
			t.Fatalf("event %d does not follow: %+v", i+1, e)
		}
	}
	for name, r := range replicas {
		if r.added || r.pid != 0 {
			t.Errorf("replica %s was not removed, or has no exit: %+v", name, r)
		}
	}
}

func newSchedule(t *testing.T, group func(int, restart.Policy, int) spec.Group) *schedule {
	n := *seed
	if n == 0 {
		n = rand.Uint64()
	}
	t.Logf("-seed %d", n)
	return &schedule{
		Rand: rand.New(rand.NewPCG(n, 1)), t: t, group: group, count: 3, down: make(map[string]bool),
		config: of(group(3, restart.Policy{}, 0)),
	}
}

func TestRandomSchedule(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newSchedule(t, func(count int, p restart.Policy, version int) spec.Group {
			return group(count, p, func(r *spec.Replica) {
				r.Addr, r.Args = "a:1", []string{"service", fmt.Sprint(version)}
				r.Alive = spec.Probe{Kind: spec.ProbeGRPC, Period: 100 * ms}
			})
		})
		c.config.Health = func(context.Context, string, string) error { return nil }
		sim := simulate(t, c.config, &fakeSystem{lag: ms, each: func(s *fakeSystem, _ spec.Replica, n int) { s.deaf = n%3 == 0 }})
		c.s = sim.Supervisor
		for range *steps {
			c.step()
			time.Sleep(time.Duration(c.IntN(50)) * ms)
		}
		sim.at(time.Since(sim.start) + time.Second)
		if err := c.settled(); err != nil {
			t.Error(err)
		}
		sim.stop()
		<-sim.ended
		account(t, sim.events)
	})
}
