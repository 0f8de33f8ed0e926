package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"

	"example.com/crashlab/supervisor"
	"example.com/crashlab/supervisor/clusterfile"
	"example.com/crashlab/supervisor/event"
	"example.com/crashlab/supervisor/internal/process/processtest"
	"example.com/crashlab/supervisor/spec"
	"example.com/crashlab/supervisor/status"
)

func newLogDir(dir string) *logDir {
	return &logDir{dir: dir, mode: 0o640, size: 2e6, backups: 2}
}

func TestLogDir(t *testing.T) {
	dir := t.TempDir()
	d := newLogDir(dir)
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.FixedZone("", 3600))
	d.write("a", []byte("hello\n"), at)
	d.write("a/../b", []byte("hello\n\n"), at)
	for name, want := range map[string]string{
		"a.log":          "2026-01-02T02:04:05.678901Z hello\n",
		"a%2F..%2Fb.log": "2026-01-02T02:04:05.678901Z hello\n2026-01-02T02:04:05.678901Z \n",
	} {
		got, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	big := append(bytes.Repeat([]byte("x"), 1<<20), '\n') // the longest line possible
	for range 12 {
		d.write("a", big, at)
	}
	// The file of a, its two full ones, and a%2F..%2Fb.log.
	if files, err := filepath.Glob(filepath.Join(dir, "a*.log")); err != nil || len(files) != 1+2+1 {
		t.Errorf("files: %v; want a.log and two full ones", files)
	}
	if n, err := d.losses.Lost(); n != 0 || err != nil {
		t.Errorf("%d lines are lost, %v", n, err)
	}
}

// Files of removed replicas are closed.
func TestLogDirOfReplicasThatComeAndGo(t *testing.T) {
	d := newLogDir(t.TempDir())
	for range 100 {
		for _, name := range []string{"a", "b"} {
			d.write(name, []byte("hello\n"), time.Now())
			d.close(name)
		}
	}
	if files := d.all(); len(files) > 0 {
		t.Errorf("%d files are left", len(files))
	}
}

func TestLogDirThatFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	openFile(t, path)
	d := newLogDir(path)
	reported := map[string]uint64{}
	d.losses.Tell = func(replica string, n uint64, err error) {
		if reported[replica] += n; err == nil {
			t.Error("no reason")
		}
	}
	for range 3 {
		d.write("a", []byte("1\n2\n"), time.Now())
		d.write("b", []byte("1\n"), time.Now())
	}
	d.losses.Flush()
	if reported["a"] != 6 || reported["b"] != 3 {
		t.Errorf("reported %v, want all lines of each replica", reported)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	d.write("a", []byte("whole again\n"), time.Now())
	if n, err := d.losses.Lost(); n != 9 || err != nil {
		t.Errorf("%d lines are lost, %v; want 9 and no error", n, err)
	}
}

func TestOpenErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for want, settings := range map[string]clusterfile.Settings{
		"--metrics-addr: listen tcp " + taken.Addr().String(): {MetricsAddr: taken.Addr().String()},
		"--events: open /nowhere/events":                      {Events: "/nowhere/events"},
	} {
		if _, err := (Flags{}).Open(settings, io.Discard, io.Discard, nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want %s...", err, want)
		}
	}
}

