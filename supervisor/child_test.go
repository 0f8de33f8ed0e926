package supervisor

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childMode makes the test binary play a part other than the test.
const childMode = "SUPERVISOR_TEST_CHILD"

func TestMain(m *testing.M) {
	mode, args := os.Getenv(childMode), os.Args[1:]
	if mode == "" {
		os.Exit(m.Run())
	}
	os.Unsetenv(childMode)
	play(mode, args)
}

// as is the command line that makes the test binary play a part, without the
// second that the race detector takes to exit.
func as(mode string, args ...string) []string {
	return append([]string{"env", "GORACE=atexit_sleep_ms=0", childMode + "=" + mode, os.Args[0]}, args...)
}

func play(mode string, args []string) {
	switch mode {
	case "serve": // until a signal ends it
		report()
		linger()
	case "exit":
		report()
		code, _ := strconv.Atoi(args[0])
		os.Exit(code)
	case "deaf":
		signal.Ignore(syscall.SIGTERM)
		report()
		linger()
	case "stopped":
		report()
		syscall.Kill(os.Getpid(), syscall.SIGSTOP)
		linger()
	case "bigline": // in one line without a newline
		os.Stdout.WriteString(strings.Repeat("x", 1<<20))
	case "parent", "runaway": // of a grandchild, in its own group or not
		child := exec.Command(args[0], args[1:]...)
		child.Stdout = os.Stdout
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: mode == "runaway"}
		if err := child.Start(); err != nil {
			panic(err)
		}
		fmt.Println("child", child.Process.Pid)
		if mode == "parent" {
			linger()
		}
		os.Exit(1)
	case "guard":
		if err := Guard(readyReader{os.Stdin}); err != nil {
			panic(err)
		}
	case "supervise":
		supervise(args)
	default:
		panic(mode)
	}
}

// report prints what the test must know of a child, which is ready by then.
func report() { fmt.Println("up", os.Getenv("INCARNATION"), os.Getpid()) }

// linger outlasts every test, but not for ever should the test be killed.
func linger() { time.Sleep(5 * time.Minute) }

// readyReader says when Guard begins to read, and so ignores signals.
type readyReader struct{ io.Reader }

func (r readyReader) Read(b []byte) (int, error) {
	fmt.Println("ready")
	return r.Reader.Read(b)
}

// supervise is a process with a Supervisor in it, for tests that kill it.
func supervise(args []string) {
	s := &Supervisor{
		Replicas: []Replica{
			{Name: "a", Args: as("serve")},
			{Name: "b", Args: as("deaf")},
			{Name: "c", Args: as("parent", as("deaf")...)},
		},
		OnOutput: func(replica string, line []byte) { fmt.Printf("%s %s\n", replica, line) },
	}
	for _, arg := range args {
		switch arg {
		case "guardian":
			s.Guardian = as("guard")
		case "no-parent-death-signal":
			s.noParentDeathSignal = true
		}
	}
	if err := s.Run(context.Background()); err != nil {
		panic(err)
	}
}
