package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The stop signal of the file goes only to the first process, which stops those that it has
// started.
func TestStopSignalOfTheFile(t *testing.T) {
	script := filepath.Join(t.TempDir(), "wrapper.sh")
	const text = `trap 'echo the leader was told; kill -TERM $child; wait $child; exit' INT
sh -c 'trap "echo the child was told; exit" TERM; trap "echo by the wrong signal" INT; echo up; while :; do sleep 0.01; done' & child=$!
echo ready
wait
`
	if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "serve", "--config", write(t, fmt.Sprintf("replicas: 1\ncommand: [sh, %q]\nstop: {signal: int, to: leader, timeout: 1h}\n", script)))
	p.until(&p.stdout, "both processes", func(text string) bool {
		return strings.Contains(text, "a | up") && strings.Contains(text, "a | ready")
	})
	p.Process.Signal(syscall.SIGTERM)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	contains(t, p.stdout.text(), []string{"a | the leader was told", "a | the child was told"})
	if strings.Contains(p.stdout.text(), "wrong signal") {
		t.Error("the child was sent the signal too")
	}
}
