package main

import (
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/restart"
)

// logEvent logs an event in one line. The last lines of an incarnation that
// ended by itself are in it unless they were shown already.
func logEvent(log hclog.Logger, e supervisor.Event, shown bool) {
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
	case supervisor.EventReady:
		add("after", e.After.Round(time.Microsecond).String())
	case supervisor.EventSignaled:
		add("signal", restart.SignalName(e.Signal))
	case supervisor.EventOutputLost:
		add("lines", e.Lost)
	case supervisor.EventLaunchFailed, supervisor.EventExited, supervisor.EventFinished, supervisor.EventFailed:
		addExit(add, e.Exit)
	}
	if e.Next.Relaunch {
		add("relaunch_in", e.Next.Delay.Round(time.Microsecond).String())
		if e.Next.Reason != "" { // else the event that follows has it
			add("reason", e.Next.Reason)
		}
	}
	if e.Reason != "" {
		add("reason", e.Reason)
	}
	if e.Err != nil {
		add("error", e.Err)
	}
	if !shown && unasked(e) && len(e.Output) > 0 {
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

// unasked reports that an incarnation ended though nobody had told it to.
func unasked(e supervisor.Event) bool {
	return e.Kind == supervisor.EventExited && e.Next != restart.Decision{}
}

func level(e supervisor.Event) hclog.Level {
	switch e.Kind {
	case supervisor.EventLaunchFailed, supervisor.EventFailed:
		return hclog.Error
	case supervisor.EventKilled, supervisor.EventUnhealthy, supervisor.EventUnready, supervisor.EventStillStarting, supervisor.EventDaemonized, supervisor.EventOutputLost, supervisor.EventGuardianLost:
		return hclog.Warn
	case supervisor.EventExited:
		if unasked(e) && !e.Exit.Success() {
			return hclog.Warn
		}
	case supervisor.EventFinished:
		if !e.Exit.Success() {
			return hclog.Warn
		}
	case supervisor.EventAdded, supervisor.EventRemoved:
		return hclog.Debug
	case supervisor.EventReady:
		if e.After < time.Millisecond { // that soon, it was not asked
			return hclog.Debug
		}
	}
	return hclog.Info
}
