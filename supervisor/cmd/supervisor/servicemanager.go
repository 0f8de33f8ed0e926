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

// Messages to a service manager, see sd_notify(3).
const (
	serviceReady    = "READY=1"
	serviceStopping = "STOPPING=1"
	serviceAlive    = "WATCHDOG=1"
)

// sendPatience bounds how long a message to the service manager waits for room in its
// socket. It delays the end of a supervisor by as much.
const sendPatience = time.Second

// serviceManager is the program that started us as a service, such as systemd, and
// wants to hear how we are. The zero value wants to hear nothing.
type serviceManager struct {
	socket   string        // where it listens; empty: nowhere
	watchdog time.Duration // it kills us when we are silent for so long; zero: it does not
	log      hclog.Logger
}

// findServiceManager returns the service manager that the environment names, and
// clears those variables: it is for us to report, and replicas must not inherit them.
func findServiceManager() (m serviceManager, err error) {
	m.socket = os.Getenv("NOTIFY_SOCKET")
	interval, pid := os.Getenv("WATCHDOG_USEC"), os.Getenv("WATCHDOG_PID")
	for _, name := range []string{"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		os.Unsetenv(name)
	}
	if interval == "" || pid != "" && pid != strconv.Itoa(os.Getpid()) { // it watches another process
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

// tell sends a message. A failure is logged: the service goes on, and it is for the
// manager to decide what becomes of one that it does not hear.
func (m serviceManager) tell(message string) {
	if m.socket == "" {
		return
	}
	if err := m.send(message); err != nil {
		m.log.Warn("the service manager was not told", "message", message, "error", err)
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

// feedWatchdog tells the manager twice in each of its intervals that we are alive,
// until ctx ends. Before each message it calls check, which blocks if we hang.
func (m serviceManager) feedWatchdog(ctx context.Context, check func()) {
	if m.watchdog == 0 {
		return
	}
	tick := time.NewTicker(max(m.watchdog/2, 1))
	defer tick.Stop()
	for {
		check()
		m.tell(serviceAlive)
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