// A real replica crashes once, and every sink reports it.
func TestReport(t *testing.T) {
	dir := t.TempDir()
	events := filepath.Join(dir, "events.jsonl")
	settings := clusterfile.Settings{
		LogSize: 2e6, LogFiles: 1, LogDir: filepath.Join(dir, "logs"), Events: events, MetricsAddr: "127.0.0.1:0", FileMode: 0o640,
	}
	var s *supervisor.Supervisor
	var c supervisor.Config
	var stdout, stderr bytes.Buffer
	r, err := Flags{LogLevel: "info", Quiet: true}.Open(settings, &stdout, &stderr, func() []status.Status { return s.List() })
	if err != nil {
		t.Fatal(err)
	}
	ready, written := make(chan struct{}), make(chan struct{})
	c.Groups = []spec.Group{{
		Name: "g", Count: 1,
		Replica: func(int) spec.Replica {
			return spec.Replica{Name: "a", Args: []string{"sh", "-c", `echo "up $CRASHLAB_INCARNATION"; [ $CRASHLAB_INCARNATION = 2 ] || exit 3; exec sleep 1000`}}
		},
	}}
	c.OnOutput = func(replica string, lines []byte) {
		r.Output(replica, lines)
		if string(lines) == "up 2\n" {
			close(written)
		}
	}
	c.OnEvent = func(e event.Event) {
		r.Event(e)
		if e.Kind == event.KindReady && e.Incarnation == 2 {
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
		`supervisor_replica_state{group="g",replica="a",state="unready"} 0`,
		`supervisor_replica_restarts_total{group="g",replica="a"} 1`,
		`supervisor_replica_exits_total{code="3",expected="false",group="g",replica="a",signal=""} 1`,
		`supervisor_replica_ready_after_seconds_count{group="g",replica="a"} 2`,
		`supervisor_replica_output_lines_dropped_total{group="g",replica="a"} 0`,
		`supervisor_sink_lines_lost_total{sink="events"} 0`,
		`supervisor_sink_lines_lost_total{sink="log_dir"} 0`,
	} {
		if !strings.Contains(scraped, "\n"+want+"\n") {
			t.Errorf("no %s in\n%s", want, scraped)
		}
	}
	if usage := regexp.MustCompile(`(?m)^supervisor_replica_(cpu_seconds_total|resident_memory_bytes)\{group="g",replica="a"\} \d`); runtime.GOOS == "linux" && len(usage.FindAllString(scraped, -1)) != 2 {
		t.Errorf("no CPU time and memory in\n%s", scraped)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if families, err := r.metrics.registry.Gather(); err != nil || strings.Contains(fmt.Sprint(families), "supervisor_replica_") {
		t.Errorf("metrics of a replica that is gone, or %v", err)
	}
	r.Close()
	checkEvents(t, events)
	text, err := os.ReadFile(filepath.Join(dir, "logs", "a.log"))
	if want := regexp.MustCompile(`^\S+Z up 1\n\S+Z up 2\n$`); err != nil || !want.Match(text) {
		t.Errorf("a.log: %q, %v", text, err)
	}
	if stdout.Len() > 0 || !strings.Contains(stderr.String(), "exit_code=3") || !strings.Contains(stderr.String(), "output=\"up 1\"") {
		t.Errorf("stdout %q, log %s\nwant the exit and the last line only in the log", stdout.String(), stderr.String())
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
	var last event.Event
	count := make(map[event.Kind]int)
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
	if count[event.KindLaunched] != 2 || count[event.KindExited] != 2 || last.Kind != event.KindRemoved || last.Elapsed <= 0 {
		t.Errorf("events %v, the last %+v", count, last)
	}
}

const patience = processtest.Patience

// gated is a log that blocks until it is opened.
type gated struct {
	open chan struct{}
	mu   sync.Mutex
	text bytes.Buffer
}

func (g *gated) Write(b []byte) (int, error) {
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.text.Write(b)
}

// When the log accepts lines again, it reports how many were lost.
func TestLogThatWasStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stderr := &gated{open: make(chan struct{})}
		r, err := Flags{LogLevel: "info"}.Open(clusterfile.Settings{}, io.Discard, stderr, nil)
		if err != nil {
			t.Fatal(err)
		}
		long := strings.Repeat("x", 100<<10)
		for range 100 {
			r.Log.Info(long)
		}
		time.Sleep(time.Minute)
		lost := r.Sinks()[1]
		if lost.Name != "stderr" || lost.Lost < 70 {
			t.Errorf("lost %+v", lost)
		}
		close(stderr.open)
		r.Log.Info("short")
		time.Sleep(time.Minute)
		r.Close()
		stderr.mu.Lock()
		defer stderr.mu.Unlock()
		if text := stderr.text.String(); !strings.Contains(text, "lines lost: sink=stderr lines=") || !strings.Contains(text, "short") {
			t.Errorf("%d bytes that do not report the loss", len(text))
		}
	})
}

// lackingListener runs out of descriptors once, and then is closed.
type lackingListener struct {
	net.Listener
	asked bool
}

func (l *lackingListener) Accept() (net.Conn, error) {
	if l.asked {
		return nil, net.ErrClosed
	}
	l.asked = true
	return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
}

// The server of the metrics writes to the log, not directly to stderr.
func TestMetricsServerLogs(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	m := newMetrics(nil, nil)
	if err := m.serve(&lackingListener{Listener: l}, hclog.New(&hclog.LoggerOptions{Output: &log, JSONFormat: true})); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), `"@level":"warn"`) || !strings.Contains(log.String(), "too many open files") {
		t.Errorf("the log has %q", log.String())
	}
}
