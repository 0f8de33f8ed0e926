package restart

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"
)

func TestPolicyNext(t *testing.T) {
	crash := Exit{Code: 1, Uptime: time.Minute, Ready: time.Second}
	settled := Exit{Code: 1, Uptime: time.Minute, Ready: 10 * time.Second}
	short := Exit{Code: 1, Uptime: shortUptime - 1, Ready: 1}
	lasting := Exit{Code: 1, Uptime: shortUptime, Ready: 1}
	killed := Exit{Code: -1, Signal: syscall.SIGKILL, Uptime: time.Minute, Ready: time.Second}
	missing := Exit{Code: -1, Err: errors.New("no such file")}
	unready := Exit{Code: 1, Uptime: time.Minute}
	code := func(c int) Exit { return Exit{Code: c, Uptime: time.Minute, Ready: time.Second} }
	times := func(n int, e Exit) []Exit {
		var exits []Exit
		for range n {
			exits = append(exits, e)
		}
		return exits
	}
	relaunch := func(d time.Duration) Decision { return Decision{Relaunch: true, Delay: d} }
	doubling := Policy{Delay: time.Second, Backoff: Backoff{Factor: 2, Max: 10 * time.Second}}
	three := Policy{Limit: Limit{Exits: 3, Window: 2 * time.Minute}}

	for _, tt := range []struct {
		name   string
		policy Policy
		exits  []Exit
		want   Decision // of the reason, only whether there is one is checked
		reason bool
	}{
		{"zero value", Policy{}, times(1, crash), relaunch(0), false},
		{"negative delay", Policy{Delay: -1}, times(1, crash), relaunch(0), false},
		{"crash", Policy{Delay: time.Millisecond}, times(1, crash), relaunch(time.Millisecond), false},
		{"clean exit", Policy{Delay: time.Millisecond}, times(1, code(0)), relaunch(time.Millisecond), false},
		{"signal", Policy{Delay: time.Millisecond}, times(1, killed), relaunch(time.Millisecond), false},
		{"never", Policy{Mode: ModeNever}, times(1, crash), Decision{}, true},
		{"on failure, clean exit", Policy{Mode: ModeOnFailure}, times(1, code(0)), Decision{}, true},
		{"on failure, crash", Policy{Mode: ModeOnFailure}, times(1, crash), relaunch(0), false},
		{"on failure, signal", Policy{Mode: ModeOnFailure}, times(1, killed), relaunch(0), false},
		{"never, not run", Policy{Mode: ModeNever}, times(1, missing), Decision{}, true},

		{"code 124 is a crash", Policy{}, times(1, code(124)), relaunch(0), false},
		{"code 125 is not", Policy{}, times(1, code(125)), relaunch(time.Second), true},
		{"code 127 is not", Policy{}, times(1, code(127)), relaunch(time.Second), true},
		{"code 128 is a crash", Policy{}, times(1, code(128)), relaunch(0), false},
		{"launch failure", Policy{Delay: time.Millisecond}, times(1, missing), relaunch(time.Second), true},
		{"launch failure, long delay", Policy{Delay: time.Hour}, times(1, missing), relaunch(time.Hour), false},

		{"nine short", Policy{}, times(9, short), relaunch(0), false},
		{"ten short", Policy{}, times(10, short), relaunch(100 * time.Millisecond), true},
		{"ten short, exact", Policy{Delay: time.Millisecond, Exact: true}, times(10, short), relaunch(time.Millisecond), false},
		{"ten short, long delay", Policy{Delay: time.Second}, times(10, short), relaunch(time.Second), false},
		{"ten that lasted", Policy{}, times(10, lasting), relaunch(0), false},
		{"a long run ends the streak", Policy{}, append(append(times(9, short), lasting), times(9, short)...), relaunch(0), false},

		{"backoff, first", doubling, times(1, crash), relaunch(time.Second), false},
		{"backoff, third", doubling, times(3, crash), relaunch(4 * time.Second), false},
		{"backoff, max", doubling, times(9, crash), relaunch(10 * time.Second), false},
		{"backoff, ready for long", doubling, append(times(9, crash), settled, crash), relaunch(2 * time.Second), false},
		{"backoff, never ready is a streak of its own", doubling, append(times(3, crash), times(2, unready)...), relaunch(2 * time.Second), false},

		{"limit, not yet", three, times(2, crash), relaunch(0), false},
		{"limit", three, times(3, crash), Decision{GiveUp: true}, true},
		{"limit, failures apart", three, []Exit{crash, unready, crash, unready}, relaunch(0), false},
		{"limit of failures", three, []Exit{crash, unready, unready, unready}, Decision{GiveUp: true}, true},
		{"limit, exits long ago", Policy{Limit: Limit{Exits: 3, Window: 2*time.Minute - 1}}, times(9, crash), relaunch(0), false},
		{"a launch failure among short runs", Policy{}, append(times(10, short), missing), relaunch(time.Second), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h History
			at := time.Now()
			for _, e := range tt.exits {
				at = at.Add(time.Minute)
				h = h.After(e, at, tt.policy)
			}
			got := tt.policy.Next(h, at, 0.5)
			if (got.Reason != "") != tt.reason {
				t.Errorf("reason %q; want one: %v", got.Reason, tt.reason)
			}
			if got.Reason = ""; got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

// Decisions have the documented properties for all policies and histories.
func TestPolicyProperties(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		p := Policy{
			Mode: Mode(r.IntN(3)), Delay: time.Duration(r.Int64N(int64(time.Minute))),
			Backoff: Backoff{Factor: 1 + 3*r.Float64(), Max: time.Duration(r.Int64N(int64(time.Hour))), Jitter: r.Float64()},
			Limit:   Limit{Exits: r.IntN(5), Window: time.Duration(1 + r.Int64N(int64(time.Hour)))},
		}
		var h History
		at := time.Now()
		// All exits, and whether the replica had not become ready: a simple model of what History
		// counts.
		var exits []time.Time
		var sorts []bool
		for range 1 + r.IntN(300) {
			at = at.Add(time.Duration(r.Int64N(int64(10 * time.Minute))))
			e := Exit{Code: r.IntN(2), Uptime: time.Duration(r.Int64N(int64(2 * time.Second)))}
			if r.IntN(3) > 0 {
				e.Ready = 1 + e.Uptime
			}
			h = h.After(e, at, p)
			exits, sorts = append(exits, at), append(sorts, e.Ready == 0)
		}
		draw := r.Float64()
		d := p.Next(h, at, draw)
		if d != p.Next(h, at, draw) {
			t.Fatalf("seed %d: two calls of Next differ", seed)
		}
		n := 0
		for i := range exits {
			if sorts[i] == sorts[len(sorts)-1] && !exits[i].Before(at.Add(-p.Limit.Window)) {
				n++
			}
		}
		stays := p.Mode == ModeNever || p.Mode == ModeOnFailure && h.Last.Code == 0
		over := !stays && p.Limit.Exits > 0 && n >= p.Limit.Exits
		most := max(time.Duration(float64(max(p.Backoff.max(), p.Delay))*(1+p.Backoff.Jitter)), hotLoopDelay)
		least := min(time.Duration(float64(p.Delay)*(1-p.Backoff.Jitter)), most)
		switch {
		case d.GiveUp != over || d.Relaunch == (stays || over):
			t.Fatalf("seed %d: %+v after %d exits of this sort in the window, %+v", seed, d, n, p)
		case !d.Relaunch && d.Reason == "":
			t.Fatalf("seed %d: %+v without a reason", seed, d)
		case d.Relaunch && (d.Delay < least-1 || d.Delay > most):
			t.Fatalf("seed %d: a delay of %v, want %v to %v", seed, d.Delay, least, most)
		}
		if len(h.recent) > 2*MaxExits {
			t.Fatalf("seed %d: %d exits are kept", seed, len(h.recent))
		}
	}
}

// The jitter is symmetric, also at the longest delay.
func TestJitter(t *testing.T) {
	for _, tt := range []struct {
		delay        time.Duration
		factor, draw float64
		want         time.Duration
	}{
		{10 * time.Second, 0, 0, 8 * time.Second}, {10 * time.Second, 0, 0.5, 10 * time.Second}, {10 * time.Second, 0, 1, 12 * time.Second},
		{10 * time.Minute, 0, 1, 12 * time.Minute}, {10 * time.Second, 100, 0, 48 * time.Second}, {10 * time.Second, 100, 1, 72 * time.Second},
		{math.MaxInt64, 0, 1, longest}, {math.MaxInt64, 1.5, 1, longest}, {math.MaxInt64, 1.5, 0.5, longest}, {longest + 1, 1000, 1, longest},
	} {
		p := Policy{Delay: tt.delay, Backoff: Backoff{Factor: tt.factor, Jitter: 0.2}}
		if got := p.Next(History{Streak: 5}, time.Now(), tt.draw).Delay; got.Round(time.Millisecond) != tt.want.Round(time.Millisecond) {
			t.Errorf("%+v with %v: got %v, want %v", p, tt.draw, got, tt.want)
		}
		if got := p.Next(History{}, time.Now(), 0.5).Delay; got != min(tt.delay, longest) {
			t.Errorf("%+v without exits: got %v", p, got)
		}
	}
}

func TestPolicyCheck(t *testing.T) {
	for _, p := range []Policy{
		{Mode: -1}, {Mode: 3}, {Delay: -1}, {Delay: 1, Backoff: Backoff{Factor: 0.5}}, {Delay: 1, Backoff: Backoff{Factor: math.NaN()}},
		{Delay: 1, Backoff: Backoff{Factor: 1001}}, {Backoff: Backoff{Factor: 2}}, {Backoff: Backoff{Jitter: 1.1}}, {Backoff: Backoff{Jitter: math.NaN()}},
		{Backoff: Backoff{Max: -1}}, {Backoff: Backoff{Reset: -1}}, {Limit: Limit{Exits: -1}}, {Limit: Limit{Exits: 101}},
		{Limit: Limit{Window: -1}}, {Limit: Limit{Then: 3}},
	} {
		if p.Check() == nil {
			t.Errorf("%+v: got no error", p)
		}
	}
	if err := (Policy{Mode: ModeOnFailure, Delay: 1, Backoff: Backoff{1000, 1, 1, 1}, Limit: Limit{100, 1, EscalationRestartAll}}).Check(); err != nil {
		t.Error(err)
	}
}

// No policy causes an overflow of the delay.
func TestLongDelays(t *testing.T) {
	for _, p := range []Policy{
		{Delay: math.MaxInt64}, {Delay: math.MaxInt64, Backoff: Backoff{Factor: 1.5}}, {Delay: longest, Backoff: Backoff{Factor: 1000}},
		{Delay: longest - 1, Backoff: Backoff{Factor: 1.5}}, {Delay: 1, Backoff: Backoff{Factor: 1000, Max: math.MaxInt64}},
	} {
		for _, streak := range []int{1, 100, 10_000} {
			wanted := longest
			if p.Delay == 1 && streak == 1 {
				wanted = 1
			}
			if got := p.Next(History{Streak: streak}, time.Now(), 0.5).Delay; got.Round(time.Second) != wanted.Round(time.Second) {
				t.Errorf("%+v after %d exits: got %v, want %v", p, streak, got, wanted)
			}
		}
	}
	// The factor is infinite here.
	if got := (Policy{Backoff: Backoff{Factor: 2}}).Next(History{Streak: 10_000}, time.Now(), 0.5).Delay; got != 0 {
		t.Errorf("got a delay of %v, want none", got)
	}
}

// A lack of file descriptors or processes is the supervisor's fault, not the replica's.
func TestLocalShortageIsNoFailure(t *testing.T) {
	if !LocalShortage(fmt.Errorf("dial: %w", syscall.EMFILE)) || LocalShortage(syscall.ECONNREFUSED) || LocalShortage(nil) {
		t.Error("LocalShortage is wrong about EMFILE, ECONNREFUSED or nil")
	}
	p := Policy{Limit: Limit{Exits: 2}}
	var h History
	for range 5 {
		h = h.After(Exit{Code: -1, Err: &os.PathError{Op: "fork/exec", Err: syscall.EAGAIN}}, time.Now(), p)
		if d := p.Next(h, time.Now(), 0); !d.Relaunch || d.Delay != launchFailureDelay {
			t.Fatalf("%+v: want a relaunch after %v", d, launchFailureDelay)
		}
	}
	for range 2 {
		h = h.After(Exit{Code: -1, Err: &os.PathError{Op: "fork/exec", Err: syscall.ENOENT}}, time.Now(), p)
	}
	if d := p.Next(h, time.Now(), 0); !d.GiveUp {
		t.Errorf("%+v: want it given up", d)
	}
}
