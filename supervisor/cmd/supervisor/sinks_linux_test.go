package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/process/processtest"
)

// clusterProc is a supervisor with a cluster file; all its files are below dir.
type clusterProc struct {
	*proc
	dir string
}

// startIn starts a supervisor with a control socket, an event file and log files in a directory.
func startIn(t *testing.T, dir, mode, text string) *clusterProc {
	t.Helper()
	c := prepareIn(t, dir, mode, text)
	c.launch()
	return c
}

func prepareIn(t *testing.T, dir, mode, text string) *clusterProc {
	t.Helper()
	text += fmt.Sprintf("events: %s/e.jsonl\nlog_dir: %[1]s\ncontrol: {addr: unix://%s/ctl}\n", dir, t.TempDir())
	return &clusterProc{prepare(t, mode, "--quiet", "--config", write(t, text)), dir}
}

func (c *clusterProc) path(name string) string { return filepath.Join(c.dir, name) }

// socket is the path of the control socket.
func (c *clusterProc) socket() string {
	c.t.Helper()
	text, err := os.ReadFile(c.config)
	if err != nil {
		c.t.Fatal(err)
	}
	return regexp.MustCompile(`unix://([^}]*)`).FindStringSubmatch(string(text))[1]
}

// ctl returns the output of a command of ctl, which must succeed.
func (c *clusterProc) ctl(args ...string) string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, append([]string{"ctl", "--control", "unix://" + c.socket()}, args...)...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("ctl %s: %v\n%s", args, err, out)
	}
	return string(out)
}

// file blocks until ok returns true for the content of a file.
func (c *clusterProc) file(name, what string, ok func(text string) bool) string {
	c.t.Helper()
	timeout := time.After(patience)
	for {
		text, err := os.ReadFile(c.path(name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.t.Fatal(err)
		}
		if ok(string(text)) {
			return string(text)
		}
		select {
		case <-timeout:
			c.t.Fatalf("%s: no %s in\n%.1000s", name, what, text)
		case <-c.ended:
			c.t.Fatalf("it ended without %s in %s", what, name)
		case <-time.After(time.Millisecond):
		}
	}
}

// events returns the events of a file, which must contain nothing else.
func (c *clusterProc) events(name string) []event.Event {
	c.t.Helper()
	text, err := os.ReadFile(c.path(name))
	if err != nil {
		c.t.Fatal(err)
	}
	var events []event.Event
	for line := range strings.Lines(string(text)) {
		var e event.Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			c.t.Fatalf("%s: %v: %.200q", name, err, line)
		}
		events = append(events, e)
	}
	return events
}

func lines(n int) func(string) bool {
	return func(text string) bool { return strings.Count(text, "\n") >= n }
}

// Stdout and stderr go to a pipe that nobody reads; everything else continues.
func TestStuckStdoutDelaysNothingElse(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: seconds of waiting")
	}
	t.Parallel()
	path := fifo(t, "stdout")
	pipe, err := os.OpenFile(path, os.O_RDWR, 0) // so that open does not block
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	const n, incarnations = 20_000, 10
	dir := t.TempDir()
	c := prepareIn(t, dir, "", fmt.Sprintf(`replicas: 2
restart_delay: 0s
command: [sh, -c, "seq %d; [ $CRASHLAB_INCARNATION -gt %d ] && exec sleep 300; exit 3"]
`, n, incarnations))
	c.Args = append(c.Args[:1:1], c.Args[2:]...) // not --quiet
	c.Stdout, c.Stderr = pipe, pipe
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(c.ended); c.Wait() }()
	defer func() { c.Process.Kill(); <-c.ended }()
	for _, name := range []string{"a", "b"} {
		text := c.file(name+".log", "all lines", lines((incarnations+1)*n))
		want := 0
		for line := range strings.Lines(text) {
			_, number, _ := strings.Cut(strings.TrimSpace(line), " ")
			if want = want%n + 1; number != strconv.Itoa(want) {
				t.Fatalf("%s.log: %q, want %d", name, line, want)
			}
		}
	}
	c.file("e.jsonl", "all exits", func(text string) bool {
		return strings.Count(text, `"kind":"exited"`) >= 2*incarnations && strings.Count(text, `"kind":"ready"`) >= 2*incarnations+2
	})
	c.events("e.jsonl")
	if list := c.ctl("list"); !regexp.MustCompile(`(?m)^stdout lost \d+ lines$`).MatchString(list) {
		t.Errorf("ctl list does not show what was lost:\n%s", list)
	}
	c.Process.Signal(syscall.SIGTERM)
	if code := c.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if all := c.events("e.jsonl"); all[len(all)-1].Kind != event.KindRemoved || int(all[len(all)-1].Sequence) != len(all) {
		t.Errorf("the last of %d events is %+v", len(all), all[len(all)-1])
	}
}

