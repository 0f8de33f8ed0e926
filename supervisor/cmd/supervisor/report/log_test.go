package report

import (
	"bytes"
	"errors"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
)

func TestLogEvent(t *testing.T) {
	crash := restart.Exit{Code: 3, Uptime: 1234567 * time.Microsecond}
	relaunch := restart.Decision{Relaunch: true, Delay: 500 * time.Millisecond}
	gaveUp := restart.Decision{GiveUp: true, Reason: "5 exits within 1m0s"}
	for _, tt := range []struct {
		e      event.Event
		hidden bool // the output is not shown
		want   string
	}{
		{e: event.Event{Kind: event.KindAdded, Replica: "a"}, want: "[DEBUG] added: replica=a"},
		{e: event.Event{Kind: event.KindChanged, Replica: "a", Incarnation: 1, PID: 42}, want: "[INFO]  changed: replica=a incarnation=1 pid=42"},
		{e: event.Event{Kind: event.KindRemoved, Replica: "a", Incarnation: 1}, want: "[DEBUG] removed: replica=a incarnation=1"},
		{e: event.Event{Kind: event.KindLaunched, Replica: "a", Incarnation: 1, PID: 42}, want: "[INFO]  launched: replica=a incarnation=1 pid=42"},
		{
			e: event.Event{
				Kind: event.KindLaunchFailed, Replica: "a", Incarnation: 1, Exit: restart.Exit{Code: -1, Err: errors.New("no such file")},
				Next: restart.Decision{Relaunch: true, Delay: time.Second, Reason: "the program did not run"},
			},
			want: `[ERROR] launch failed: replica=a incarnation=1 error="no such file" relaunch_in=1s reason="the program did not run"`,
		},
		{
			e:    event.Event{Kind: event.KindReady, Replica: "a", Incarnation: 1, PID: 42, After: 1234567 * time.Nanosecond},
			want: "[INFO]  ready: replica=a incarnation=1 pid=42 after=1.235ms",
		},
		{
			e:    event.Event{Kind: event.KindReady, Replica: "a", Incarnation: 1, PID: 42, After: 1234 * time.Nanosecond},
			want: "[DEBUG] ready: replica=a incarnation=1 pid=42 after=\"1µs\"",
		},
		{
			e:    event.Event{Kind: event.KindUnhealthy, Replica: "a", Incarnation: 1, PID: 42, Err: errors.New("no answer")},
			want: `[WARN]  unhealthy: replica=a incarnation=1 pid=42 error="no answer"`,
		},
		{
			e:    event.Event{Kind: event.KindStopping, Replica: "a", Incarnation: 1, PID: 42, Reason: "asked for"},
			want: `[INFO]  stopping: replica=a incarnation=1 pid=42 reason="asked for"`,
		},
		{
			e:    event.Event{Kind: event.KindKilled, Replica: "a", Incarnation: 1, PID: 42, Reason: "asked for"},
			want: `[WARN]  killed: replica=a incarnation=1 pid=42 reason="asked for"`,
		},
		{
			e:    event.Event{Kind: event.KindSignaled, Replica: "a", Incarnation: 1, PID: 42, Signal: syscall.SIGSTOP},
			want: "[INFO]  signaled: replica=a incarnation=1 pid=42 signal=SIGSTOP",
		},
		{
			e: event.Event{
				Kind: event.KindExited, Replica: "a", Incarnation: 1, PID: 42, Exit: crash, Next: relaunch,
				Output: []string{"panic:", "at x.go"},
			},
			want: "[WARN]  exited: replica=a incarnation=1 pid=42 exit_code=3 uptime=1.235s relaunch_in=500ms",
		},
		{
			e: event.Event{
				Kind: event.KindExited, Replica: "a", Incarnation: 1, PID: 42, Exit: crash, Next: relaunch,
				Output: []string{"panic:", "at x.go"},
			},
			hidden: true,
			want: "[WARN]  exited: replica=a incarnation=1 pid=42 exit_code=3 uptime=1.235s relaunch_in=500ms" +
				"\n  output=\n  | panic:\n  | at x.go\n  ",
		},
		{
			e:    event.Event{Kind: event.KindExited, Replica: "a", Incarnation: 1, PID: 42, Exit: crash, Next: gaveUp},
			want: "[WARN]  exited: replica=a incarnation=1 pid=42 exit_code=3 uptime=1.235s",
		},
		{
			e: event.Event{
				Kind: event.KindExited, Replica: "a", Incarnation: 1, PID: 42, Output: []string{"bye"},
				Exit: restart.Exit{Code: -1, Signal: syscall.SIGTERM, Uptime: time.Minute},
			},
			hidden: true, // though hidden, as the exit was requested
			want:   "[INFO]  exited: replica=a incarnation=1 pid=42 signal=SIGTERM uptime=1m0s",
		},
		{e: event.Event{Kind: event.KindStopped, Replica: "a", Incarnation: 1}, want: "[INFO]  stopped: replica=a incarnation=1"},
		{
			e:    event.Event{Kind: event.KindFinished, Replica: "a", Incarnation: 1, Reason: "restart is never"},
			want: `[INFO]  finished: replica=a incarnation=1 exit_code=0 reason="restart is never"`,
		},
		{
			e:    event.Event{Kind: event.KindFailed, Replica: "a", Incarnation: 1, Exit: crash, Reason: gaveUp.Reason},
			want: `[ERROR] failed: replica=a incarnation=1 exit_code=3 uptime=1.235s reason="5 exits within 1m0s"`,
		},
		{e: event.Event{Kind: event.KindOutputLost, Replica: "a", Lost: 99}, want: "[WARN]  output lost: replica=a lines=99"},
		{
			e:    event.Event{Kind: event.KindStillStarting, Replica: "a", Incarnation: 1, PID: 42, Err: errors.New("not ready within 10s: refused")},
			want: `[WARN]  still starting: replica=a incarnation=1 pid=42 error="not ready within 10s: refused"`,
		},
		{e: event.Event{Kind: event.KindGuardianLost, Err: errors.New("exit status 1")}, want: `[WARN]  guardian lost: error="exit status 1"`},
	} {
		var b bytes.Buffer
		log := hclog.New(&hclog.LoggerOptions{Output: &b, Level: hclog.Trace, DisableTime: true})
		logEvent(log, tt.e, !tt.hidden)
		if got := b.String(); got != tt.want+"\n" {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
