package supervisor

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// script is a system whose processes do as it says, for each launch of a
// replica. The zero value is one that runs until SIGTERM.
type script struct {
	lives    time.Duration // zero: until it gets a signal
	lag      time.Duration // from the end to its news
	code     int
	deaf     bool // to SIGTERM
	err      error
	launched func(r Replica, incarnation int)
}

func (s script) launch(_ context.Context, r Replica, incarnation int) (process, error) {
	if s.launched != nil {
		s.launched(r, incarnation)
	}
	if s.err != nil {
		return nil, s.err
	}
	p := &fakeProcess{script: s, id: 1000 + incarnation, launched: time.Now(), end: make(chan ending, 1)}
	if s.lives > 0 {
		time.AfterFunc(s.lives, func() { p.exit(Exit{Code: s.code}) })
	}
	return p, nil
}

type fakeProcess struct {
	script
	id       int
	launched time.Time
	end      chan ending
}

func (p *fakeProcess) pid() int             { return p.id }
func (p *fakeProcess) ended() <-chan ending { return p.end }

func (p *fakeProcess) signal(sig syscall.Signal) {
	if sig == syscall.SIGKILL || sig == syscall.SIGTERM && !p.deaf {
		p.exit(Exit{Code: -1, Signal: sig})
	}
}

func (p *fakeProcess) exit(e Exit) {
	now := time.Now()
	e.Uptime = now.Sub(p.launched)
	time.AfterFunc(p.lag, func() {
		select {
		case p.end <- ending{e, now}:
		default: // it has ended before
		}
	})
}

// drive runs s on the system until ctx ends, and returns its events as
// "TIME KIND REPLICA/INCARNATION", the time since the start.
func drive(ctx context.Context, s *Supervisor, sys system) []string {
	start := time.Now()
	var events []string
	tell := s.OnEvent
	s.OnEvent = func(e Event) {
		events = append(events, fmt.Sprintf("%v %v %s/%d", e.Time.Sub(start), e.Kind, e.Replica, e.Incarnation))
		if tell != nil {
			tell(e)
		}
	}
	s.run(ctx, sys)
	return events
}

func replicas(names string) []Replica {
	var rs []Replica
	for _, n := range strings.Fields(names) {
		rs = append(rs, Replica{Name: n, Args: []string{"service"}})
	}
	return rs
}

func expect(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

func TestRestartDelayCountsFromTheExit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		s := &Supervisor{Replicas: replicas("a"), Policy: Policy{Delay: 500 * time.Millisecond}}
		expect(t, drive(ctx, s, script{lives: 300 * time.Millisecond, lag: 10 * time.Millisecond, code: 1}),
			"0s launched a/1", "300ms exited a/1",
			"800ms launched a/2", "1.1s exited a/2",
			"1.6s launched a/3", "1.9s exited a/3",
			"2s stopped a/3") // in the delay: without a fourth launch
	})
}

func TestLaunchFailureIsNoHotLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		missing := errors.New("no such file")
		s := &Supervisor{Replicas: replicas("a"), OnEvent: func(e Event) {
			if e.Kind == LaunchFailed && (e.Exit.Err != missing || e.PID != 0 || e.Next.Reason == "") {
				t.Errorf("event %+v: want the error, no PID and a reason for the delay", e)
			}
		}}
		expect(t, drive(ctx, s, script{err: missing}),
			"0s launch failed a/1", "1s launch failed a/2", "2s launch failed a/3", "2.5s stopped a/3")
	})
}

func TestNeverRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Supervisor{Replicas: replicas("a"), Policy: Policy{Restart: Never}}
		expect(t, drive(t.Context(), s, script{lives: time.Second, code: 3}),
			"0s launched a/1", "1s exited a/1", "1s gave up a/1")
	})
}

