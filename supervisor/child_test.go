package supervisor

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/supervisor/restart"
)

// childMode makes the test binary play a part instead of running tests.
const childMode = "SUPERVISOR_TEST_CHILD"

func TestMain(m *testing.M) {
	mode, args := os.Getenv(childMode), os.Args[1:]
	if mode == "" {
		os.Exit(m.Run())
	}
	os.Unsetenv(childMode)
	play(mode, args)
}

// as returns the command line that makes the test binary play a part. It avoids the second that the
// race detector takes to exit.
func as(mode string, args ...string) []string {
	return append([]string{"env", "GORACE=atexit_sleep_ms=0", childMode + "=" + mode, os.Args[0]}, args...)
}

// parts are those of one operating system.
var parts = map[string]func(){}

func play(mode string, args []string) {
	switch mode {
	case "serve": // until it gets a signal
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
	case "parent", "runaway", "daemon": // starts a grandchild, see beget
		beget(mode, args)
	case "ready": // sends its arguments as notifications
		say(args)
		linger()
	case "notice":
		say(args)
	case "listen":
		l, err := net.Listen("tcp", os.Getenv("LISTEN_AT"))
		if err != nil {
			panic(err)
		}
		defer l.Close()
		linger()
	case "names": // prints the names of its environment variables
		all := names(os.Environ())
		slices.Sort(all)
		fmt.Println(all)
	case "guard":
		if err := Guard(readyReader{os.Stdin}); err != nil {
			panic(err)
		}
	case "supervise":
		supervise(args)
	default:
		parts[mode]()
	}
}

// names returns the names of variables.
func names(env []string) (all []string) {
	for _, v := range env {
		name, _, _ := strings.Cut(v, "=")
		all = append(all, name)
	}
	return all
}

// report prints the incarnation and the process ID, as a sign that the child is ready.
func report() { fmt.Println("up", os.Getenv("CRASHLAB_INCARNATION"), os.Getpid()) }

// linger waits longer than any test, but not forever if the test is killed.
func linger() { time.Sleep(5 * time.Minute) }

// beget starts a child. A parent then waits. A runaway exits as soon as its child, which is in a
// new session, is ready. A daemon starts its child through a runaway.
func beget(mode string, args []string) {
	if mode == "daemon" {
		args = as("runaway", args...)
	}
	child := exec.Command(args[0], args[1:]...)
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: mode == "runaway"}
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		panic(err)
	}
	fmt.Println("child", child.Process.Pid)
	switch in := bufio.NewReader(out); mode {
	case "daemon":
		_, _ = io.Copy(os.Stdout, in)
		_ = child.Wait() // its exit code is 1
		linger()
	default:
		up, _ := in.ReadString('\n')
		fmt.Print(up)
	}
	if mode == "parent" {
		linger()
	}
	os.Exit(1)
}

// say sends notifications to NOTIFY_SOCKET.
func say(messages []string) {
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		panic(err)
	}
	for _, m := range messages {
		if _, err := conn.Write([]byte(m)); err != nil {
			panic(err)
		}
	}
}

// readyReader reports when Guard begins to read, which it does after it has begun to ignore
// signals.
type readyReader struct{ io.Reader }

func (r readyReader) Read(b []byte) (int, error) {
	fmt.Println("ready")
	return r.Reader.Read(b)
}

// supervise runs a Supervisor in this process, for tests that kill it.
func supervise(args []string) {
	s := many(3, restart.Policy{}, func(i int) []string {
		return [][]string{as("serve"), as("deaf"), as("parent", as("deaf")...)}[i]
	})
	s.OnOutput = func(replica string, lines []byte) {
		for line := range bytes.Lines(lines) {
			fmt.Printf("%s %s", replica, line)
		}
	}
	s.weaken(args)
	s.waits = &patient
	if err := run(context.Background(), s); err != nil {
		panic(err)
	}
}

// weaken switches off the means of ending processes that are not listed.
func (s *Config) weaken(means []string) {
	s.noCgroup, s.noParentDeathSignal = true, true
	for _, m := range means {
		switch m {
		case "guardian":
			s.Guardian = as("guard")
		case "parent-death-signal":
			s.noParentDeathSignal = false
		case "cgroup":
			s.noCgroup = false
		}
	}
}
