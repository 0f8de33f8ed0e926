package main

import (
	"testing"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

func TestOutcome(t *testing.T) {
	ready := 0
	o := newOutcome([]spec.Replica{{Name: "a"}, {Name: "b"}}, func() { ready++ })
	note := func(k event.Kind, replica string, code int) {
		o.note(event.Event{Kind: k, Replica: replica, Exit: restart.Exit{Code: code}})
	}
	note(event.KindReady, "a", 0)
	note(event.KindReady, "a", 0)
	if ready != 0 {
		t.Error("all are ready before b is")
	}
	note(event.KindReady, "b", 0)
	note(event.KindReady, "b", 0)
	if ready != 1 {
		t.Errorf("allReady was called %d times, want once", ready)
	}
	note(event.KindFinished, "a", 0)
	if err := o.err(); err != nil {
		t.Errorf("error %v after a success", err)
	}
	note(event.KindFinished, "a", 3)
	note(event.KindFailed, "b", 4)
	if err := o.err(); err == nil || err.Error() != "2 replicas have failed: a (exit code 3), b (exit code 4)" {
		t.Errorf("error %v", err)
	}
	note(event.KindLaunched, "b", 0)
	if err := o.err(); err == nil || err.Error() != "replica a (exit code 3) has failed" {
		t.Errorf("error %v", err)
	}
}

// Replicas that have finished successfully or been removed are not waited for.
func TestOutcomeOfReplicasThatAreNeverReady(t *testing.T) {
	ready := 0
	o := newOutcome([]spec.Replica{{Name: "a"}, {Name: "b"}, {Name: "c"}}, func() { ready++ })
	for _, e := range []event.Event{
		{Kind: event.KindFinished, Replica: "a"},
		{Kind: event.KindFinished, Replica: "c", Exit: restart.Exit{Code: 3}},
		{Kind: event.KindFailed, Replica: "b", Exit: restart.Exit{Code: 4}},
		{Kind: event.KindRemoved, Replica: "b", Reason: "it was removed"},
		{Kind: event.KindRemoved, Replica: "c", Reason: event.ReasonEnd},
	} {
		o.note(e)
	}
	if ready != 0 {
		t.Error("all are ready although c has failed")
	}
	if err := o.err(); err == nil || err.Error() != "replica c (exit code 3) has failed" {
		t.Errorf("error %v", err)
	}
	o.note(event.Event{Kind: event.KindRemoved, Replica: "c", Reason: "it was removed"})
	if err := o.err(); ready != 1 || err != nil {
		t.Errorf("allReady was called %d times, error %v; want once, and none", ready, err)
	}
}
