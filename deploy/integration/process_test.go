package integration

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// process is one of the programs, running or ended.
type process struct {
	t              testing.TB
	cmd            *exec.Cmd
	stdout, stderr transcript
	ended          chan struct{} // closed when it has ended and all its output was read
}

// start runs a program until the test ends.
func start(t testing.TB, program string, args ...string) *process {
	t.Helper()
	return startCommand(t, "bin/"+program, args...)
}

// startCommand is start for any command, such as one that runs the program.
func startCommand(t testing.TB, name string, args ...string) *process {
	t.Helper()
	if err := lookAtSources(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.Command(name, args...), ended: make(chan struct{})}
	p.cmd.Dir = lab
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	readers.Go(func() { p.stdout.collect(stdout) })
	readers.Go(func() { p.stderr.collect(stderr) })
	go func() {
		defer close(p.ended)
		readers.Wait()
		_ = p.cmd.Wait() // the tests look at ProcessState
	}()
	t.Cleanup(p.finish)
	return p
}

// finish kills the process if it still runs, and checks its output for panics and data races.
func (p *process) finish() {
	_ = p.cmd.Process.Kill() // usually it has ended
	<-p.ended
	for _, line := range slices.Concat(p.stdout.all(), p.stderr.all()) {
		if strings.Contains(line, "DATA RACE") || strings.Contains(line, "panic: ") || strings.Contains(line, "goroutine ") {
			p.t.Errorf("%s printed %q", p.cmd.Args[0], line)
		}
	}
	if p.t.Failed() {
		p.t.Logf("%q\nstdout:\n%s\nstderr:\n%s", p.cmd.Args, &p.stdout, &p.stderr)
	}
}

// exitCode waits until the process has ended. -1 means that a signal has ended it.
func (p *process) exitCode() int {
	p.t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		p.t.Fatalf("%s has not ended after %v", p.cmd.Args[0], patience)
		return 0
	}
}

// signal sends a signal to the process, which must not have ended.
func (p *process) signal(sig os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
}

// await waits until found returns true for a line of s. It is called for the lines in order, from
// the first one. The test fails if the process ends without such a line.
func (p *process) await(s *transcript, what string, found func(line string) bool) {
	p.t.Helper()
	if !p.seek(s, what, found) {
		p.t.Fatalf("%s ended without %s", p.cmd.Args[0], what)
	}
}

// seek is await, but returns false if the process ends without such a line.
func (p *process) seek(s *transcript, what string, found func(line string) bool) bool {
	p.t.Helper()
	timeout := time.After(patience)
	for seen, last := 0, false; ; {
		lines, changed := s.from(seen)
		seen += len(lines)
		if slices.ContainsFunc(lines, found) {
			return true
		}
		if last {
			return false
		}
		select {
		case <-changed:
		case <-p.ended:
			last = true
		case <-timeout:
			p.t.Fatalf("after %v still no %s", patience, what)
		}
	}
}

// run runs a program until it ends.
func run(t *testing.T, program string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := start(t, program, args...)
	return p.exitCode(), p.stdout.String(), p.stderr.String()
}

// transcript is the output of a process so far, by lines. The zero value is empty.
type transcript struct {
	mu      sync.Mutex
	lines   []string
	changed chan struct{} // closed at the next line; nil: no goroutine waits
}

func (s *transcript) collect(r io.Reader) {
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			s.add(strings.TrimSuffix(line, "\n"))
		}
		if err != nil {
			return
		}
	}
}

func (s *transcript) add(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, line)
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// from returns the lines from the n-th on, and a channel that is closed when there are more.
func (s *transcript) from(n int) ([]string, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return slices.Clone(s.lines[n:]), s.changed
}

func (s *transcript) all() []string {
	lines, _ := s.from(0)
	return lines
}

// String returns all lines, each with its newline.
func (s *transcript) String() string {
	var b strings.Builder
	for _, line := range s.all() {
		b.WriteString(line + "\n")
	}
	return b.String()
}

// alive reports whether a process with this ID and this argument runs. The argument distinguishes
// it from a process that has got the same ID later. Zombies have no arguments.
func alive(pid int, argument string) bool {
	arguments, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil && runtime.GOOS != "linux" {
		return syscall.Kill(pid, 0) == nil
	}
	return bytes.Contains(arguments, []byte(argument))
}
