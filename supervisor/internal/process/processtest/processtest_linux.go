package processtest

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// NeedsPidfds skips the test where pidfds cannot be waited for, as before Linux 5.4.
func NeedsPidfds(t testing.TB) {
	t.Helper()
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Skip("no pidfds: ", err)
	}
	defer unix.Close(fd)
	if unix.Waitid(unix.P_PIDFD, fd, nil, unix.WEXITED|unix.WNOHANG, nil) != unix.ECHILD {
		t.Skip("no pidfds that can be waited for")
	}
}
