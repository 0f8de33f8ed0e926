package main

import (
	"bytes"
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

	"example.com/crashlab/supervisor"
)

// clusterProc is a supervisor on a cluster file, with all that it writes below dir.
type clusterProc struct {
	*proc
	dir string
}

// startIn starts a supervisor with a control socket, an event file and log files
// in a directory.
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

// ctl returns what a command of ctl writes, or fails.
func (c *clusterProc) ctl(args ...string) string {
	c.t.Helper()
	text, err := os.ReadFile(c.config)
	if err != nil {
		c.t.Fatal(err)
	}
	socket := regexp.MustCompile(`unix://[^}]*`).FindString(string(text))
	out, err := exec.Command(program, append([]string{"ctl", "--control", socket}, args...)...).CombinedOutput()
	if err != nil {
		c.t.Fatalf("ctl %s: %v\n%s", args, err, out)
	}
	return string(out)
}

// file blocks until ok says yes to what a file has.
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

// events returns the events of a file, which has nothing else.
func (c *clusterProc) events(name string) []supervisor.Event {
	c.t.Helper()
	text, err := os.ReadFile(c.path(name))
	if err != nil {
		c.t.Fatal(err)
	}
	var events []supervisor.Event
	for line := range strings.Lines(string(text)) {
		var e supervisor.Event
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

// Stdout and stderr go to a pipe that nobody reads, and all else goes on.
func TestStuckStdoutDelaysNothingElse(t *testing.T) {
	t.Parallel()
	path := fifo(t, "stdout")
	pipe, err := os.OpenFile(path, os.O_RDWR, 0) // so that opening it does not wait
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
	if all := c.events("e.jsonl"); all[len(all)-1].Kind != supervisor.EventRemoved || int(all[len(all)-1].Sequence) != len(all) {
		t.Errorf("the last of %d events is %+v", len(all), all[len(all)-1])
	}
}

// What is lost on stdout is told by the log.
func TestStdoutOnAFullDisk(t *testing.T) {
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

// ticks is a replica that writes a line now and then, and crashes as often.
const ticks = `replicas: 1
restart_delay: 0s
command: [sh, -c, "i=0; while [ $i -lt 5 ]; do echo tick $((i=i+1)); sleep 0.01; done; exit 3"]
`

var tick = regexp.MustCompile(`^\d{4}-\S+Z tick \d\n$`)

// checkTicks fails unless a log file has whole lines and nothing else.
func (c *clusterProc) checkTicks(name string) {
	c.t.Helper()
	text, err := os.ReadFile(c.path(name))
	if err != nil {
		c.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !tick.MatchString(line) {
			c.t.Fatalf("%s: line %.200q", name, line)
		}
	}
}

// As logrotate and people do it.
func TestFilesThatAreRenamedRemovedAndTruncated(t *testing.T) {
	for _, how := range []string{"SIGHUP", "ctl reopen", "nothing"} {
		t.Run("renamed-"+strings.ReplaceAll(how, " ", "-"), func(t *testing.T) {
			t.Parallel()
			c := startIn(t, t.TempDir(), "", ticks)
			for _, name := range []string{"a.log", "e.jsonl"} {
				c.file(name, "lines", lines(10))
				if err := os.Rename(c.path(name), c.path(name+".1")); err != nil {
					t.Fatal(err)
				}
			}
			switch how {
			case "SIGHUP":
				c.Process.Signal(syscall.SIGHUP)
			case "ctl reopen":
				c.ctl("reopen")
				for _, name := range []string{"a.log", "e.jsonl"} {
					if _, err := os.Stat(c.path(name)); err != nil {
						t.Errorf("after ctl reopen: %v", err)
					}
				}
			}
			for _, name := range []string{"a.log", "e.jsonl"} {
				c.file(name, "lines", lines(10))
				info, err := os.Stat(c.path(name))
				if err != nil || info.Mode() != 0o640 {
					t.Errorf("%s: %v, %v; want mode 0640", name, info.Mode(), err)
				}
			}
			c.checkTicks("a.log")
			c.checkTicks("a.log.1")
			before, after := c.events("e.jsonl.1"), c.events("e.jsonl")
			if last, first := before[len(before)-1].Sequence, after[0].Sequence; first != last+1 {
				t.Errorf("after event %d comes %d", last, first)
			}
		})
	}
	t.Run("removed", func(t *testing.T) {
		t.Parallel()
		c := startIn(t, t.TempDir(), "", ticks)
		for _, name := range []string{"a.log", "e.jsonl"} {
			c.file(name, "lines", lines(10))
			if err := os.Remove(c.path(name)); err != nil {
				t.Fatal(err)
			}
			c.file(name, "lines", lines(10))
		}
		c.checkTicks("a.log")
		c.events("e.jsonl")
	})
	t.Run("renamed with their directory", func(t *testing.T) {
		t.Parallel()
		c := startIn(t, filepath.Join(t.TempDir(), "logs"), "", ticks)
		c.file("a.log", "lines", lines(10))
		if err := os.Rename(c.dir, c.dir+".1"); err != nil {
			t.Fatal(err)
		}
		c.file("a.log", "lines", lines(10))
		c.checkTicks("a.log")
	})
	t.Run("truncated", func(t *testing.T) {
		t.Parallel()
		c := startIn(t, t.TempDir(), "", ticks)
		for _, name := range []string{"a.log", "e.jsonl"} {
			c.file(name, "lines", lines(10))
			if err := os.Truncate(c.path(name), 0); err != nil {
				t.Fatal(err)
			}
			c.file(name, "lines", lines(10))
		}
		c.checkTicks("a.log")
		c.events("e.jsonl")
	})
}

// A disk that is full, and then is not.
func TestFilesOnAFullDisk(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("none", dir, "tmpfs", 0, "size=256k"); err != nil {
		t.Skip("no file system can be mounted here: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	c := startIn(t, dir, "", ticks)
	for _, name := range []string{"a.log", "e.jsonl"} {
		c.file(name, "lines", lines(10))
	}
	filler := c.path("filler")
	if err := os.WriteFile(filler, bytes.Repeat([]byte("x"), 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	lost := regexp.MustCompile(`(?m)^(events|log_dir) lost \d+ lines: .*no space left on device$`)
	for timeout := time.After(patience); len(lost.FindAllString(c.ctl("list"), -1)) < 2; {
		select {
		case <-timeout:
			t.Fatalf("no loss in\n%s", c.ctl("list"))
		case <-time.After(10 * time.Millisecond):
		}
	}
	c.until(&c.stderr, "news of the loss", func(text string) bool {
		return strings.Contains(text, "lines lost: sink=events") && strings.Contains(text, "lines lost: sink=log_dir")
	})
	at, logged := c.events("e.jsonl"), c.file("a.log", "", lines(0))
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	c.file("e.jsonl", "events again", lines(len(at)+10))
	c.file("a.log", "lines again", lines(strings.Count(logged, "\n")+10))
	c.checkTicks("a.log")
	all := c.events("e.jsonl")
	gaps := 0
	for i, e := range all[1:] {
		if e.Sequence != all[i].Sequence+1 {
			gaps++
		}
	}
	if gaps == 0 {
		t.Error("no events are missing, though some were lost")
	}
	if list := c.ctl("list"); strings.Contains(list, "no space left") || !strings.Contains(list, "events lost ") {
		t.Errorf("ctl list shows\n%swant the count alone", list)
	}
}

// One replica writes as fast as it can beside one that writes now and
// then: every line of both is on disk.
func TestBurstIsOnDiskWhole(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 100 MB")
	}
	const n, size, quiet = 1_000_000, 100, 200
	c := startIn(t, t.TempDir(), "burst", fmt.Sprintf("replicas: 2\nlog_size: 10000\nstop_timeout: 0s\ncommand: [%q, %q, '{name}', '%d', '%d', '%d']\n", os.Args[0], "x", n, size, quiet))
	defer c.Process.Kill()
	var worst time.Duration
	c.file("b.log", "all lines", func(text string) bool { return strings.Count(text, "\n") >= quiet })
	text, err := os.ReadFile(c.path("b.log"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		stamp, written, _ := strings.Cut(strings.TrimSpace(line), " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		ns, err2 := strconv.ParseInt(written, 10, 64)
		if err != nil || err2 != nil {
			t.Fatalf("%q: %v, %v", line, err, err2)
		}
		worst = max(worst, at.Sub(time.Unix(0, ns)))
	}
	total := int64(n * (len("2006-01-02T15:04:05.000000Z  ") + size + 1)) // and the numbers
	for i := range n {
		total += int64(len(strconv.Itoa(i)))
	}
	for timeout := time.After(patience); ; {
		info, err := os.Stat(c.path("a.log"))
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() >= total {
			break
		}
		select {
		case <-timeout:
			t.Fatalf("%d bytes of %d are on disk", info.Size(), total)
		case <-time.After(10 * time.Millisecond):
		}
	}
	got, err := os.ReadFile(c.path("a.log"))
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for line := range bytes.Lines(got) {
		_, text, _ := strings.Cut(string(line), " ")
		number, rest, _ := strings.Cut(text, " ")
		if number != strconv.Itoa(want) || len(rest) != size+1 {
			t.Fatalf("line %d is %.60q", want, line)
		}
		want++
	}
	t.Logf("%d MB are on disk whole; a line of the neighbour was in the supervisor's hands within %v", len(got)/1e6, worst)
	if list := c.ctl("list"); strings.Contains(list, "lost") {
		t.Errorf("lines are lost:\n%s", list)
	}
}

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
			waitDead(t, []int{pid})
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

// A regular file is no terminal: replicas wait for it as they write.
func TestStdoutInAFileIsWhole(t *testing.T) {
	t.Parallel()
	const n = 1_000_000
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(program, "--replicas=1", "--restart=never", "--", "seq", strconv.Itoa(n))
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer time.AfterFunc(patience, func() { cmd.Process.Kill() }).Stop()
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out.Name())
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for line := range bytes.Lines(text) {
		if want++; string(line) != fmt.Sprintf("a | %d\n", want) {
			t.Fatalf("line %d is %q", want, line)
		}
	}
	if want != n {
		t.Errorf("%d lines, want %d", want, n)
	}
}

// Events are lost until the pipe has a reader, and nobody waits for one.
func TestEventsToAPipeWithoutAReader(t *testing.T) {
	t.Parallel()
	path := fifo(t, "events")
	p := start(t, "serve", "--replicas=1", "--events", path, "--", os.Args[0])
	p.until(&p.stderr, "news of the loss", func(text string) bool { return strings.Contains(text, "lines lost: sink=events") })
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	p.Process.Signal(syscall.SIGTERM)
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	text := make([]byte, 64<<10)
	n, err := reader.Read(text)
	if err != nil || !strings.Contains(string(text[:n]), `"kind":"removed"`) {
		t.Errorf("read %q, %v; want the last event", text[:n], err)
	}
}
