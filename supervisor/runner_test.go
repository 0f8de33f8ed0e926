package supervisor

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

const ms = time.Millisecond

func TestRestartDelayCountsFromTheExit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{Delay: 500 * ms})), &fakeSystem{lives: 300 * ms, lag: 10 * ms, code: 1})
		sim.at(2 * time.Second)
		sim.stop()
		<-sim.ended
		expect(t, sim.takeEvents(event.KindReady),
			"0s added a/0",
			"0s launched a/1", "300ms exited a/1",
			"800ms launched a/2", "1.1s exited a/2",
			"1.6s launched a/3", "1.9s exited a/3",
			"2s removed a/3") // during the delay: there is no fourth launch
	})
}

func TestLaunchFailureIsNoHotLoop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		missing := errors.New("no such file")
		sim := simulate(t, of(group(1, restart.Policy{})), &fakeSystem{err: missing})
		sim.at(2500 * ms)
		expect(t, sim.takeEvents(event.KindAdded), "0s launch failed a/1", "1s launch failed a/2", "2s launch failed a/3")
		s, err := sim.Get("a")
		if err != nil || s.Failures != 3 || s.Last.Err != missing || s.State != status.StateWaiting || !s.Next.Equal(sim.start.Add(3*time.Second)) {
			t.Errorf("status %+v, %v", s, err)
		}
	})
}

func TestExitsFollowedByALaunch(t *testing.T) {
	for _, tt := range []struct {
		restart restart.Mode
		code    int
		want    string
	}{
		{restart.ModeAlways, 0, "a ready"}, {restart.ModeAlways, 1, "a ready"},
		{restart.ModeOnFailure, 0, "a finished"}, {restart.ModeOnFailure, 1, "a ready"},
		{restart.ModeNever, 0, "a finished"}, {restart.ModeNever, 1, "a finished"},
	} {
		t.Run(tt.restart.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := of(group(1, restart.Policy{Mode: tt.restart}), spec.Group{Name: "other", Count: 1, Replica: func(int) spec.Replica {
					return spec.Replica{Name: "z", Args: []string{"service"}}
				}})
				sim := simulate(t, s, &fakeSystem{code: tt.code, each: func(s *fakeSystem, r spec.Replica, incarnation int) {
					if r.Name == "a" && incarnation == 1 {
						s.lives = time.Second
					}
				}})
				sim.at(2500 * ms)
				want(t, sim.states(), tt.want+", z ready")
			})
		})
	}
}

func TestStopAtTheEnd(t *testing.T) {
	for _, tt := range []struct {
		name   string
		deaf   bool
		killAt time.Duration // when Kill is called; zero: never
		want   []string
	}{
		{"in order", false, 0, []string{"1s stopping a/1", "1s stopping b/1", "1s exited a/1", "1s exited b/1"}},
		{"deaf", true, 0, []string{"1s stopping a/1", "1s stopping b/1", "6s killed a/1", "6s killed b/1", "6s exited a/1", "6s exited b/1"}},
		{"killed while stopping", true, 2 * time.Second,
			[]string{"1s stopping a/1", "1s stopping b/1", "2s killed a/1", "2s killed b/1", "2s exited a/1", "2s exited b/1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				sim := simulate(t, of(group(2, restart.Policy{})), &fakeSystem{deaf: tt.deaf, lag: ms})
				sim.takeEvents()
				sim.at(time.Second)
				sim.stop()
				if tt.killAt > 0 {
					sim.at(tt.killAt)
					sim.Kill()
				}
				<-sim.ended
				got := sim.takeEvents(event.KindRemoved)
				if len(got) > 2 { // the order of a and b is random from here on
					sortPairs(got[2:])
				}
				expect(t, got, tt.want...)
			})
		})
	}
}

// sortPairs sorts each pair of events by replica.
func sortPairs(events []string) {
	for i := 0; i+1 < len(events); i += 2 {
		if events[i] > events[i+1] {
			events[i], events[i+1] = events[i+1], events[i]
		}
	}
}

