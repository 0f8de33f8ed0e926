package supervisor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/process/processtest"
	"example.com/crashlab/supervisor/internal/process/tree"
	"example.com/crashlab/supervisor/restart"
)

// A supervisor whose user has reached the limit on processes reports failed launches, and keeps
// running.
func TestProcessLimit(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: takes seconds")
	}
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become a user without other processes")
	}
	// The other user cannot enter the directory of t.TempDir.
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "program")
	copyFile(t, os.Args[0], program)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	mark := "SUPERVISOR_TEST_MARK=" + tree.RandomID()
	cmd := exec.Command(program)
	cmd.Dir, cmd.Stderr = "/", os.Stderr
	cmd.Env = append(os.Environ(), childMode+"=limited", "GORACE=atexit_sleep_ms=0", mark)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 54321, Gid: 54321}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Skip("needs root that can become any user: ", err)
	}
	defer cmd.Process.Kill()
	failed := 0
	in := bufio.NewScanner(out)
	for failed < 20 && in.Scan() {
		if strings.HasPrefix(in.Text(), event.KindLaunchFailed.String()) {
			failed++
		}
	}
	if failed < 20 {
		t.Errorf("it ended after %d failed launches", failed)
	}
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_, _ = io.Copy(io.Discard, out)
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended: %v", err)
	}
	if left, _ := processtest.WithMark(mark, ""); len(left) > 0 {
		t.Errorf("processes left: %v", left)
	}
}

func init() {
	parts["limited"] = func() {
		if err := unix.Setrlimit(unix.RLIMIT_NPROC, &unix.Rlimit{Cur: 60, Max: 60}); err != nil {
			panic(err)
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		const forks = `i=0; while [ $i -lt 12 ]; do sleep 300 & i=$((i+1)); done; wait`
		c := many(10, restart.Policy{Exact: true}, func(int) []string { return []string{"/bin/sh", "-c", forks} })
		c.OnEvent = func(e event.Event) { fmt.Println(e.Kind, e.Replica, e.Err, e.Exit) }
		c.Guardian = []string{"env", "GORACE=atexit_sleep_ms=0", childMode + "=guard", os.Args[0]}
		if err := run(ctx, c); err != nil {
			panic(err)
		}
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}
