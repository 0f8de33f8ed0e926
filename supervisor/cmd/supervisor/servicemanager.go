package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/hashicorp/go-hclog"
)

// Messages to a service manager; see sd_notify(3).
const (
	serviceReady    = "READY=1"
	serviceStopping = "STOPPING=1"
	serviceAlive    = "WATCHDOG=1"
)

// sendPatience is how long a message to the service manager may wait for room in its socket. It can
// delay the end of the supervisor by as much.
const sendPatience = time.Second

// serviceManager is the program that started the supervisor as a service, such as systemd, and
// expects reports of its state. The zero value expects none.
type serviceManager struct {
	socket   string        // where it listens; empty: it expects no reports
	watchdog time.Duration // it kills the supervisor after a silence this long; zero: it does not
	log      hclog.Logger
}

// findServiceManager returns the service manager that the environment names. It clears the
// variables, so that replicas do not inherit them: only the supervisor reports.
func findServiceManager() (m serviceManager, err error) {
	m.socket = os.Getenv("NOTIFY_SOCKET")
	interval, pid := os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		os.Unsetenv(name)
	}
	if interval == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) { // the watchdog is for another process
		return m, nil
	}
	const most = int64(365 * 24 * time.Hour / time.Microsecond)
	n, err := strconv.ParseInt(interval, 10, 64)
	if err != nil || n < 1 || n > most {
		return m, fmt.Errorf("WATCHDOG_USEC: %q: want microseconds, from 1 to %d", interval, most)
	}
	m.watchdog = time.Duration(n) * time.Microsecond
	return m, nil
}

// report sends a message. A failure is only logged: the manager decides what to do about a service
// that it does not hear from.
func (m serviceManager) report(message string) {
	if m.socket == "" {
		return
	}
	if err := m.send(message); err != nil {
		m.log.Warn("failed to notify the service manager", "message", message, "error", err)
	}
}

func (m serviceManager) send(message string) error {
	conn, err := net.Dial("unixgram", m.socket)
	if err != nil {
		return fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	defer conn.Close()
	conn.SetWriteDeadline(time.Now().Add(sendPatience))
	_, err = conn.Write([]byte(message))
	return err
}

// feedWatchdog reports twice in each interval of the watchdog that the supervisor is alive, until
// ctx ends. Before each report it calls check, which blocks if the supervisor hangs.
func (m serviceManager) feedWatchdog(ctx context.Context, check func()) {
	if m.watchdog == 0 {
		return
	}
	tick := time.NewTicker(max(m.watchdog/2, 1))
	defer tick.Stop()
	for {
		check()
		m.report(serviceAlive)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
