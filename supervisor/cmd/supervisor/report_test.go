package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/supervisor"
)

func newLogDir(dir string, failed func(string, error)) *logDir {
	return &logDir{dir: dir, megabytes: 2, backups: 2, files: make(map[string]*logFile), failed: failed}
}

func TestLogDirRotates(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "for", "it")
	d := newLogDir(dir, func(replica string, err error) { t.Error(replica, err) })
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 3600))
	d.line("a", []byte("hello"), at)
	d.line("a/../b", []byte("hello"), at)
	for name, want := range map[string]string{"a.log": "2026-01-02T02:04:05.678901Z hello\n", "a%2F..%2Fb.log": "2026-01-02T02:04:05.678901Z hello\n"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	d.close("a/../b")
	big := bytes.Repeat([]byte("x"), 1<<20) // the longest line there is
	for range 12 {
		d.line("a", big, at)
	}
	// Files too many go in the background.
	for begin := time.Now(); ; time.Sleep(time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(dir, "a*.log"))
		if err != nil {
			t.Fatal(err)
		}
		if len(files) == 1+2+1 { // with a%2F..%2Fb.log
			break
		}
		if time.Since(begin) > patience {
			t.Fatalf("files: %v; want a.log and two full ones", files)
		}
	}
	d.close("a")
}

// Replicas that come and go leave nothing behind.
func TestLogDirOfReplicasThatComeAndGo(t *testing.T) {
	d := newLogDir(t.TempDir(), func(replica string, err error) { t.Error(replica, err) })
	for i := range 100 {
		d.line("a", []byte("hello"), time.Now())
		d.line("b", []byte("hello"), time.Now())
		d.close("a")
		d.close("b")
		if i == 0 {
			defer func(n int) {
				for begin := time.Now(); runtime.NumGoroutine() > n+10; time.Sleep(time.Millisecond) { // some may still end
					if time.Since(begin) > patience {
						t.Fatalf("%d goroutines, at first %d", runtime.NumGoroutine(), n)
					}
				}
			}(runtime.NumGoroutine())
		}
	}
}

func TestLogDirThatFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	openFile(t, path)
	var told []string
	d := newLogDir(path, func(replica string, err error) { told = append(told, replica) })
	for range 3 {
		d.line("a", []byte("hello"), time.Now())
		d.line("b", []byte("hello"), time.Now())
	}
	if got := fmt.Sprint(told); got != "[a b]" {
		t.Errorf("told of %s, want once of each replica", got)
	}
	// One that was whole again is told of anew.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	d.line("a", []byte("hello"), time.Now())
	d.close("a")
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	openFile(t, path)
	d.line("a", []byte("hello"), time.Now())
	if got := fmt.Sprint(told); got != "[a b a]" {
		t.Errorf("told of %s, want of a again", got)
	}
}

func TestEventFileThatFails(t *testing.T) {
	told := 0
	f, err := openEvents("-", failing{}, func(error) { told++ })
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		f.write(supervisor.Event{Kind: supervisor.EventAdded})
	}
	if told != 1 {
		t.Errorf("told %d times, want once", told)
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestReportThatCannotBe(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for want, f := range map[string]reportFlags{
		"--metrics-addr: listen tcp " + taken.Addr().String(): {MetricsAddr: taken.Addr().String()},
		"--events: open /nowhere/events":                      {Events: "/nowhere/events"},
	} {
		if _, err := f.open(io.Discard, io.Discard, nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s...", err, want)
		}
	}
}

// A real replica crashes once, and everything that can tell of it does.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	events := filepath.Join(dir, "events.jsonl")
	flags := reportFlags{
		LogLevel: "info", LogSize: 2, LogFiles: 1, LogDir: filepath.Join(dir, "logs"), Events: events,
		MetricsAddr: "127.0.0.1:0", Quiet: true,
	}
	var s *supervisor.Supervisor
	var c supervisor.Config
	var stdout, stderr bytes.Buffer
	r, err := flags.open(&stdout, &stderr, func() []supervisor.Status { return s.List() })
	if err != nil {
		t.Fatal(err)
	}
	ready, written := make(chan struct{}), make(chan struct{})
	c.Groups = []supervisor.Group{{
		Name: "g", Count: 1,
		Replica: func(int) supervisor.Replica {
			return supervisor.Replica{Name: "a", Args: []string{"sh", "-c", `echo "up $CRASHLAB_INCARNATION"; [ $CRASHLAB_INCARNATION = 2 ] || exit 3; exec sleep 1000`}}
		},
	}}
	c.OnOutput = func(replica string, line []byte) {
		r.output(replica, line)
		if string(line) == "up 2" {
			close(written)
		}
	}
	c.OnEvent = func(e supervisor.Event) {
		r.event(e)
		if e.Kind == supervisor.EventReady && e.Incarnation == 2 {
			close(ready)
		}
	}
	if s, err = supervisor.New(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	for _, back := range []chan struct{}{ready, written} {
		select {
		case <-back:
		case <-time.After(patience):
			t.Fatal("the replica is not back")
		}
	}
	scraped := scrape(t, "http://"+r.listener.Addr().String()+"/metrics")
	for _, want := range []string{
		`supervisor_replica_up{group="g",replica="a"} 1`,
		`supervisor_replica_ready{group="g",replica="a"} 1`,
		`supervisor_replica_state{group="g",replica="a",state="ready"} 1`,
		`supervisor_replica_state{group="g",replica="a",state="waiting"} 0`,
		`supervisor_replica_restarts_total{group="g",replica="a"} 1`,
		`supervisor_replica_exits_total{code="3",expected="false",group="g",replica="a",signal=""} 1`,
		`supervisor_replica_ready_after_seconds_count{group="g",replica="a"} 2`,
		`supervisor_replica_output_lines_dropped_total{group="g",replica="a"} 0`,
	} {
		if !strings.Contains(scraped, "\n"+want+"\n") {
			t.Errorf("no %s in\n%s", want, scraped)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if families, err := r.metrics.registry.Gather(); err != nil || strings.Contains(fmt.Sprint(families), "supervisor_replica_") {
		t.Errorf("a replica that is gone is still told of, or %v", err)
	}
	r.close()
	checkEvents(t, events)
	text, err := os.ReadFile(filepath.Join(dir, "logs", "a.log"))
	if want := regexp.MustCompile(`^\S+Z up 1\n\S+Z up 2\n$`); err != nil || !want.Match(text) {
		t.Errorf("a.log: %q, %v", text, err)
	}
	if stdout.Len() > 0 || !strings.Contains(stderr.String(), "exit_code=3") || !strings.Contains(stderr.String(), "output=\"up 1\"") {
		t.Errorf("stdout %q, log %s\nwant the exit and the last line in the log alone", stdout.String(), stderr.String())
	}
}

func scrape(t *testing.T, url string) string {
	t.Helper()
	client := http.Client{Timeout: patience}
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer client.CloseIdleConnections()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v %s: %s", err, resp.Status, text)
	}
	return string(text)
}

func checkEvents(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var last supervisor.Event
	count := make(map[supervisor.EventKind]int)
	for line := range strings.Lines(string(text)) {
		before := last
		if err := json.Unmarshal([]byte(line), &last); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if last.Sequence != before.Sequence+1 || last.Time.IsZero() {
			t.Errorf("%+v comes after %+v", last, before)
		}
		count[last.Kind]++
	}
	if count[supervisor.EventLaunched] != 2 || count[supervisor.EventExited] != 2 || last.Kind != supervisor.EventRemoved || last.Elapsed <= 0 {
		t.Errorf("events %v, the last %+v", count, last)
	}
}
