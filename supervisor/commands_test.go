package supervisor

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

// failure runs a command in a goroutine, and returns a channel that receives its error.
func failure(command func() error) <-chan error {
	failed := make(chan error, 1)
	go func() { failed <- command() }()
	synctest.Wait()
	return failed
}

func TestStartCutsADelayShort(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{Delay: time.Hour})), &fakeSystem{lives: time.Second})
		sim.at(2 * time.Second)
		want(t, sim.states(), "a waiting")
		sim.takeEvents()
		if err := sim.Start("a"); err != nil {
			t.Fatal(err)
		}
		expect(t, sim.takeEvents(), "2s launched a/2", "2s ready a/2")
		sim.at(time.Hour + 2*time.Second) // when the old delay would have passed, another one has begun
		want(t, sim.states(), "a waiting")
		sim.at(time.Hour + 3*time.Second)
		want(t, sim.states(), "a ready")
	})
}

func TestStopInADelayDoesNotLaunch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{Delay: time.Second})), &fakeSystem{lives: time.Second})
		sim.at(1500 * ms)
		sim.takeEvents()
		if err := sim.Stop(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		sim.at(time.Hour)
		expect(t, sim.takeEvents(), "1.5s stopped a/1")
	})
}

func TestStopWaitsForTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(2, restart.Policy{})), &fakeSystem{deaf: true})
		stopped := failure(func() error { return sim.Stop(t.Context(), "a") })
		sim.at(4999 * ms)
		select {
		case err := <-stopped:
			t.Fatalf("stopped before its end: %v", err)
		default:
		}
		sim.at(5 * time.Second)
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		want(t, sim.states(), "a stopped, b ready")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := sim.Stop(ctx, "b"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		sim.at(11 * time.Second)
		want(t, sim.states(), "a stopped, b stopped") // their waiting launches were cancelled too
	})
}

// A start during a stop takes effect, and the stop returns ErrSuperseded.
func TestStartDuringStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{Delay: time.Hour})), &fakeSystem{deaf: true})
		stopped := failure(func() error { return sim.Stop(t.Context(), "a") })
		sim.at(time.Second)
		if err := sim.Start("a"); err != nil {
			t.Fatal(err)
		}
		if err := <-stopped; !errors.Is(err, ErrSuperseded) {
			t.Errorf("got %v, want %v", err, ErrSuperseded)
		}
		sim.at(5 * time.Second)
		expect(t, sim.takeEvents(event.KindAdded, event.KindReady), "0s launched a/1", "0s stopping a/1", "5s killed a/1", "5s exited a/1", "5s launched a/2")
	})
}

func TestRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(2, restart.Policy{Delay: time.Hour})), &fakeSystem{lag: 100 * ms})
		sim.takeEvents()
		sim.at(time.Second)
		if err := sim.Stop(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		sim.takeEvents()
		if err := sim.Restart(t.Context()); err != nil { // launches b too, which is stopped
			t.Fatal(err)
		}
		got := sim.takeEvents(event.KindReady)
		expect(t, got, "1.1s stopping a/1", "1.1s launched b/2", "1.1s exited a/1", "1.2s launched a/2")
	})
}

func TestCommandsToUnknownReplicas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := of(group(1, restart.Policy{}))
		s, err := New(*c)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start("a"); !errors.Is(err, ErrClosed) {
			t.Errorf("before Run: %v", err)
		}
		sim := simulate(t, c, &fakeSystem{})
		for _, err := range []error{
			sim.Start("x"), sim.Stop(t.Context(), "a", "x"), sim.Restart(t.Context(), "x"), sim.RollingRestart(t.Context(), "x"),
			sim.Signal(1, "x"), sim.Scale(t.Context(), "x", 1), sim.SetPolicy(t.Context(), "x", restart.Policy{}),
		} {
			if !errors.Is(err, ErrUnknown) {
				t.Errorf("got %v, want %v", err, ErrUnknown)
			}
		}
		want(t, sim.states(), "a ready")
		if err := sim.Stop(t.Context(), "g"); err != nil { // the name of a group stands for its replicas
			t.Error(err)
		}
		if err := sim.Signal(1, "a"); !errors.Is(err, ErrNotRunning) {
			t.Errorf("got %v, want %v", err, ErrNotRunning)
		}
		sim.stop()
		<-sim.ended
		for _, err := range []error{sim.Start(), sim.Scale(t.Context(), "g", 2), sim.Apply(t.Context(), nil)} {
			if !errors.Is(err, ErrClosed) {
				t.Errorf("after Run: %v", err)
			}
		}
	})
}

func TestRollingRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sys := &fakeSystem{ready: time.Second, lag: 100 * ms}
		sim := simulate(t, of(group(3, restart.Policy{}, notice)), sys)
		sim.at(2 * time.Second)
		if err := sim.Stop(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		sim.takeEvents()
		if err := sim.RollingRestart(t.Context()); err != nil {
			t.Fatal(err)
		}
		expect(t, sim.takeEvents(), "2.1s stopping a/1", "2.1s exited a/1", "2.2s launched a/2", "3.2s ready a/2",
			"3.2s stopping c/1", "3.2s exited c/1", "3.3s launched c/2", "4.3s ready c/2") // b stays stopped

		sys.lives = 500 * ms // less than it takes to become ready
		err := sim.RollingRestart(t.Context())
		if !errors.Is(err, ErrNotReady) {
			t.Errorf("got %v, want %v", err, ErrNotReady)
		}
		if s, _ := sim.Get("c"); s.Incarnation != 2 {
			t.Error("c was restarted, though a did not come back")
		}
	})
	bubble(t, func(t *testing.T) {
		sys := &fakeSystem{}
		sim := simulate(t, of(group(2, restart.Policy{}, notice)), sys)
		sys.mute = true
		if err := sim.RollingRestart(t.Context()); !errors.Is(err, ErrNotReady) {
			t.Errorf("got %v, want %v", err, ErrNotReady)
		}
		if waited := time.Since(sim.start); waited != 65*time.Second {
			t.Errorf("waited for %v, want a minute and the stop timeout", waited)
		}
		want(t, sim.states(), "a starting, b ready")
	})
}

func TestScale(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(2, restart.Policy{})), &fakeSystem{lag: 100 * ms})
		if err := sim.Scale(t.Context(), "g", 4); err != nil {
			t.Fatal(err)
		}
		want(t, sim.states(), "a ready, b ready, c ready, d ready")
		if err := sim.Scale(t.Context(), "g", 1); err != nil {
			t.Fatal(err)
		}
		want(t, sim.states(), "a ready")
		if err := sim.Scale(t.Context(), "g", -1); err == nil {
			t.Error("-1 replicas: got no error")
		}
		if err := sim.Scale(t.Context(), "g", 0); err != nil {
			t.Fatal(err)
		}
		want(t, sim.states(), "")
		if err := sim.Scale(t.Context(), "g", 1); err != nil {
			t.Fatal(err)
		}
		want(t, sim.states(), "a ready")
		if n := sim.Current()[0].Count; n != 1 {
			t.Errorf("the current count is %d", n)
		}
	})
}

func TestApplyChangesOnlyWhatDiffers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(3, restart.Policy{}, notice)), &fakeSystem{ready: time.Second})
		sim.at(2 * time.Second)
		sim.takeEvents()
		apply := func(g spec.Group) {
			t.Helper()
			if err := sim.Apply(t.Context(), []spec.Group{g}); err != nil {
				t.Fatal(err)
			}
		}
		apply(group(3, restart.Policy{}, notice))
		expect(t, sim.takeEvents()) // nothing has changed
		apply(group(3, restart.Policy{Delay: time.Second}, notice, func(r *spec.Replica) { r.StopTimeout = time.Minute }))
		expect(t, sim.takeEvents(), "2s changed a/1", "2s changed b/1", "2s changed c/1")
		apply(group(2, restart.Policy{Delay: time.Second}, notice, func(r *spec.Replica) {
			if r.StopTimeout = time.Minute; r.Name == "b" {
				r.Args = []string{"service", "--new"}
			}
		}))
		expect(t, sim.takeEvents(), "2s changed b/1", "2s stopping c/1", "2s exited c/1", "2s removed c/1",
			"2s stopping b/1", "2s exited b/1", "2s launched b/2", "3s ready b/2")
		bad := group(2, restart.Policy{Delay: -1})
		if err := sim.Apply(t.Context(), []spec.Group{bad}); err == nil {
			t.Error("a negative delay: got no error")
		}
		expect(t, sim.takeEvents())
		want(t, sim.states(), "a ready, b ready")
	})
}

