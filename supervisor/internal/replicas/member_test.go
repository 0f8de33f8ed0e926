package replicas

import (
	"testing"

	"example.com/crashlab/supervisor/spec"
)

// A group may have the name of its own replica, but not that of another group's.
func TestGroupNamedLikeAReplica(t *testing.T) {
	of := func(name, replica string) spec.Group {
		return spec.Group{Name: name, Count: 1, Replica: func(int) spec.Replica {
			return spec.Replica{Name: replica, Args: []string{"service"}}
		}}
	}
	if err := Check([]spec.Group{of("web", "web"), of("web-a", "x"), of("", "y")}, false); err != nil {
		t.Error(err)
	}
	err := Check([]spec.Group{of("web-a", "x"), of("web", "web-a")}, false)
	if want := `group name "web-a" is also that of a replica of group "web"`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// A process that was launched without NOTIFY_SOCKET cannot report that it is ready.
func TestSameProcess(t *testing.T) {
	if sameProcess(spec.Replica{}, spec.Replica{Ready: spec.Probe{Kind: spec.ProbeNotify}}) {
		t.Error("the process of a replica without a NOTIFY_SOCKET counts as one that has it")
	}
	if !sameProcess(spec.Replica{}, spec.Replica{Ready: spec.Probe{Kind: spec.ProbeTCP}, StopTimeout: 1, StartTimeout: 1}) {
		t.Error("another probe counts as another process")
	}
}
