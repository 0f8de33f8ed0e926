package integration

import (
	"strings"
	"testing"
)

// What a new user does: the committed cluster file, and the command that its banner suggests.
func TestCommittedClusterFile(t *testing.T) {
	long(t, "3 s of calls to replicas that crash")
	t.Parallel()
	c := launch(t, 3, []string{"--config", clusterFile, withControl, "--stop-timeout=1m"})
	var words []string
	c.await(&c.stdout, "banner with a crashlab load", func(line string) bool {
		fields := strings.Fields(line)
		if words == nil && (len(fields) < 2 || fields[0] != "bin/crashlab" || fields[1] != "load") {
			return false
		}
		words = append(words, fields...)
		last := len(words) - 1
		if words[last] != `\` {
			return true
		}
		words = words[:last] // the command goes on in the next line
		return false
	})
	c.await(&c.stdout, "rest of it", func(line string) bool {
		return strings.Contains(line, "grpcurl -plaintext "+c.addrs[0]+" counter.v1.Counter/Get")
	})
	containsAll(t, c.stdout.String(), "Replicas listen at "+strings.Join(c.addrs, ",")+".")

	code, stdout, stderr := run(t, "crashlab", words[1:]...)
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
	parseReport(t, stdout).check(t, 50, c.addrs)
}
