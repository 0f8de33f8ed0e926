package supervisor

import (
	"errors"
	"syscall"
	"testing"
	"time"
)

func TestPolicyNext(t *testing.T) {
	crash := Exit{Code: 1, Uptime: time.Minute}
	quick := Exit{Code: 1, Uptime: shortUptime - 1}
	lasting := Exit{Code: 1, Uptime: shortUptime}
	killed := Exit{Code: -1, Signal: syscall.SIGKILL, Uptime: time.Minute}
	missing := Exit{Code: -1, Err: errors.New("no such file")}
	code := func(c int) Exit { return Exit{Code: c, Uptime: time.Minute} }
	times := func(n int, e Exit) []Exit {
		var exits []Exit
		for range n {
			exits = append(exits, e)
		}
		return exits
	}
	relaunch := func(d time.Duration) Decision { return Decision{Relaunch: true, Delay: d} }

	for _, tt := range []struct {
		name   string
		policy Policy
		exits  []Exit
		want   Decision // the reason is only checked for being there
		reason bool
	}{
		{"zero value", Policy{}, times(1, crash), relaunch(0), false},
		{"negative delay", Policy{Delay: -1}, times(1, crash), relaunch(0), false},
		{"crash", Policy{Delay: time.Millisecond}, times(1, crash), relaunch(time.Millisecond), false},
		{"clean exit", Policy{Delay: time.Millisecond}, times(1, code(0)), relaunch(time.Millisecond), false},
		{"signal", Policy{Delay: time.Millisecond}, times(1, killed), relaunch(time.Millisecond), false},
		{"never", Policy{Restart: Never}, times(1, crash), Decision{}, true},
		{"never, not run", Policy{Restart: Never}, times(1, missing), Decision{}, true},

		{"code 124 is a crash", Policy{}, times(1, code(124)), relaunch(0), false},
		{"code 125 is not", Policy{}, times(1, code(125)), relaunch(time.Second), true},
		{"code 127 is not", Policy{}, times(1, code(127)), relaunch(time.Second), true},
		{"code 128 is a crash", Policy{}, times(1, code(128)), relaunch(0), false},
		{"launch failure", Policy{Delay: time.Millisecond}, times(1, missing), relaunch(time.Second), true},
		{"launch failure, long delay", Policy{Delay: time.Hour}, times(1, missing), relaunch(time.Hour), false},

		{"nine quick", Policy{}, times(9, quick), relaunch(0), false},
		{"ten quick", Policy{}, times(10, quick), relaunch(100 * time.Millisecond), true},
		{"ten quick, long delay", Policy{Delay: time.Second}, times(10, quick), relaunch(time.Second), false},
		{"ten that lasted", Policy{}, times(10, lasting), relaunch(0), false},
		{"one that lasted forgives", Policy{}, append(append(times(9, quick), lasting), times(9, quick)...), relaunch(0), false},
		{"a launch failure among quick ones", Policy{}, append(times(10, quick), missing), relaunch(time.Second), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var h History
			for _, e := range tt.exits {
				h = h.After(e)
			}
			got := tt.policy.Next(h)
			if (got.Reason != "") != tt.reason {
				t.Errorf("reason %q; want one: %v", got.Reason, tt.reason)
			}
			if got.Reason = ""; got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
