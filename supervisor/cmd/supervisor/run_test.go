package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/process/processtest"
	"example.com/crashlab/supervisor/restart"
)

func TestSignalStopsAll(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		t.Run(restart.SignalName(sig), func(t *testing.T) { testSignalStopsAll(t, sig) })
	}
}

func TestHangupStopsWhereThereIsNoFile(t *testing.T) {
	p := start(t, "serve", "--replicas=1", "--", os.Args[0])
	p.pids(1)
	p.Process.Signal(syscall.SIGHUP)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func testSignalStopsAll(t *testing.T, sig syscall.Signal) {
	base := freePorts(t, 3)
	config := write(t, fmt.Sprintf(`
base_port: %d
command: [%q, "{addr}"]
ready: tcp
stop_timeout: 1h
banner: |
  call {addr} or any of {addrs}
`, base, os.Args[0]))
	p := start(t, "listen", "--config", config)
	banner := fmt.Sprintf("call 127.0.0.1:%d or any of 127.0.0.1:%[1]d,127.0.0.1:%d,127.0.0.1:%d", base, base+1, base+2)
	p.until(&p.stdout, "banner", func(text string) bool { return strings.Contains(text, banner) })
	pids := p.pids(3)
	p.Process.Signal(sig)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	for _, pid := range pids {
		if processtest.Alive(pid) {
			t.Errorf("replica %d is alive", pid)
		}
	}
	if n := strings.Count(p.stderr.text(), "signal=SIGTERM uptime="); n != 3 {
		t.Errorf("%d replicas ended by SIGTERM, want 3", n)
	}
}

// As in `supervisor 2>&1 | tee log`, where Ctrl-C ends the reader of the output first.
func TestStopsInOrderWithoutAReader(t *testing.T) {
	stopped := filepath.Join(t.TempDir(), "stopped")
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, "--replicas", "1", "--stop-timeout", "1h", "--", "sh", "-c", `trap 'echo yes >"$0"; exit' TERM; echo up; while :; do sleep 0.01; done`, stopped)
	cmd.Stdout, cmd.Stderr = write, write
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	for out := bufio.NewReader(read); ; {
		line, err := out.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "a | up\n" {
			break
		}
	}
	read.Close()
	cmd.Process.Signal(syscall.SIGINT)
	if err := cmd.Wait(); err != nil {
		t.Errorf("the supervisor ended with %v", err)
	}
	if _, err := os.Stat(stopped); err != nil {
		t.Errorf("the replica was not stopped in order: %v", err)
	}
}

func TestSecondSignalKills(t *testing.T) {
	p := start(t, "deaf", "--replicas", "2", "--stop-timeout", "1h", "--", os.Args[0])
	pids := p.pids(2)
	p.Process.Signal(syscall.SIGINT)
	p.until(&p.stderr, "news of the stop", func(text string) bool { return strings.Count(text, "stopping: replica") == 2 })
	p.Process.Signal(syscall.SIGTERM)
	if code := p.ends(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	for _, pid := range pids {
		if processtest.Alive(pid) {
			t.Errorf("replica %d is alive", pid)
		}
	}
}

// As after Ctrl-S: the log accepts no more lines, which must not delay the end.
func TestStuckLogDoesNotDelayTheEnd(t *testing.T) {
	for name, tt := range map[string]struct {
		script  string
		signals []syscall.Signal
		code    int
	}{
		"a signal":    {"echo up $$; exec sleep 1000", []syscall.Signal{syscall.SIGTERM}, 0},
		"two signals": {"trap '' TERM; echo up $$; while :; do sleep 1; done", []syscall.Signal{syscall.SIGINT, syscall.SIGTERM}, 1},
		"by itself":   {"echo up $$; exit 3", nil, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read, full, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer read.Close()
			fillPipe(t, full)
			cmd := exec.Command(binary, "--replicas=1", "--restart=never", "--stop-timeout=1h", "--", "sh", "-c", tt.script)
			cmd.Stderr = full
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer time.AfterFunc(patience, func() { cmd.Process.Kill() }).Stop()
			full.Close()
			var pid int
			if _, err := fmt.Fscanf(stdout, "a | up %d\n", &pid); err != nil {
				t.Fatal(err)
			}
			for _, sig := range tt.signals {
				cmd.Process.Signal(sig)
			}
			cmd.Wait()
			if code := cmd.ProcessState.ExitCode(); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			processtest.WaitDead(t, pid)
		})
	}
}

// fillPipe writes to a pipe until it is full.
func fillPipe(t *testing.T, pipe *os.File) {
	t.Helper()
	raw, err := pipe.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var full error
	err = raw.Write(func(fd uintptr) bool {
		for _, size := range []int{4096, 1} {
			for full = nil; full == nil || full == syscall.EINTR; {
				_, full = syscall.Write(int(fd), make([]byte, size))
			}
		}
		return true
	})
	if err != nil || full != syscall.EAGAIN {
		t.Fatal(err, full)
	}
}

func TestKilledSupervisorLeavesNothing(t *testing.T) {
	p := start(t, "deaf", "--", "sh", "-c", `"$0" & wait`, os.Args[0])
	pids := p.pids(3) // the shells' children: the parent-death signal does not reach them
	p.Process.Kill()
	processtest.WaitDead(t, pids...)
}

func TestPortInUse(t *testing.T) {
	base := freePorts(t, 3)
	taken, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+1))
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	flag := fmt.Sprintf("--base-port=%d", base)

	p := start(t, "listen", flag, "--", os.Args[0], "{addr}")
	if code := p.ends(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	want := fmt.Sprintf("supervisor: replica b: %v is in use by another process; choose another --base-port", taken.Addr())
	if got := p.stderr.text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := p.stdout.text(); got != "" {
		t.Errorf("launched: %s", got)
	}

	t.Run("by a command without ports", func(t *testing.T) {
		p := start(t, "", flag, "--restart=never", "--", "true")
		if code := p.ends(); code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
	})
}

