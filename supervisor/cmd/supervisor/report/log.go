package report

import (
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
)

// logEvent logs an event in one line. Unless the output of replicas is shown, the line includes the
// last lines of an incarnation that ended unexpectedly.
func logEvent(log hclog.Logger, e event.Event, shown bool) {
	var args []any
	add := func(key string, value any) { args = append(args, key, value) }
	if e.Replica != "" {
		add("replica", e.Replica)
	}
	if e.Incarnation != 0 {
		add("incarnation", e.Incarnation)
	}
	if e.PID != 0 {
		add("pid", e.PID)
	}
	switch e.Kind {
	case event.KindReady:
		add("after", e.After.Round(time.Microsecond).String())
	case event.KindSignaled:
		add("signal", restart.SignalName(e.Signal))
	case event.KindOutputLost:
		add("lines", e.Lost)
	case event.KindLaunchFailed, event.KindExited, event.KindFinished, event.KindFailed:
		addExit(add, e.Exit)
	}
	if e.Next.Relaunch {
		add("relaunch_in", e.Next.Delay.Round(time.Microsecond).String())
		if e.Next.Reason != "" { // without a relaunch, the next event has the reason
			add("reason", e.Next.Reason)
		}
	}
	if e.Reason != "" {
		add("reason", e.Reason)
	}
	if e.Err != nil {
		add("error", e.Err)
	}
	if !shown && unexpected(e) && len(e.Output) > 0 {
		add("output", strings.Join(e.Output, "\n"))
	}
	log.Log(level(e), e.Kind.String(), args...)
}

func addExit(add func(string, any), e restart.Exit) {
	switch {
	case e.Err != nil:
		add("error", e.Err)
	case e.Signal != 0:
		add("signal", restart.SignalName(e.Signal))
	default:
		add("exit_code", e.Code)
	}
	if e.Uptime > 0 {
		add("uptime", e.Uptime.Round(time.Millisecond).String())
	}
}

// unexpected reports whether the event is an exit that no command caused.
func unexpected(e event.Event) bool {
	return e.Kind == event.KindExited && e.Next != restart.Decision{}
}

func level(e event.Event) hclog.Level {
	switch e.Kind {
	case event.KindLaunchFailed, event.KindFailed:
		return hclog.Error
	case event.KindKilled, event.KindUnhealthy, event.KindUnready, event.KindStillStarting, event.KindDaemonized, event.KindOutputLost, event.KindGuardianLost:
		return hclog.Warn
	case event.KindExited:
		if unexpected(e) && !e.Exit.Success() {
			return hclog.Warn
		}
	case event.KindFinished:
		if !e.Exit.Success() {
			return hclog.Warn
		}
	case event.KindAdded, event.KindRemoved:
		return hclog.Debug
	case event.KindReady:
		if e.After < time.Millisecond { // too early for a probe: there is none
			return hclog.Debug
		}
	}
	return hclog.Info
}
