package control

import (
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// Users are checked even if the socket's mode has been changed.
func TestPeersOfOtherUsersAreNotPermitted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	addr := socket(t)
	l, err := Listen(addr, false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	path := strings.TrimPrefix(addr, "unix://")
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path[:strings.LastIndex(path, "/")], 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		uid  int
		want bool
	}{{0, true}, {65534, false}} {
		connected := make(chan error, 1)
		go func() { connected <- connectAs(tc.uid, path) }()
		conn, err := l.(*guarded).AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		if got := permitted(conn); got != tc.want {
			t.Errorf("user %d: permitted %v, want %v", tc.uid, got, tc.want)
		}
		conn.Close()
		if err := <-connected; err != nil {
			t.Fatal(err)
		}
	}
}

// connectAs connects as a user, and waits until the connection is closed. It changes the user of
// one thread only, which ends with the goroutine.
func connectAs(uid int, path string) error {
	runtime.LockOSThread()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
		return errno
	}
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		return err
	}
	_, err = syscall.Read(fd, make([]byte, 1))
	return err
}
