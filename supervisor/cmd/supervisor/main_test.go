package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/supervisor/internal/process/processtest"
)

const (
	childMode = "SUPERVISOR_TEST_CHILD" // makes the test binary play a replica
	patience  = processtest.Patience
)

// binary is the supervisor, built once.
var binary string

func TestMain(m *testing.M) {
	if mode := os.Getenv(childMode); mode != "" {
		play(mode)
		return
	}
	// Otherwise, under nohup, the programs would not end with their terminal.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "supervisor")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0") // otherwise the test binary takes a second to exit
	binary = filepath.Join(dir, "supervisor")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v\n%s", err, out))
	}
	return m.Run()
}

// play plays a replica. Its first argument is its address, if it has one.
func play(mode string) {
	switch mode {
	case "listen":
		if _, err := net.Listen("tcp", os.Args[1]); err != nil {
			panic(err)
		}
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
	}
	if mode == "burst" {
		burst(os.Args[2], os.Args[3:])
	}
	fmt.Println("up", os.Getenv("CRASHLAB_INCARNATION"), os.Getpid())
	if mode == "crash" {
		os.Exit(3)
	}
	time.Sleep(5 * time.Minute) // longer than every test, but not forever
}

// burst writes numbered lines of a size as replica a, and the time now and then as replica b.
func burst(name string, numbers []string) {
	var n, size, quiet int
	fmt.Sscan(strings.Join(numbers, " "), &n, &size, &quiet)
	if name == "a" {
		out := bufio.NewWriter(os.Stdout)
		text := strings.Repeat("x", size)
		for i := range n {
			fmt.Fprintln(out, i, text)
		}
		out.Flush()
	} else {
		for range quiet {
			fmt.Println(time.Now().UnixNano())
			time.Sleep(2 * time.Millisecond)
		}
	}
	time.Sleep(5 * time.Minute)
}

// proc is a running supervisor and what it has printed so far.
type proc struct {
	*exec.Cmd
	t      *testing.T
	stdout stream
	stderr stream
	ended  chan struct{} // closed when it has ended
	config string        // its cluster file
}

// stream collects lines.
type stream struct {
	mu    sync.Mutex
	lines []string
	news  chan struct{}
}

func (s *stream) read(r io.Reader) {
	for in := bufio.NewScanner(r); in.Scan(); {
		s.mu.Lock()
		s.lines = append(s.lines, in.Text())
		s.mu.Unlock()
		select {
		case s.news <- struct{}{}:
		default:
		}
	}
}

func (s *stream) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// start runs the supervisor with replicas that play mode, until the test's end.
func start(t *testing.T, mode string, args ...string) *proc {
	t.Helper()
	p := prepare(t, mode, args...)
	p.launch()
	return p
}

// prepare is start without the launch.
func prepare(t *testing.T, mode string, args ...string) *proc {
	p := &proc{Cmd: exec.Command(binary, args...), t: t, ended: make(chan struct{})}
	p.stdout.news, p.stderr.news = make(chan struct{}, 1), make(chan struct{}, 1)
	p.Env = append(os.Environ(), childMode+"="+mode)
	if i := slices.Index(args, "--config"); i >= 0 {
		p.config = args[i+1]
	}
	return p
}

func (p *proc) launch() {
	t := p.t
	t.Helper()
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	var streams sync.WaitGroup
	streams.Go(func() { p.stdout.read(out) })
	streams.Go(func() { p.stderr.read(errs) })
	go func() {
		defer close(p.ended)
		streams.Wait()
		_ = p.Wait() // the test looks at ProcessState
	}()
	t.Cleanup(func() {
		_ = p.Process.Kill() // it usually has ended
		<-p.ended
		if t.Failed() {
			t.Logf("stdout:\n%s\nstderr:\n%s", p.stdout.text(), p.stderr.text())
		}
	})
}

// until blocks until ok returns true for the text of the stream.
func (p *proc) until(s *stream, what string, ok func(text string) bool) {
	p.t.Helper()
	timeout := time.After(patience)
	for !ok(s.text()) {
		select {
		case <-s.news:
		case <-p.ended:
			if !ok(s.text()) {
				p.t.Fatalf("it ended without %s", what)
			}
		case <-timeout:
			p.t.Fatalf("after %v still no %s", patience, what)
		}
	}
}

// pids blocks until n replicas are up, and returns their process IDs.
func (p *proc) pids(n int) []int {
	p.t.Helper()
	var pids []int
	p.until(&p.stdout, fmt.Sprintf("%d replicas", n), func(text string) bool {
		pids = nil
		for line := range strings.Lines(text) {
			var pid int
			if _, err := fmt.Sscanf(line, "%1s | up 1 %d", new(string), &pid); err == nil {
				pids = append(pids, pid)
			}
		}
		return len(pids) == n
	})
	return pids
}

// ends blocks until the supervisor has ended and returns its exit code.
func (p *proc) ends() int {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(patience):
		p.t.Fatalf("it has not ended after %v", patience)
	}
	return p.ProcessState.ExitCode()
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
