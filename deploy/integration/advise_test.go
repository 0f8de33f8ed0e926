package integration

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// fits checks that the lines of a text fit into 80 columns.
func fits(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "        ")) > 81 {
			t.Errorf("longer than 80 columns: %s", line)
		}
	}
}

// Advice is verified on a real cluster, and can be given again from the records of that run.
func TestAdviceOnRealClusters(t *testing.T) {
	long(t, "a search for a policy, and clusters under it")
	t.Parallel()
	runs := filepath.Join(t.TempDir(), "runs")
	code, stdout, stderr := run(t, "crashlab", "advise", "--success=0.5", "--p99=1m", "--p-crash=0.1", "--restart-delay=50ms",
		"--service-time=1ms", "--concurrency=2", "--verify", "--repeats=2", "--parallel=2", "--runs="+runs)
	held := strings.HasSuffix(stdout, "\nThe advice held.\n") // it may not hold on a machine that stalls
	if held != (code == 0) || code == 2 {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	containsAll(t, stdout, "ADVICE   ", "checks: no violation")
	fits(t, strings.ReplaceAll(stdout, filepath.Dir(runs), ""))

	var seen struct{ Engine string }
	if err := json.Unmarshal([]byte(reportOf(t, filepath.Join(runs, "latest"), "--format", "json")), &seen); err != nil || seen.Engine != "processes" {
		t.Errorf("engine %q, %v", seen.Engine, err)
	}
	code, stdout, stderr = run(t, "crashlab", "advise", "--success=0.5", "--p99=1m", "--from="+filepath.Join(runs, "latest"))
	if code != 0 || !strings.HasPrefix(stdout, "measured in ") || !strings.Contains(stdout, "concurrency 2\n") {
		t.Errorf("from the run: exit code %d\n%s%s", code, stdout, stderr)
	}
}
