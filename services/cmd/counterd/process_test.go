package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	counterv1 "example.com/crashlab/gen/counter/v1"
)

// binary is counterd, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "counterd")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		// Without it, a process built with -race serves for another second after os.Exit.
		os.Setenv("GORACE", os.Getenv("GORACE")+" atexit_sleep_ms=0")
		os.Unsetenv("CRASHLAB_INCARNATION") // set if a supervisor runs the tests
		binary = filepath.Join(dir, "counterd")
		args := []string{"build", "-o", binary}
		if raced() {
			args = append(args, "-race")
		}
		if out, err := exec.Command("go", append(args, ".")...).CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

// raced reports whether this test was built with -race; the binary is built the same way.
func raced() bool {
	info, _ := debug.ReadBuildInfo()
	return info != nil && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

// process is a running counterd.
type process struct {
	*os.Process
	addr   string
	lines  chan string   // lines of stderr; closed when it ends
	ended  chan struct{} // closed when the process has ended, after state is set
	state  *os.ProcessState
	logged []string // the lines that wait has taken from lines
}

const patience = 2 * time.Minute // generous, for slow machines; only a bug exceeds it

// listeningLine matches the address in a log of either format.
var listeningLine = regexp.MustCompile(`"?addr"?[=:]"?([0-9.:]+)`)

// start runs counterd on a free port and returns once it listens. The process ends with the test at
// the latest.
func start(t testing.TB, args ...string) *process {
	t.Helper()
	p := launch(t, append(args, "--addr", "127.0.0.1:0")...)
	line, ok := p.wait(t, "listening")
	if !ok {
		t.Fatalf("counterd ended before it listened: %q", p.logged)
	}
	addr := listeningLine.FindStringSubmatch(line)
	if addr == nil {
		t.Fatalf("no address in %q", line)
	}
	p.addr = addr[1]
	return p
}

func launch(t testing.TB, args ...string) *process {
	t.Helper()
	cmd := exec.Command(binary, args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{
		Process: cmd.Process,
		lines:   make(chan string, 1000),
		ended:   make(chan struct{}),
	}
	go func() {
		defer close(p.ended)
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
		close(p.lines)
		io.Copy(io.Discard, stderr) // after a line too long to scan
		cmd.Wait()
		p.state = cmd.ProcessState
	}()
	t.Cleanup(func() {
		p.Kill()
		<-p.ended
	})
	return p
}

// wait returns the next line that contains one of the texts, or false if stderr ends without one.
func (p *process) wait(t testing.TB, texts ...string) (string, bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return "", false
			}
			p.logged = append(p.logged, line)
			if slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(line, text) }) {
				return line, true
			}
		case <-timeout:
			t.Fatalf("no %q in the log: %q", texts, p.logged)
		}
	}
}

// exitCode waits for the end of the process; -1 means that a signal ended it.
func (p *process) exitCode(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.state.ExitCode()
	case <-time.After(patience):
		t.Fatal("counterd does not end")
		return 0
	}
}

func (p *process) dial(t testing.TB) *grpc.ClientConn {
	t.Helper()
	return dial(t, p.addr)
}

func dial(t testing.TB, addr string) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// patiently bounds a call, so that the test fails instead of hanging.
func patiently(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// beginGet returns once a Get is in flight at the server; the function that it returns waits for
// the reply.
func beginGet(t *testing.T, conn *grpc.ClientConn) func() (*counterv1.GetResponse, error) {
	t.Helper()
	stream, err := conn.NewStream(patiently(t), &grpc.StreamDesc{}, counterv1.Counter_Get_FullMethodName)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(stream.SendMsg(&counterv1.GetRequest{}), stream.CloseSend()); err != nil {
		t.Fatal(err)
	}
	// The server accepts the streams of a connection in order, so after this reply it has accepted
	// the Get too.
	check(t, conn, "")
	return func() (*counterv1.GetResponse, error) {
		reply := new(counterv1.GetResponse)
		err := stream.RecvMsg(reply)
		return reply, err
	}
}
