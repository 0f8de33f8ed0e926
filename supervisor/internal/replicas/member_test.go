package replicas

import (
	"testing"

	"example.com/crashlab/supervisor/spec"
)

// A process that was launched without NOTIFY_SOCKET cannot report that it is ready.
func TestSameProcess(t *testing.T) {
	if sameProcess(spec.Replica{}, spec.Replica{Ready: spec.Probe{Kind: spec.ProbeNotify}}) {
		t.Error("the process of a replica without a NOTIFY_SOCKET counts as one that has it")
	}
	if !sameProcess(spec.Replica{}, spec.Replica{Ready: spec.Probe{Kind: spec.ProbeTCP}, StopTimeout: 1, StartTimeout: 1}) {
		t.Error("another probe counts as another process")
	}
}
