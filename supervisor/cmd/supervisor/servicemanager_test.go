package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hashicorp/go-hclog"
)

// managerSocket is the socket of a service manager.
type managerSocket struct {
	*net.UnixConn
	t *testing.T
}

func listenAsManager(t *testing.T) managerSocket {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetReadDeadline(time.Now().Add(patience))
	return managerSocket{conn, t}
}

func (s managerSocket) next() string {
	s.t.Helper()
	message := make([]byte, 4096)
	n, err := s.Read(message)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(message[:n])
}

// until skips messages to the watchdog.
func (s managerSocket) until(want string) {
	s.t.Helper()
	got := s.next()
	for got == serviceAlive && got != want {
		got = s.next()
	}
	if got != want {
		s.t.Fatalf("the manager got %q, want %q", got, want)
	}
}

func TestServiceManagerIsNotified(t *testing.T) {
	manager := listenAsManager(t)
	gate := filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	config := write(t, "replicas: 2\nready: tcp\nalive: none\nbase_port: "+strconv.Itoa(freePorts(t, 2))+
		"\ncommand: [sh, -c, 'read _ <"+gate+"; exec \"$0\" {addr}', "+strconv.Quote(os.Args[0])+"]\n")
	p := prepare(t, "listen", "--config", config)
	p.Env = append(p.Env, "NOTIFY_SOCKET="+manager.LocalAddr().String(), "WATCHDOG_USEC=20000")
	p.launch()
	go func() {
		<-p.ended
		manager.Close() // no more messages follow
	}()
	for range 3 {
		manager.until(serviceAlive)
	}
	open, err := os.OpenFile(gate, os.O_RDWR, 0) // both replicas read from it
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	open.WriteString("\n\n")
	manager.until(serviceReady)
	manager.until(serviceAlive) // and it continues
	p.Process.Signal(syscall.SIGTERM)
	manager.until(serviceStopping)
	manager.Close()
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// A replica that is never ready does not delay the report of the others if it is removed, or if it
// is a job that finishes successfully.
func TestServiceManagerDoesNotWaitForNothing(t *testing.T) {
	for name, tt := range map[string]struct {
		group string
		ctl   string // removes its replica
	}{
		"removed":  {`{ready: notify}`, "scale 0 --group other"},
		"finished": {`{ready: notify, restart: never, command: ["true"]}`, "list"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			manager := listenAsManager(t)
			addr := "unix://" + socketDir(t) + "/s"
			p := prepare(t, "", "--config", write(t, fmt.Sprintf(
				"command: [sleep, \"300\"]\nreplicas: 1\ncontrol: {addr: %q}\ngroups: {web: {}, other: %s}\n", addr, tt.group)))
			p.Env = append(p.Env, "NOTIFY_SOCKET="+manager.LocalAddr().String())
			p.launch()
			p.until(&p.stderr, "two replicas", func(text string) bool { return strings.Count(text, "launched: ") == 2 })
			if _, stderr, code := runCtl(t, addr, strings.Fields(tt.ctl)...); code != 0 {
				t.Fatalf("exit code %d, stderr %s", code, stderr)
			}
			manager.until(serviceReady)
		})
	}
}

// The supervisor continues if the manager does not listen: the manager decides what to do.
func TestServiceManagerThatDoesNotListen(t *testing.T) {
	config := write(t, "replicas: 1\nrestart: never\ncommand: [echo, up]\n")
	p := prepare(t, "", "--config", config)
	p.Env = append(os.Environ(), "NOTIFY_SOCKET=/nowhere")
	p.launch()
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if log := p.stderr.text(); !strings.Contains(log, "message=READY=1") || !strings.Contains(log, "/nowhere") {
		t.Errorf("the log does not name the message and the socket")
	}
}

func TestBadWatchdogInterval(t *testing.T) {
	for _, interval := range []string{"0", "-1", "1s", "31536000000001"} {
		t.Setenv("WATCHDOG_USEC", interval)
		if _, err := findServiceManager(); err == nil || !strings.Contains(err.Error(), "WATCHDOG_USEC: "+strconv.Quote(interval)) {
			t.Errorf("error %v", err)
		}
		if _, is := os.LookupEnv("WATCHDOG_USEC"); is {
			t.Error("the replicas would inherit the variable")
		}
	}
	t.Setenv("WATCHDOG_USEC", "1000")
	t.Setenv("WATCHDOG_PID", "1")
	if m, err := findServiceManager(); err != nil || m.watchdog != 0 {
		t.Errorf("a watchdog of another process: interval %v, error %v", m.watchdog, err)
	}
}

// A supervisor that hangs must not report that it is alive.
func TestWatchdogIsFedOnlyWhenAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := serviceManager{watchdog: 2 * time.Second, log: hclog.NewNullLogger()}
		ctx, cancel := context.WithCancel(t.Context())
		checks, hang := 0, make(chan struct{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			m.feedWatchdog(ctx, func() {
				if checks++; checks > 3 {
					<-hang
				}
			})
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		if checks != 4 {
			t.Errorf("%d checks in an hour in which the fourth hung, want 4", checks)
		}
		cancel()
		close(hang)
		<-ended
	})
}