func TestCrashIsLogged(t *testing.T) {
	p := start(t, "crash", "--replicas=1", "--restart-delay=17ms", "--log-json", "--", os.Args[0])
	p.until(&p.stdout, "second incarnation", func(text string) bool { return strings.Contains(text, "up 2 ") })
	p.until(&p.stderr, "line of the exit", func(text string) bool { return strings.Contains(text, `"exited"`) })
	for line := range strings.Lines(p.stderr.text()) {
		var got map[string]any
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if got["@message"] != "exited" {
			continue
		}
		for key, want := range map[string]any{
			"@level": "warn", "@module": "supervisor", "replica": "a", "incarnation": 1.0, "exit_code": 3.0, "relaunch_in": "17ms",
		} {
			if got[key] != want {
				t.Errorf("%s is %v, want %v, in %s", key, got[key], want, line)
			}
		}
		if got["pid"] == nil || got["uptime"] == nil || got["output"] != nil {
			t.Errorf("no pid, no uptime, or lines that stdout has already, in %s", line)
		}
		return
	}
	t.Errorf("no line tells of the exit")
}

// With a control service, the supervisor continues after all replicas are stopped: they may be
// started again.
func TestContinuesWithAControlService(t *testing.T) {
	dir := socketDir(t)
	addr := "unix://" + filepath.Join(dir, "s")
	p := start(t, "serve", "--replicas=1", "--control", addr, "--", os.Args[0])
	p.pids(1)
	for _, command := range []string{"stop", "start"} {
		if _, stderr, code := runCtl(t, addr, command, "--all"); code != 0 {
			t.Errorf("%s: exit code %d: %s", command, code, stderr)
		}
	}
	p.until(&p.stdout, "second incarnation", func(text string) bool { return strings.Contains(text, "up 2 ") })
	p.Process.Signal(syscall.SIGTERM)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if _, err := os.Lstat(filepath.Join(dir, "s")); err == nil {
		t.Error("the socket is left")
	}
}

// The paths in a cluster file are relative to its directory, those of flags to the working
// directory.
func TestPathsAreRelativeToTheFile(t *testing.T) {
	home, err := filepath.EvalSymlinks(t.TempDir())
	if err := errors.Join(err, os.MkdirAll(home+"/etc/data", 0o700), os.Mkdir(home+"/work", 0o700)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"tool":         "#!/bin/sh\necho \"$GREETING from $PWD\"\nexec sleep 300\n",
		"vars.env":     "GREETING=hello\n",
		"cluster.yaml": "replicas: 1\ncommand: [./tool]\nenv_file: vars.env\nevents: ../e.jsonl\nlog_dir: logs\n",
	} {
		if err := os.WriteFile(filepath.Join(home, "etc", name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	p := prepare(t, "", "--config", "../etc/cluster.yaml", "--state-dir", "state")
	p.Dir = filepath.Join(home, "work")
	p.launch()
	p.until(&p.stdout, "the replica's line", func(text string) bool { return text == "a | hello from "+home+"/work" })
	p.config = filepath.Join(home, "etc", "cluster.yaml")
	p.reload("replicas: 1\ncommand: [../tool]\ndir: data\nenv_file: vars.env\nevents: ../e.jsonl\nlog_dir: logs\n", "[INFO]  supervisor: reloaded")
	p.until(&p.stdout, "the line of the next one", func(text string) bool {
		return strings.HasSuffix(text, "\na | hello from "+home+"/etc/data")
	})
	p.Process.Signal(syscall.SIGTERM)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	for path, want := range map[string]string{"e.jsonl": `"kind":"exited"`, "etc/logs/a.log": "hello from ", "work/state/lock": fmt.Sprint(p.Process.Pid)} {
		if text, err := os.ReadFile(filepath.Join(home, path)); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s has %q, %v; want %s in it", path, text, err, want)
		}
	}
}

// With events on stdout, nothing else is there.
func TestEventsOnStdout(t *testing.T) {
	config := write(t, "replicas: 1\nrestart: never\nbanner: hello\ncommand: [echo, up]\nbase_port: 7101\n")
	p := start(t, "", "--config", config, "--events=-")
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	var e event.Event
	for line := range strings.Lines(p.stdout.text()) {
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Errorf("%q: %v", line, err)
		}
	}
	if e.Kind != event.KindRemoved {
		t.Errorf("the last event is %+v", e)
	}
}

// Replicas do not inherit the socket for the supervisor's own readiness.
func TestReplicasDoNotInheritTheNotifySocket(t *testing.T) {
	config := write(t, "replicas: 1\nrestart: never\ncommand: [sh, -c, 'echo \"to $A ${NOTIFY_SOCKET-nobody}\"']\nenv: {A: b}\n")
	p := prepare(t, "", "--config", config)
	p.Env = append(os.Environ(), "NOTIFY_SOCKET=/nowhere")
	p.launch()
	p.ends()
	if got := p.stdout.text(); got != "a | to b nobody" {
		t.Errorf("got %q", got)
	}
}

func TestLinesAreAligned(t *testing.T) {
	p := start(t, "", "--replicas=27", "--restart=never", "--", "sh", "-c", "echo '{index} {name} ${name}'")
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	text := "\n" + p.stdout.text() + "\n"
	for _, want := range []string{"\na  | 0 a ${name}\n", "\nz  | 25 z ${name}\n", "\naa | 26 aa ${name}\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no line %q in %s", want, text)
		}
	}
}
