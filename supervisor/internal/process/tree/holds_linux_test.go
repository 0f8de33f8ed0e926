package tree

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"testing"

	"golang.org/x/sys/unix"
)

// A socket belongs to a branch if a descendant of its leader holds it, and not if others do.
func TestHoldsByDescendants(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	file, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	tree := New(false)
	defer tree.Close()
	ours, other := tree.Branch(), tree.Branch()
	defer ours.Remove()
	defer other.Remove()
	leader := shell(t, ours, "sleep 300 & exec 3<&-; echo; wait", file)
	stranger := shell(t, other, "echo; exec sleep 300")
	l.Close()
	file.Close()
	if err := ours.Holds(leader.Process.Pid, l.Addr().String()); err != nil {
		t.Errorf("a child of the leader listens: %v", err)
	}
	if err := other.Holds(stranger.Process.Pid, l.Addr().String()); !errors.Is(err, errHeld) {
		t.Errorf("another branch listens: got %v, want %v", err, errHeld)
	}
	for _, cmd := range []*exec.Cmd{leader, stranger} {
		for _, pid := range descendants(cmd.Process.Pid) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		_ = cmd.Wait()
	}
}

// If descriptors are lacking, Holds returns that error, and neither nil nor that another process
// listens.
func TestHoldsWithoutDescriptors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	tree := New(false)
	defer tree.Close()
	b := tree.Branch()
	defer b.Remove()
	if err := b.Holds(os.Getpid(), l.Addr().String()); err != nil {
		t.Errorf("our own socket: %v", err)
	}
	none := limit
	none.Cur = 0
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	err = b.Holds(os.Getpid(), l.Addr().String())
	if back := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); back != nil {
		t.Fatal(back)
	}
	if !errors.Is(err, unix.EMFILE) {
		t.Errorf("got %v, want %v", err, unix.EMFILE)
	}
}