func TestKillInPlaceOfStop(t *testing.T) {
	bubble(t, func(t *testing.T) {
		sim := simulate(t, of(group(1, restart.Policy{})), &fakeSystem{deaf: true})
		sim.takeEvents()
		sim.Kill()
		<-sim.ended
		got := sim.takeEvents()
		if len(got) < 3 || got[len(got)-3] != "0s killed a/1" || got[len(got)-1] != "0s removed a/1" {
			t.Errorf("got %q, want it killed, exited and removed at once", got)
		}
	})
}

func TestRunEndsWhenNothingRuns(t *testing.T) {
	for _, tt := range []struct {
		name string
		stay bool
		then restart.Policy
		ends bool
	}{
		{"finished", false, restart.Policy{Mode: restart.ModeNever}, true},
		{"finished, stay", true, restart.Policy{Mode: restart.ModeNever}, true},
		{"failed", false, restart.Policy{Limit: restart.Limit{Exits: 1}}, true},
		{"failed, stay", true, restart.Policy{Limit: restart.Limit{Exits: 1}}, false},
		{"waits", false, restart.Policy{Delay: time.Hour}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := of(group(2, tt.then))
				s.Stay = tt.stay
				sim := simulate(t, s, &fakeSystem{lives: time.Second})
				sim.at(2 * time.Second)
				select {
				case <-sim.ended:
					if !tt.ends {
						t.Error("it has ended")
					}
				default:
					if tt.ends {
						t.Error("it has not ended")
					}
				}
			})
		})
	}
}

func TestGivenUp(t *testing.T) {
	for _, tt := range []struct {
		then restart.Escalation
		want string
	}{
		{restart.EscalationIsolate, "a failed, b ready, c ready"},
		{restart.EscalationStopAll, "a failed, b stopped, c stopped"},
		{restart.EscalationRestartAll, "a ready, b ready, c ready"},
	} {
		t.Run(tt.then.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				dying := &fakeSystem{each: func(s *fakeSystem, r spec.Replica, incarnation int) {
					if r.Name == "a" && incarnation <= 3 {
						s.lives = 100 * ms
					}
				}}
				sim := simulate(t, of(group(3, restart.Policy{Limit: restart.Limit{Exits: 3, Window: time.Second, Then: tt.then}})), dying)
				sim.at(time.Second)
				want(t, sim.states(), tt.want)
				if tt.then == restart.EscalationRestartAll {
					for _, s := range sim.List() {
						if n := map[string]int{"a": 4, "b": 2, "c": 2}[s.Replica]; s.Incarnation != n {
							t.Errorf("%s is at incarnation %d, want %d", s.Replica, s.Incarnation, n)
						}
					}
					return
				}
				if err := sim.Start(); err != nil { // starts failed replicas too
					t.Fatal(err)
				}
				want(t, sim.states(), "a ready, b ready, c ready")
			})
		})
	}
}

func TestReadiness(t *testing.T) {
	bubble(t, func(t *testing.T) {
		slow := &fakeSystem{ready: 700 * ms}
		sim := simulate(t, of(group(1, restart.Policy{}, notice, func(r *spec.Replica) { r.StartTimeout = time.Second })), slow)
		want(t, sim.states(), "a starting")
		sim.at(699 * ms)
		expect(t, sim.takeEvents(event.KindAdded), "0s launched a/1")
		sim.at(700 * ms)
		expect(t, sim.takeEvents(), "700ms ready a/1")
		sim.at(5 * time.Second)
		expect(t, sim.takeEvents()) // the start timeout does not apply any more
		s, _ := sim.Get("a")
		if s.Ready.Sub(s.Launched) != 700*ms {
			t.Errorf("status %+v, want it ready 700 ms after its launch", s)
		}
	})
}

func TestStartTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := restart.Policy{Delay: time.Second, Limit: restart.Limit{Exits: 2}}
		sim := simulate(t, of(group(1, p, notice, func(r *spec.Replica) { r.StartTimeout = 2 * time.Second })), &fakeSystem{mute: true, deaf: true})
		sim.at(time.Minute)
		expect(t, sim.takeEvents(event.KindAdded),
			"0s launched a/1", "2s unhealthy a/1", "2s killed a/1", "2s exited a/1",
			"3s launched a/2", "5s unhealthy a/2", "5s killed a/2", "5s exited a/2", "5s failed a/2")
		if s, _ := sim.Get("a"); s.Failures != 2 || s.Exits != 2 {
			t.Errorf("status %+v, want 2 failures", s)
		}
	})
}

func TestHungReplicaIsReplaced(t *testing.T) {
	hung(t, 20*ms, "1.17s")
	hung(t, 50*ms, "1.2s") // the timeout is as long as the period
}

// hung checks when a replica that hangs is replaced.
func hung(t *testing.T, timeout time.Duration, at string) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		var hangs atomic.Bool
		alive := spec.Probe{Kind: spec.ProbeGRPC, Period: 50 * ms, Timeout: timeout, Threshold: 3}
		s := of(group(1, restart.Policy{}, func(r *spec.Replica) { r.Addr, r.Alive = "a:1", alive }))
		s.Health = func(ctx context.Context, addr, _ string) error {
			if addr != "a:1" {
				t.Errorf("probed at %s", addr)
			}
			if !hangs.Load() {
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}
		sim := simulate(t, s, &fakeSystem{deaf: true, each: func(*fakeSystem, spec.Replica, int) { hangs.Store(false) }})
		sim.at(1001 * ms) // just after a probe has succeeded
		sim.takeEvents()
		hangs.Store(true)
		sim.at(3 * time.Second)
		// The worst case: Threshold × Period + Timeout after the last probe that succeeded.
		expect(t, sim.takeEvents(), at+" unhealthy a/1", at+" killed a/1", at+" exited a/1", at+" launched a/2", at+" ready a/2")
	})
}

// Probes that fail now and then do not kill a replica.
func TestOneBadAnswerIsTolerated(t *testing.T) {
	bubble(t, func(t *testing.T) {
		n := 0
		s := of(group(1, restart.Policy{}, func(r *spec.Replica) { r.Addr, r.Alive = "a:1", spec.Probe{Kind: spec.ProbeGRPC, Threshold: 2} }))
		s.Health = func(context.Context, string, string) error {
			if n++; n%2 == 0 {
				return errors.New("no")
			}
			return nil
		}
		sim := simulate(t, s, &fakeSystem{})
		sim.at(time.Hour)
		expect(t, sim.takeEvents(event.KindAdded), "0s launched a/1", "0s ready a/1")
		if n < 3000 {
			t.Errorf("probed %d times in an hour, want once a second", n)
		}
	})
}

func TestFewStartAtATime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(5, restart.Policy{}, notice))
		s.MaxStarting = 2
		sim := simulate(t, s, &fakeSystem{ready: 100 * ms})
		sim.at(time.Second)
		expect(t, sim.takeEvents(event.KindAdded, event.KindReady), "0s launched a/1", "0s launched b/1",
			"100ms launched c/1", "100ms launched d/1", "200ms launched e/1")
	})
	bubble(t, func(t *testing.T) {
		s := of(group(2, restart.Policy{}, notice))
		s.MaxStarting = 1
		sim := simulate(t, s, &fakeSystem{mute: true})
		// A replica that is never ready does not keep others from being launched.
		sim.at(time.Minute)
		expect(t, sim.takeEvents(event.KindAdded), "0s launched a/1", "1s launched b/1")
	})
}

func TestOnEventMayBlock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := of(group(1, restart.Policy{}))
		free := make(chan struct{})
		s.OnEvent = func(event.Event) { <-free }
		sim := simulate(t, s, &fakeSystem{lives: time.Second})
		sim.at(9500 * ms)
		if got, _ := sim.Get("a"); got.Incarnation != 10 {
			t.Errorf("incarnation %d, want 10: supervision must not wait for OnEvent", got.Incarnation)
		}
		close(free)
		if n := len(sim.takeEvents(event.KindAdded, event.KindReady)); n != 19 {
			t.Errorf("%d launches and exits were delivered, want 19", n)
		}
	})
}
