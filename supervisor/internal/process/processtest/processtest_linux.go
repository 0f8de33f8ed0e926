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

// SmallDisk returns the directory of a file system of that size, such as 16k, which a test can fill.
// It skips the test where none can be mounted.
func SmallDisk(t testing.TB, size string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("none", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skip("cannot mount a file system: ", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}