// Replicas whose settings differ are restarted one at a time.
func TestApplyRollsThroughTheChanged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(2, restart.Policy{}, notice)), &fakeSystem{ready: time.Second})
		sim.at(time.Second)
		sim.takeEvents()
		if err := sim.Apply(t.Context(), []spec.Group{group(2, restart.Policy{}, notice, func(r *spec.Replica) { r.Dir = "/" })}); err != nil {
			t.Fatal(err)
		}
		expect(t, sim.takeEvents(event.KindChanged, event.KindStopping, event.KindExited), "1s launched a/2", "2s ready a/2", "2s launched b/2", "3s ready b/2")
	})
}

func TestSetPolicyChangesADelayThatRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{Delay: time.Hour})), &fakeSystem{lives: time.Second})
		sim.at(3 * time.Second)
		sim.takeEvents()
		set := func(p restart.Policy) {
			t.Helper()
			if err := sim.SetPolicy(t.Context(), "g", p); err != nil {
				t.Fatal(err)
			}
		}
		if err := sim.SetPolicy(t.Context(), "g", restart.Policy{Delay: -1}); err == nil {
			t.Error("a negative delay: got no error")
		}
		set(restart.Policy{Delay: 4 * time.Second})
		sim.at(5 * time.Second) // 4 s after the exit, not after the change
		expect(t, sim.takeEvents(), "3s changed a/1", "5s launched a/2", "5s ready a/2")
		sim.at(7 * time.Second)
		set(restart.Policy{Mode: restart.ModeNever})
		expect(t, sim.takeEvents(), "6s exited a/2", "7s changed a/2", "7s finished a/2", "7s removed a/2")
	})
}

// A group without replicas is not unknown.
func TestCommandToAnEmptyGroup(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{})), &fakeSystem{})
		if err := sim.Scale(t.Context(), "g", 0); err != nil {
			t.Fatal(err)
		}
		err := errors.Join(sim.Start("g"), sim.Stop(t.Context(), "g"), sim.Restart(t.Context(), "g"),
			sim.RollingRestart(t.Context(), "g"), sim.Signal(syscall.SIGKILL, "g"))
		if err != nil {
			t.Error(err)
		}
		if err := sim.Start("x"); err == nil || !strings.Contains(err.Error(), "want one of g") {
			t.Errorf("got %v, want the known groups", err)
		}
	})
}

func TestSignalAGroup(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(3, restart.Policy{Mode: restart.ModeNever})), &fakeSystem{})
		if err := sim.Stop(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		sim.takeEvents()
		if err := sim.Signal(syscall.SIGKILL, "g", "b"); !errors.Is(err, ErrNotRunning) || strings.Contains(err.Error(), "b") {
			t.Errorf("got %v, want a's %v", err, ErrNotRunning)
		}
		expect(t, sim.takeEvents(event.KindExited, event.KindFinished), "0s signaled b/1", "0s signaled c/1")
	})
}

// Processes of another user may be neither signaled nor killed, which is reported.
func TestSignalAnotherUser(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{Mode: restart.ModeNever})), &fakeSystem{foreign: true, lives: time.Hour})
		sim.takeEvents()
		if err := sim.Signal(syscall.SIGUSR1, "a"); !errors.Is(err, syscall.EPERM) {
			t.Errorf("got %v, want %v", err, syscall.EPERM)
		}
		expect(t, sim.takeEvents())
		if err := sim.Stop(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		sim.mu.Lock()
		defer sim.mu.Unlock()
		i := slices.IndexFunc(sim.events, func(e event.Event) bool { return e.Kind == event.KindKilled })
		if i < 0 || !strings.HasSuffix(sim.events[i].Reason, "; some may not be killed: operation not permitted") {
			t.Errorf("events %+v, want the reason of the kill", sim.events)
		}
	})
}