func TestStop(t *testing.T) {
	for _, tt := range []struct {
		name   string
		deaf   bool
		killAt time.Duration // zero: Kill is not called
		want   []string
	}{
		{"in order", false, 0, []string{"0s launched a/1", "1s stopping a/1", "1s stopped a/1"}},
		{"deaf", true, 0, []string{"0s launched a/1", "1s stopping a/1", "8s killed a/1", "8s stopped a/1"}},
		{"killed while stopping", true, 2 * time.Second,
			[]string{"0s launched a/1", "1s stopping a/1", "2s killed a/1", "2s stopped a/1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				s := &Supervisor{Replicas: replicas("a"), StopTimeout: 7 * time.Second}
				if tt.killAt > 0 {
					time.AfterFunc(tt.killAt, s.Kill)
				}
				expect(t, drive(ctx, s, script{deaf: tt.deaf}), tt.want...)
			})
		})
	}
}

func TestKillEndsRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Supervisor{Replicas: replicas("a")}
		time.AfterFunc(time.Second, func() { s.Kill(); s.Kill() })
		got := drive(t.Context(), s, script{deaf: true})
		expect(t, got, "0s launched a/1", "1s stopping a/1", "1s killed a/1", "1s stopped a/1")
	})
}

// Both the delay's timer and ctx are done when the loop looks: often, as the
// choice between them is random.
func TestNothingIsLaunchedAfterTheStop(t *testing.T) {
	for range 100 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			s := &Supervisor{Replicas: replicas("a"), OnEvent: func(e Event) {
				if e.Kind == Exited {
					cancel()
				}
			}}
			expect(t, drive(ctx, s, script{lives: time.Second}),
				"0s launched a/1", "1s exited a/1", "1s stopped a/1")
		})
	}
	t.Run("nor before the first", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		var launches int
		s := &Supervisor{Replicas: replicas("a")}
		s.run(ctx, script{launched: func(Replica, int) { launches++ }})
		if launches != 0 {
			t.Errorf("%d launches, want none", launches)
		}
	})
}

func TestReplicasLaunchAndStopInOrder(t *testing.T) {
	names := "a b c d e f"
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			order := make(map[Kind][]string)
			s := &Supervisor{Replicas: replicas(names), OnEvent: func(e Event) {
				order[e.Kind] = append(order[e.Kind], e.Replica)
			}}
			drive(ctx, s, script{})
			for _, kind := range []Kind{Launched, Stopping} {
				if !slices.Equal(order[kind], strings.Fields(names)) {
					t.Errorf("%v in the order %v", kind, order[kind])
				}
			}
		})
	}
}

func TestRunRefuses(t *testing.T) {
	ok := replicas("a")
	for _, tt := range []struct {
		s    *Supervisor
		want string
	}{
		{&Supervisor{}, "no replicas"},
		{&Supervisor{Replicas: replicas("a a")}, `"a" is used twice`},
		{&Supervisor{Replicas: []Replica{{Args: []string{"x"}}}}, "replica 0 has no name"},
		{&Supervisor{Replicas: []Replica{{Name: "a"}}}, `replica "a" has no command`},
		{&Supervisor{Replicas: ok, StopTimeout: -1}, "stop timeout -1ns"},
		{&Supervisor{Replicas: ok, Policy: Policy{Delay: -1}}, "restart delay -1ns"},
		{&Supervisor{Replicas: ok, Guardian: []string{"/no/such/guardian"}}, "guardian"},
	} {
		err := tt.s.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("got error %v, want one with %q", err, tt.want)
		}
		if err := tt.s.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "called before") {
			t.Errorf("second Run: got error %v", err)
		}
	}
}

func TestStrings(t *testing.T) {
	for want, got := range map[string]fmt.Stringer{
		"launched": Launched, "guardian lost": GuardianLost, "Kind(0)": Kind(0), "Kind(99)": Kind(99),
		"always": Always, "never": Never, "Restart(7)": Restart(7),
		"exit code 3":         Exit{Code: 3},
		"signal 9 (killed)":   Exit{Code: -1, Signal: syscall.SIGKILL},
		"no such file at all": Exit{Code: -1, Err: errors.New("no such file at all")},
	} {
		if got.String() != want {
			t.Errorf("%v.String() = %q, want %q", reflect.TypeOf(got), got.String(), want)
		}
	}
}
