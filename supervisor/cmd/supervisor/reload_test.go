package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/clusterfile"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/process/processtest"
)

// reload sends SIGHUP and waits until the log contains a text.
func (p *proc) reload(text, want string) {
	p.t.Helper()
	if err := os.WriteFile(p.config, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	before := strings.Count(p.stderr.text(), want)
	p.Process.Signal(syscall.SIGHUP)
	p.until(&p.stderr, want, func(text string) bool { return strings.Count(text, want) > before })
}

// pid returns the process ID of a replica's first incarnation.
func (p *proc) pid(replica string) (pid int) {
	for line := range strings.Lines(p.stdout.text()) {
		fmt.Sscanf(line, replica+" | up 1 %d", &pid)
	}
	return pid
}

func TestReload(t *testing.T) {
	base := freePorts(t, 3)
	text := fmt.Sprintf("replicas: 2\nbase_port: %d\nready: tcp\ncommand: [%q, \"{addr}\"]\n", base, os.Args[0])
	p := start(t, "listen", "--config", write(t, text))
	p.pids(2)
	a, b := p.pid("a"), p.pid("b")

	p.reload("replicas: 3\ncomand: [x]\n", `:2:1: unknown key "comand"`)
	p.reload(text+"log_dir: logs\n", "log_dir: want it as it was: only a restart of the supervisor changes it")
	p.reload(text+"control: {addr: 127.0.0.1:7100}\n", "control.addr: want it as it was")
	p.reload(text+"restart_delay: 1ms\n", "[INFO]  supervisor: reloaded")
	p.reload(strings.Replace(text, "replicas: 2", "replicas: 3", 1), "[INFO]  supervisor: reloaded")
	p.pids(3)
	p.reload(strings.Replace(text, "replicas: 2", "replicas: 1", 1), "[INFO]  supervisor: reloaded")
	processtest.WaitDead(t, b, p.pid("c"))
	if strings.Count(p.stdout.text(), " up ") != 3 || !processtest.Alive(a) {
		t.Error("unchanged replicas were restarted")
	}
	p.Process.Signal(syscall.SIGTERM)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

func TestCtlReloadShowsTheMistake(t *testing.T) {
	addr := fmt.Sprintf("127.0.0.1:%d", freePorts(t, 1))
	text := fmt.Sprintf("replicas: 1\ncontrol: {addr: %q}\ncommand: [%q]\n", addr, os.Args[0])
	p := start(t, "serve", "--config", write(t, text))
	p.pids(1)
	if err := os.WriteFile(p.config, []byte("replicas: 1\ncomand: [x]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, code := runCtl(t, addr, "reload")
	if code != 1 || !strings.HasSuffix(stderr, "\n   1 | replicas: 1\n>  2 | comand: [x]\n       ^\n") {
		t.Errorf("exit code %d, stderr\n%s", code, stderr)
	}
}

// A reload that is canceled because the supervisor stops is not reported as a failure.
func TestStopDuringAReload(t *testing.T) {
	text := fmt.Sprintf("replicas: 1\ncommand: [%q]\n", os.Args[0])
	p := start(t, "serve", "--config", write(t, text))
	p.pids(1)
	p.reload(text+"ready: notify\n", "launched: replica=a incarnation=2") // it never becomes ready
	p.Process.Signal(syscall.SIGTERM)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if log := p.stderr.text(); strings.Contains(log, "reloaded") || strings.Contains(log, "reload failed") || strings.Contains(log, "canceled by") {
		t.Error("it reports a reload that was canceled")
	}
}

// A port in use is found before anything is changed.
func TestReloadChecksPorts(t *testing.T) {
	base := freePorts(t, 2)
	text := fmt.Sprintf("replicas: 1\nbase_port: %d\ncommand: [%q, \"{addr}\"]\n", base, os.Args[0])
	p := start(t, "listen", "--config", write(t, text))
	p.pids(1)
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", base+1))
	if err != nil {
		t.Fatal(err)
	}
	p.reload(strings.Replace(text, "replicas: 1", "replicas: 2", 1), fmt.Sprintf("replica b: %v is in use by another process", l.Addr()))
	l.Close()
	p.reload(strings.Replace(text, "replicas: 1", "replicas: 2", 1), "[INFO]  supervisor: reloaded")
	p.pids(2)
}

// An address that a replica of ours keeps from being free is not in use by another process.
func TestReloadToAllHosts(t *testing.T) {
	text := fmt.Sprintf("replicas: 2\nhost: 127.0.0.1\nbase_port: %d\nready: tcp\ncommand: [%q, \"{addr}\"]\n", freePorts(t, 2), os.Args[0])
	p := start(t, "listen", "--config", write(t, text))
	p.pids(2)
	p.reload(strings.Replace(text, "127.0.0.1", "0.0.0.0", 1), "[INFO]  supervisor: reloaded")
	p.until(&p.stdout, "two new replicas", func(text string) bool { return strings.Count(text, " up 2 ") == 2 })
}

func TestOneSupervisorPerStateDirectory(t *testing.T) {
	dir := t.TempDir() + "/state"
	first := start(t, "serve", "--replicas=1", "--state-dir", dir, "--", os.Args[0])
	first.pids(1)
	second := start(t, "serve", "--replicas=1", "--state-dir", dir, "--", os.Args[0])
	if code := second.ends(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	want := fmt.Sprintf("supervisor: state directory %s: in use by the supervisor with pid %d; choose another --state-dir", dir, first.Process.Pid)
	if got := second.stderr.text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// However a supervisor ended, the next one can use the directory.
	first.Process.Kill()
	first.ends()
	third := start(t, "serve", "--replicas=1", "--state-dir", dir, "--", os.Args[0])
	third.pids(1)
}

func TestFailureIsReported(t *testing.T) {
	for _, tt := range []struct {
		file, want string
	}{
		{"replicas: 1\nrestart: never\ncommand: [sh, -c, exit 3]\n", "supervisor: replica a (exit code 3) has failed"},
		{"replicas: 1\nrestart: never\ncommand: [sh, -c, 'kill -9 $$$$']\n", "supervisor: replica a (SIGKILL) has failed"},
		{"replicas: 1\nrestart: on-failure\ncommand: [sh, -c, 'exit $((2 - CRASHLAB_INCARNATION))']\nrestart_delay: 1ms\n", ""},
		{"replicas: 2\nlimit: {exits: 2}\nrestart_delay: 1ms\ncommand: [sh, -c, exit 4]\n", "supervisor: 2 replicas have failed: a (exit code 4), b (exit code 4)"},
	} {
		p := start(t, "", "--log-level=off", "--config", write(t, tt.file))
		if code := p.ends(); code != min(len(tt.want), 1) {
			t.Errorf("exit code %d", code)
		}
		if got := p.stderr.text(); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

// A replica that has failed and was removed no longer counts.
func TestRemovedFailureIsForgotten(t *testing.T) {
	addr := "unix://" + socketDir(t) + "/s"
	p := start(t, "", "--config", write(t, fmt.Sprintf(
		"replicas: 1\nrestart: never\ncontrol: {addr: %q}\ngroups: {works: {command: [\"true\"]}, fails: {restart: always, limit: {exits: 1}, command: [\"false\"]}}\n", addr)))
	p.until(&p.stderr, "failure and success", func(text string) bool {
		return strings.Contains(text, "failed: replica=fails-a") && strings.Contains(text, "finished: replica=works-a")
	})
	runCtl(t, addr, "scale", "0", "--group", "fails") // the supervisor may end before it replies
	if code := p.ends(); code != 0 {
		t.Errorf("the supervisor ended with exit code %d, want 0", code)
	}
}

// Of concurrent reloads, the last one to read the file takes effect, and the others report that.
func TestConcurrentReloads(t *testing.T) {
	path := write(t, "replicas: 1\ncommand: [sleep, \"300\"]\n")
	c, err := clusterfile.Read(path, clusterfile.Flags{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := supervisor.New(supervisor.Config{Groups: c.Groups})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	for e := range s.Watch(t.Context(), 0) {
		if e.Kind == event.KindLaunched {
			break
		}
	}
	r := &reloader{now: c, supervisor: s}
	for n := range 10 {
		var all []func() error
		for i := range 3 {
			if err := os.WriteFile(path, fmt.Appendf(nil, "replicas: %d\ncommand: [sleep, \"300\"]\n", 1+(n+i)%4), 0o600); err != nil {
				t.Fatal(err)
			}
			apply, err := r.begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, apply)
		}
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		superseded := 0
		for _, apply := range all {
			switch err := apply(); {
			case errors.Is(err, supervisor.ErrSuperseded):
				superseded++
			case err != nil:
				t.Error(err)
			}
		}
		if got, want := s.Current()[0].Count, 1+(n+2)%4; got != want || superseded != 2 {
			t.Errorf("%d replicas and %d superseded, want %d and 2", got, superseded, want)
		}
	}
}
