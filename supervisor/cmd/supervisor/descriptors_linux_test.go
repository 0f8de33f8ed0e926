package main

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A descriptor that the supervisor has inherited goes neither to replicas nor to the guardian,
// although it is the supervisor's cluster file.
func TestInheritedDescriptorsAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "inherited.yaml")
	config := "replicas: 1\ncommand: [sh, -c, 'echo up; exec sleep 300']\n"
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	p := prepare(t, "", "--config", "/dev/fd/3")
	p.ExtraFiles = []*os.File{file}
	p.launch()
	file.Close()
	p.until(&p.stdout, "replica", func(text string) bool { return strings.Contains(text, "up") })
	if pids := holders(t, path); len(pids) != 1 || pids[0] != p.Process.Pid {
		t.Errorf("the file is open in the processes %v, want only the supervisor, %d", pids, p.Process.Pid)
	}
	p.Process.Signal(syscall.SIGHUP)
	p.until(&p.stderr, "reload", func(text string) bool { return strings.Contains(text, "reloaded") })
}

// holders returns the processes that have a file open.
func holders(t *testing.T, path string) (pids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range all {
		if to, err := os.Readlink(link); err == nil && to == path { // others have ended, or may not be inspected
			pid, _ := strconv.Atoi(strings.Split(link, "/")[2])
			pids = append(pids, pid)
		}
	}
	return pids
}

// Older kernels lack close_range(2).
func TestEachDescriptorIsClosedOnExec(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	defer read.Close()
	inherited, err := unix.FcntlInt(read.Fd(), unix.F_DUPFD, 100) // without FD_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(inherited), "inherited")
	defer f.Close()
	if err := closeEachOnExec(); err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v; want FD_CLOEXEC", flags, err)
	}
	write.Close()
	if _, err := f.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("read: %v, want the end of the pipe, because this process may still use it", err)
	}
}
