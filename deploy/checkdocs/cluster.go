package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// crashes is the line of deploy/cluster.yaml that makes its replicas crash.
const crashes = "  - --p-crash=0.3\n"

// startCluster starts the cluster of deploy/cluster.yaml in dir with additional flags for its
// supervisor, and returns when its replicas are ready. The seed determines when they crash.
func (c *checker) startCluster(ctx context.Context, dir, flags string, seed int) (stop func(), err error) {
	args := strings.Fields(flags)
	if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--config") }) {
		text, err := os.ReadFile(filepath.Join(dir, "deploy/cluster.yaml"))
		if err != nil {
			return nil, err
		}
		seeded := strings.Replace(string(text), crashes, fmt.Sprintf("%s  - --seed=%d\n", crashes, seed), 1)
		if seeded == string(text) {
			return nil, fmt.Errorf("deploy/cluster.yaml has no line %q", crashes)
		}
		config := filepath.Join("deploy", "cluster-of-docs.yaml")
		if err := os.WriteFile(filepath.Join(dir, config), []byte(seeded), 0o644); err != nil {
			return nil, err
		}
		args = append([]string{"--config", config}, args...)
	}
	ready, socket, err := listenNotify(c.scratch)
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	log, err := os.Create(filepath.Join(c.scratch, "cluster.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(dir, "bin", "supervisor"), args...)
	cmd.Dir = dir
	cmd.Env = append(c.environment(dir), "NOTIFY_SOCKET="+socket)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(stopTimeout):
		}
		endGroup(cmd.Process.Pid)
	}
	select {
	case <-notified(ready):
		return stop, nil
	case err := <-ended:
		ended <- err
		text, _ := os.ReadFile(log.Name())
		return nil, fmt.Errorf("the cluster ended: %v: %s", err, lastLine(string(text)))
	case <-time.After(blockTimeout):
		stop()
		return nil, fmt.Errorf("the cluster was not ready within %v", blockTimeout)
	case <-ctx.Done():
		stop()
		return nil, ctx.Err()
	}
}

// listenNotify listens as a service manager does; see sd_notify(3).
func listenNotify(dir string) (conn *net.UnixConn, path string, err error) {
	path = filepath.Join(dir, "notify")
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, "", err
	}
	conn, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	return conn, path, err
}

// notified is closed when the supervisor says that all its replicas are ready.
func notified(conn *net.UnixConn) <-chan struct{} {
	ready := make(chan struct{})
	go func() {
		message := make([]byte, 4096)
		for {
			n, err := conn.Read(message)
			if err != nil {
				return
			}
			if slices.Contains(strings.Split(string(message[:n]), "\n"), "READY=1") {
				close(ready)
				return
			}
		}
	}()
	return ready
}

// lastLine returns the last line of a text that is not blank, without colors.
func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(escape.ReplaceAllString(text, "")), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}
