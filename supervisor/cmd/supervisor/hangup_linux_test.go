package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"example.com/crashlab/supervisor/internal/process/processtest"
)

// A supervisor with a file stops when its terminal goes away: that SIGHUP does not mean reload.
func TestEndOfTheTerminalStops(t *testing.T) {
	master, slave := terminal(t)
	text := "replicas: 1\ncommand: [" + os.Args[0] + "]\n"
	p := prepare(t, "serve", "--config", write(t, text))
	p.ExtraFiles = []*os.File{slave}
	p.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 3}
	p.launch()
	pids := p.pids(1)
	p.reload(text, "[INFO]  supervisor: reloaded")
	master.Close()
	if code := p.ends(); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if !strings.Contains(p.stderr.text(), "signal=SIGHUP") || processtest.Alive(pids[0]) {
		t.Errorf("not stopped in order")
	}
}

// terminal returns the two ends of a new pseudo-terminal.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("no terminals here: ", err)
	}
	master = os.NewFile(uintptr(fd), "master")
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slave.Close() })
	return master, slave
}
