package supervisor

import (
	"slices"
	"testing"
)

func TestNoticeMakesReady(t *testing.T) {
	messages := slices.Repeat([]string{"STATUS=READY=1 soon"}, 50) // more than a socket holds
	for _, tt := range []struct {
		name    string
		replica Replica
	}{
		{name: "the process", replica: child("ready", append(messages, "STATUS=up\nREADY=1\n")...)},
		{name: "a child that has ended", replica: Replica{
			Args: append([]string{"/bin/sh", "-c", `"$@"; exec sleep 300`, "sh"}, as("notice", "READY=1")...),
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.replica.Ready.Kind = ProbeNotify
			r := start(t, one(tt.replica, Policy{}))
			r.event(EventReady, 1)
		})
	}
}

func TestSaysReady(t *testing.T) {
	for message, want := range map[string]bool{
		"READY=1": true, "READY=1\n": true, "STATUS=x\nREADY=1": true, "READY=1\nMAINPID=3": true,
		"": false, "READY=0": false, "READY=12": false, "STATUS=READY=1": false, "XREADY=1": false,
	} {
		if got := saysReady([]byte(message)); got != want {
			t.Errorf("message %q says ready: %v", message, got)
		}
	}
}
