package supervisor

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

// After Kill nothing is launched any more.
func TestKillDuringTheFirstLaunches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(3, restart.Policy{}, notice))
		s.MaxStarting = 1
		th := perform(t, s, &script{mute: true, deaf: true})
		th.Kill()
		<-th.ended
		for _, e := range th.events {
			if e.Kind == event.KindLaunched && e.Replica != "a" {
				t.Errorf("%s was launched", e.Replica)
			}
		}
		if d := time.Since(th.start); d > 0 {
			t.Errorf("it took %v", d)
		}
	})
}

// A stop is done also where its replica leaves meanwhile.
func TestStopDuringTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		th := perform(t, of(group(1, restart.Policy{})), &script{deaf: true})
		stopped := failure(func() error { return th.Stop(context.Background(), "a") })
		th.stop()
		<-th.ended
		if err := <-stopped; err != nil {
			t.Error(err)
		}
	})
}

func TestWatchEndsWithARunThatFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := of(group(1, restart.Policy{}))
		c.Guardian = []string{"/no/such"}
		s, err := New(*c)
		if err != nil {
			t.Fatal(err)
		}
		watched := make(chan struct{})
		go func() {
			defer close(watched)
			for range s.Watch(t.Context(), 0) {
			}
		}()
		if err := s.Run(t.Context()); err == nil {
			t.Error("a guardian that is missing was taken")
		}
		<-watched
	})
}

// Run waits for the questions that are still asked.
func TestRunWaitsForHealth(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(1, restart.Policy{}, func(r *spec.Replica) { r.Addr, r.Ready = "a:1", spec.Probe{Kind: spec.ProbeGRPC} }))
		asking := make(chan struct{}, 1)
		s.Health = func(ctx context.Context, _, _ string) error {
			asking <- struct{}{}
			<-ctx.Done()
			time.Sleep(time.Second)
			<-asking
			return ctx.Err()
		}
		th := perform(t, s, &script{})
		th.stop()
		synctest.Wait()
		if s, _ := th.Get("a"); s.State != status.StateStopped || s.PID != 0 {
			t.Errorf("got %+v, want it down", s)
		}
		<-th.ended
		if len(asking) > 0 {
			t.Error("Run has returned while Health is called")
		}
	})
}

// Where nobody is to start them again, all that are stopped end Run.
func TestRunEndsWhenAllAreStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(2, restart.Policy{}))
		s.Stay = false
		th := perform(t, s, &script{})
		for _, name := range []string{"a", "b"} {
			if err := th.Stop(t.Context(), name); err != nil {
				t.Error(err)
			}
		}
		<-th.ended
	})
}

// One that is told to end is asked nothing, and is killed once.
func TestEndingIsLeftInPeace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(1, restart.Policy{}, func(r *spec.Replica) {
			r.Addr, r.Alive = "a:1", spec.Probe{Kind: spec.ProbeGRPC, Period: 200 * ms}
		}))
		s.Health = func(context.Context, string, string) error { return errors.New("hung") }
		th := perform(t, s, &script{deaf: true, lag: 10 * time.Second})
		th.told()
		th.at(100 * ms)
		stopped := failure(func() error { return th.Stop(t.Context()) })
		th.at(2 * time.Second)
		th.Kill()
		if err := <-stopped; err != nil {
			t.Error(err)
		}
		<-th.ended
		expect(t, th.told(event.KindStopping, event.KindExited, event.KindRemoved), "2s killed a/1")
	})
	bubble(t, func(t *testing.T) {
		s := of(group(1, restart.Policy{}, func(r *spec.Replica) { r.Addr, r.Alive = "a:1", spec.Probe{Kind: spec.ProbeGRPC} }))
		s.Health = func(context.Context, string, string) error { return errors.New("hung") }
		th := perform(t, s, &script{lag: 10 * time.Second})
		th.at(4 * time.Second)
		th.Kill()
		<-th.ended
		expect(t, th.told(event.KindAdded, event.KindLaunched, event.KindReady, event.KindRemoved), "3s unhealthy a/1", "3s killed a/1", "3s exited a/1")
	})
}

// A launch that the end prevents is none.
func TestLaunchAtTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stop := make(chan context.CancelFunc, 1)
		sys := &script{lives: time.Second, each: func(s *script, _ spec.Replica, n int) {
			if n == 2 {
				(<-stop)()
				s.err = context.Canceled
			}
		}}
		th := perform(t, of(group(1, restart.Policy{})), sys)
		stop <- th.stop
		<-th.ended
		expect(t, th.told(event.KindAdded, event.KindReady), "0s launched a/1", "1s exited a/1", "1s removed a/1")
	})
}

func TestAStoppedProcessEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		th := perform(t, of(group(1, restart.Policy{})), &script{})
		if err := th.Signal(syscall.SIGSTOP, "a"); err != nil {
			t.Error(err)
		}
		if err := th.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		expect(t, th.told(event.KindAdded, event.KindLaunched, event.KindReady), "0s signaled a/1", "0s stopping a/1", "0s exited a/1", "0s stopped a/1")
	})
}

func TestRunOfNothing(t *testing.T) {
	for _, stay := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			s := of(group(0, restart.Policy{}))
			s.Stay = stay
			th := perform(t, s, &script{})
			select {
			case <-th.ended:
				if stay {
					t.Error("it has ended, though somebody may scale it")
				}
			default:
				if !stay {
					t.Error("it has not ended")
				}
			}
		})
	}
}
