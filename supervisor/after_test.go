package supervisor

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// ordered configures a database, a job that ends by itself, and a service that starts after both.
func ordered(jobCode int) (*Config, *fakeSystem) {
	named := func(name string, p restart.Policy, after ...string) spec.Group {
		return spec.Group{Name: name, Count: 1, Policy: p, After: after, Replica: func(int) spec.Replica {
			r := spec.Replica{Name: name[:1], Args: []string{name}}
			if name == "database" {
				notice(&r)
			}
			return r
		}}
	}
	sys := &fakeSystem{lag: time.Second, each: func(s *fakeSystem, r spec.Replica, incarnation int) {
		switch r.Name {
		case "d":
			s.ready = time.Second
		case "j":
			s.lives, s.code = 2*time.Second, jobCode
		}
	}}
	return of(
		named("service", restart.Policy{}, "database", "job"),
		named("database", restart.Policy{}),
		named("job", restart.Policy{Mode: restart.ModeNever}),
	), sys
}

func TestAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, sys := ordered(0)
		sim := simulate(t, c, sys)
		want(t, sim.states(), "s waiting, d starting, j ready")
		if s, _ := sim.Get("s"); s.Blocker != "database" {
			t.Errorf("blocker %q", s.Blocker)
		}
		sim.at(time.Second)
		synctest.Wait()
		if s, _ := sim.Get("s"); s.Blocker != "job" {
			t.Errorf("blocker %q", s.Blocker)
		}
		sim.at(10 * time.Second)
		expect(t, sim.takeEvents(event.KindAdded), "0s launched d/1", "0s launched j/1", "0s ready j/1", "1s ready d/1",
			"2s exited j/1", "3s finished j/1", "3s launched s/1", "3s ready s/1")
		if s, _ := sim.Get("s"); s.Blocker != "" {
			t.Errorf("blocker %q while it runs", s.Blocker)
		}

		// Restarts and relaunches do not wait.
		if err := sim.Stop(t.Context(), "database"); err != nil {
			t.Error(err)
		}
		if err := sim.Restart(t.Context(), "service"); err != nil {
			t.Error(err)
		}
		expect(t, sim.takeEvents(event.KindStopping), "10s exited d/1", "11s stopped d/1", "11s exited s/1", "12s launched s/2", "12s ready s/2")

		// A start waits until the other group is ready again.
		if err := sim.Stop(t.Context(), "service"); err != nil {
			t.Error(err)
		}
		if err := sim.Start("service"); err != nil {
			t.Error(err)
		}
		want(t, sim.states(), "s waiting, d stopped, j finished")
		if err := sim.Start("database"); err != nil {
			t.Error(err)
		}
		expect(t, sim.takeEvents(event.KindStopping), "12s exited s/2", "13s stopped s/2", "13s launched d/2")
		sim.at(14 * time.Second)
		want(t, sim.states(), "s ready, d ready, j finished")
		sim.takeEvents()

		sim.stop()
		<-sim.ended
		expect(t, sim.takeEvents(event.KindRemoved), "14s stopping s/3", "14s exited s/3", "15s stopping d/2", "15s exited d/2")
	})
}

// A replica that can never start does not keep Run from ending, nor other replicas from being
// changed.
func TestAfterAReplicaThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, sys := ordered(1)
		c.Stay = false
		sim := simulate(t, c, sys)
		sim.at(5 * time.Second)
		want(t, sim.states(), "s waiting, d ready, j finished")
		if err := sim.Scale(t.Context(), "service", 0); err != nil {
			t.Error(err)
		}
		if err := sim.Scale(t.Context(), "service", 1); err != nil {
			t.Error(err)
		}
		want(t, sim.states(), "s waiting, d ready, j finished")
		if err := sim.Stop(t.Context(), "database"); err != nil {
			t.Error(err)
		}
		<-sim.ended
	})
}

func TestAfterIsChecked(t *testing.T) {
	for _, tt := range []struct{ name, database, want string }{
		{"unknown", "cache", `group "database": after "cache": want one of the groups service, database, job`},
		{"itself", "database", `group "database": after: want others than itself`},
		{"a circle", "service", "groups service, database: after: each comes after another of them"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, _ := ordered(0)
			c.Groups[1].After = []string{tt.database}
			if _, err := New(*c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

// Run also ends if a job fails before others begin to wait for it.
func TestAfterAReplicaThatCannotBeLaunched(t *testing.T) {
	for range 3000 {
		c, sys := ordered(1)
		c.Stay = false
		c.Groups = []spec.Group{c.Groups[2], c.Groups[0]} // the job, and the group after it
		c.Groups[1].After = []string{"job"}
		sys.err = errors.New("no such program")
		s, err := New(*c)
		if err != nil {
			t.Fatal(err)
		}
		s.run(t.Context(), sys)
		s.journal.Close()
	}
}
