package main

import (
	"testing"

	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/restart"
)

func TestOutcome(t *testing.T) {
	ready := 0
	o := newOutcome([]supervisor.Replica{{Name: "a"}, {Name: "b"}}, func() { ready++ })
	note := func(k supervisor.EventKind, replica string, code int) {
		o.note(supervisor.Event{Kind: k, Replica: replica, Exit: restart.Exit{Code: code}})
	}
	note(supervisor.EventReady, "a", 0)
	note(supervisor.EventReady, "a", 0)
	if ready != 0 {
		t.Error("all are ready before b is")
	}
	note(supervisor.EventReady, "b", 0)
	note(supervisor.EventReady, "b", 0)
	if ready != 1 {
		t.Errorf("told %d times that all are ready, want once", ready)
	}
	note(supervisor.EventFinished, "a", 0)
	if err := o.err(); err != nil {
		t.Errorf("error %v after a success", err)
	}
	note(supervisor.EventFinished, "a", 3)
	note(supervisor.EventFailed, "b", 4)
	if err := o.err(); err == nil || err.Error() != "2 replicas have failed: a (exit code 3), b (exit code 4)" {
		t.Errorf("error %v", err)
	}
	note(supervisor.EventLaunched, "b", 0)
	if err := o.err(); err == nil || err.Error() != "replica a (exit code 3) has failed" {
		t.Errorf("error %v", err)
	}
}
