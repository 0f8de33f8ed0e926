package supervisor

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// The kernel has a limit on descriptors that not even root may exceed. Who is root is not told to become it.
func TestMoreDescriptorsThanTheKernelAllows(t *testing.T) {
	needsLimits(t)
	r := start(t, one(Replica{
		Args: []string{"sleep", "300"}, Limits: Limits{Rlimits: map[string]Rlimit{"nofile": {Unlimited, Unlimited}}},
	}, later))
	got, want := fmt.Sprint(r.event(EventLaunchFailed, 1).Exit.Err), "takes root"
	if os.Geteuid() == 0 {
		want = "fs.nr_open"
	}
	for _, reason := range []string{"takes root", "fs.nr_open"} {
		if strings.Contains(got, reason) != (reason == want) {
			t.Errorf("%q, want %q alone", got, want)
		}
	}
	if !strings.Contains(got, "rlimit nofile: ") {
		t.Errorf("%q does not name the limit", got)
	}
}
