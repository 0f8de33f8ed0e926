package supervisor

import (
	"slices"
	"testing"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/restart"
	"example.com/crashlab/supervisor/spec"
)

func TestNotificationMakesReady(t *testing.T) {
	messages := slices.Repeat([]string{"STATUS=READY=1 soon"}, 50) // more than fit into the socket's queue
	for _, tt := range []struct {
		name    string
		replica spec.Replica
	}{
		{name: "the process", replica: child("ready", append(messages, "STATUS=up\nREADY=1\n")...)},
		{name: "a child that has ended", replica: spec.Replica{
			Args: append([]string{"/bin/sh", "-c", `"$@"; exec sleep 300`, "sh"}, as("notice", "READY=1")...),
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.replica.Ready.Kind = spec.ProbeNotify
			r := start(t, one(tt.replica, restart.Policy{}))
			r.event(event.KindReady, 1)
		})
	}
}
