package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/supervisor/internal/process/processtest"
)

// checkTicks fails unless a log file contains only whole lines.
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

// As logrotate and users do.
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

// A disk that is full, and then has room again.
func TestFilesOnAFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: seconds of waiting")
	}
	dir := processtest.SmallDisk(t, "256k")
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

// One replica writes as fast as it can, another one now and then: every line of both is on disk.
func TestBurstIsWrittenCompletely(t *testing.T) {
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
	total := int64(n * (len("2006-01-02T15:04:05.000000Z  ") + size + 1)) // plus the numbers
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
	t.Logf("%d MB are on disk; the supervisor read a line of the other replica within %v", len(got)/1e6, worst)
	if list := c.ctl("list"); strings.Contains(list, "lost") {
		t.Errorf("lines are lost:\n%s", list)
	}
}

// If stdout is a regular file, replicas wait for it when they write.
func TestStdoutInAFileIsComplete(t *testing.T) {
	t.Parallel()
	const n = 1_000_000
	dir := t.TempDir()
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(binary, "--replicas=1", "--restart=never", "--", "seq", strconv.Itoa(n))
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

// Events are lost until the pipe has a reader; the supervisor does not wait for one.
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