// The log reports lines that are lost on stdout.
func TestStdoutOnAFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: seconds of waiting")
	}
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	defer full.Close()
	dir := t.TempDir()
	stderr, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	c := prepareIn(t, dir, "", "")
	c.config = write(t, fmt.Sprintf("replicas: 1\ncommand: [sh, -c, 'echo 1; echo 2; exec sleep 300']\ncontrol: {addr: unix://%s/ctl}\n", dir))
	c.Args = []string{c.Args[0], "--config", c.config}
	c.Stdout, c.Stderr = full, stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(c.ended); c.Wait() }()
	defer func() { c.Process.Kill(); <-c.ended }()
	c.file("stderr", "news of the loss", func(text string) bool {
		return strings.Contains(text, "lines lost: sink=stdout lines=2") && strings.Contains(text, "no space left on device")
	})
	if list := c.ctl("list"); !strings.Contains(list, "\nstdout lost 2 lines: write /dev/stdout: no space left on device\n") {
		t.Errorf("ctl list shows\n%s", list)
	}
	c.Process.Signal(syscall.SIGTERM)
	if code := c.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// ticks is a replica that writes a line now and then, and crashes now and then.
const ticks = `replicas: 1
restart_delay: 0s
command: [sh, -c, "i=0; while [ $i -lt 5 ]; do echo tick $((i=i+1)); sleep 0.01; done; exit 3"]
`

var tick = regexp.MustCompile(`^\d{4}-\S+Z tick \d\n$`)

func TestQuitStopsInOrder(t *testing.T) {
	for _, flag := range []string{"", "--dump-stacks"} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			args := []string{"--replicas=1", "--", os.Args[0]}
			if flag != "" {
				args = append([]string{flag}, args...)
			}
			p := start(t, "serve", args...)
			pid := p.pids(1)[0]
			p.Process.Signal(syscall.SIGQUIT)
			if code := p.ends(); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			if log := p.stderr.text(); !strings.Contains(log, "signal=SIGQUIT") || strings.Contains(log, "goroutine ") != (flag != "") {
				t.Errorf("log\n%s", log)
			}
			processtest.WaitDead(t, pid)
		})
	}
}

func TestCtlLogs(t *testing.T) {
	t.Parallel()
	gate := filepath.Join(t.TempDir(), "gate")
	c := startIn(t, t.TempDir(), "", fmt.Sprintf("replicas: 1\ncommand: [sh, -c, 'seq 3000; until [ -e %s ]; do sleep 0.01; done; echo more; exec sleep 300']\n", gate))
	c.file("a.log", "all lines", lines(3000))
	if got := strings.Fields(c.ctl("logs", "a")); len(got) != 1000 || got[0] != "2001" || got[999] != "3000" {
		t.Errorf("%d lines, want 2001 to 3000", len(got))
	}
	if got := c.ctl("logs", "-n", "2", "a"); got != "2999\n3000\n" {
		t.Errorf("the last two are %q", got)
	}
	text, err := os.ReadFile(c.config)
	if err != nil {
		t.Fatal(err)
	}
	follow := start(t, "", "ctl", "--control", regexp.MustCompile(`unix://[^}]*`).FindString(string(text)), "logs", "-f", "-n", "1", "a")
	follow.until(&follow.stdout, "the last line", func(text string) bool { return text == "3000" })
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	follow.until(&follow.stdout, "another line", func(text string) bool { return text == "3000\nmore" })
	c.Process.Signal(syscall.SIGTERM)
	if code := follow.ends(); code != 0 {
		t.Errorf("exit code %d at the supervisor's end, want 0", code)
	}
}
