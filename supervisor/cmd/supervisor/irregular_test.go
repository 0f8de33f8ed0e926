package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"example.com/crashlab/supervisor/internal/process/processtest"
)

func fifo(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// If a path that requires a regular file names something else, the error names it at once, without
// waiting for the other end of a pipe.
func TestOnlyRegularFiles(t *testing.T) {
	t.Parallel()
	dir, state := t.TempDir(), fifo(t, "lock")
	pem := fifo(t, "a.pem")
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--config", dir}, 2, "--config: " + dir + ": a directory: want a regular file or a pipe"},
		{[]string{"--config", os.DevNull}, 2, "--config: /dev/null: a device: want a regular file or a pipe"},
		{[]string{"--state-dir", filepath.Dir(state), "--", "true"}, 1, "state directory: " + state + ": a pipe: want a regular file"},
		{[]string{"--tls-cert", pem, "--tls-key", pem, "--", "true"}, 2, pem + ": a pipe: want a regular file"},
		{[]string{"--tls-ca", pem, "--", "true"}, 2, pem + ": a pipe: want a regular file"},
		{[]string{"ctl", "--tls-ca", dir, "list"}, 2, dir + ": a directory: want a regular file or a pipe"},
	} {
		p := start(t, "", tt.args...)
		if code := p.ends(); code != tt.code || !strings.HasSuffix(p.stderr.text(), tt.want) || strings.Contains(p.stderr.text(), "\n") {
			t.Errorf("%s: exit code %d, %s; want %d and %s", tt.args, code, p.stderr.text(), tt.code, tt.want)
		}
	}
}

// If a log file is not a regular file, only its lines are lost.
func TestLogFileThatIsAPipe(t *testing.T) {
	t.Parallel()
	path := fifo(t, "a.log")
	p := start(t, "serve", "--replicas=2", "--log-dir", filepath.Dir(path), "--", os.Args[0])
	p.pids(2)
	p.until(&p.stderr, "news of the pipe", func(text string) bool {
		return regexp.MustCompile(`lines lost: sink=log_dir lines=\d+ total=\d+ replica=a error="` + path + `: want a regular file, not p`).MatchString(text)
	})
	p.Process.Signal(syscall.SIGTERM)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if text, err := os.ReadFile(filepath.Join(filepath.Dir(path), "b.log")); err != nil || !strings.Contains(string(text), " up 1 ") {
		t.Errorf("the other log file has %q, %v", text, err)
	}
}

// As in supervisor --config <(COMMAND). The pipe is gone afterwards, so it is not read again.
func TestClusterFileFromAPipe(t *testing.T) {
	t.Parallel()
	path := fifo(t, "cluster.yaml")
	p := start(t, "serve", "--config", path)
	if err := os.WriteFile(path, fmt.Appendf(nil, "replicas: 1\ncommand: [%q]\n", os.Args[0]), 0); err != nil {
		t.Fatal(err)
	}
	pid := p.pids(1)[0]
	p.Process.Signal(syscall.SIGHUP)
	p.until(&p.stderr, "news of the pipe", func(text string) bool {
		return strings.Contains(text, "reload failed, nothing has changed") && strings.Contains(text, path+": a pipe: want a regular file")
	})
	if !processtest.Alive(pid) {
		t.Error("the replica is dead")
	}
	p.Process.Signal(syscall.SIGTERM)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// A malicious file changes nothing, and does not end the supervisor.
func TestReloadOfADeepFile(t *testing.T) {
	t.Parallel()
	text := fmt.Sprintf("replicas: 1\ncommand: [%q]\n", os.Args[0])
	p := start(t, "serve", "--config", write(t, text))
	pid := p.pids(1)[0]
	p.reload("command: "+strings.Repeat("[", 10_000), ":1:41: more than 32 lists and mappings in each other")
	p.reload("command: "+strings.Repeat("[", 100_000), ": larger than 64 KiB: want a smaller file")
	p.reload("command: &a [x]\nenv: {A: *a}\n", "want a value without anchors, aliases and tags")
	if err := errors.Join(os.Remove(p.config), syscall.Mkfifo(p.config, 0o600)); err != nil {
		t.Fatal(err)
	}
	p.Process.Signal(syscall.SIGHUP)
	p.until(&p.stderr, "news of the pipe", func(text string) bool { return strings.Contains(text, ": a pipe: want a regular file") })
	if err := os.Remove(p.config); err != nil {
		t.Fatal(err)
	}
	p.reload(text, "[INFO]  supervisor: reloaded")
	if !processtest.Alive(pid) {
		t.Error("the replica was restarted")
	}
	for line := range strings.Lines(p.stderr.text()) {
		if len(line) > 1000 {
			t.Errorf("%d bytes in a line: %.200s", len(line), line)
		}
	}
	p.Process.Signal(syscall.SIGTERM)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
