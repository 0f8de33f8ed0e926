package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// untilBlocked returns when a thread of the process is in a system call that never returns by
// itself.
func (p *proc) untilBlocked(call int) {
	p.t.Helper()
	threads := fmt.Sprintf("/proc/%d/task/*/syscall", p.Process.Pid)
	for {
		files, _ := filepath.Glob(threads)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrPermission) {
				p.t.Skip("no permission to see the system calls of a process: ", err)
			}
			if strings.HasPrefix(string(text), fmt.Sprint(call, " ")) {
				return
			}
		}
		select {
		case <-p.ended:
			p.t.Fatalf("%v: it ended: %v", p.Args[1:], p.ProcessState)
		case <-time.After(time.Millisecond):
		}
	}
}

func (p *proc) mustEndBy(sig syscall.Signal) {
	p.t.Helper()
	p.ends()
	if status := p.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != sig {
		p.t.Errorf("%v: %v, want its end by %v", p.Args[1:], p.ProcessState, sig)
	}
}

// Before the first launch, and in ctl, a signal ends the process at once, even if it is blocked.
func TestSignalWhileAFileIsOpened(t *testing.T) {
	for name, args := range map[string]string{
		"cluster file": "--config FIFO", "ctl": "ctl --tls-ca FIFO list",
	} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(fmt.Sprintf("%s, %v", name, sig), func(t *testing.T) {
				t.Parallel()
				words := strings.Fields(args)
				words[slices.Index(words, "FIFO")] = fifo(t, "fifo")
				p := start(t, "", words...)
				p.untilBlocked(unix.SYS_OPENAT)
				p.Process.Signal(sig)
				p.mustEndBy(sig)
			})
		}
	}
}

func TestSignalWhileTheClusterFileIsRead(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	p := prepare(t, "", "--config", "/dev/stdin")
	p.Stdin = read
	p.launch()
	if _, err := write.WriteString("replicas: 1\n"); err != nil {
		t.Fatal(err)
	}
	for left := 1; left > 0; {
		if left, err = unix.IoctlGetInt(int(read.Fd()), unix.TIOCINQ); err != nil {
			t.Fatal(err)
		}
		select {
		case <-p.ended:
			t.Fatalf("it ended: %v", p.ProcessState)
		case <-time.After(time.Millisecond):
		}
	}
	p.Process.Signal(syscall.SIGTERM)
	p.mustEndBy(syscall.SIGTERM)
}

// A signal also ends ctl while it waits for a supervisor that never answers.
func TestSignalWhileCtlWaits(t *testing.T) {
	t.Parallel()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for _, command := range []string{"list", "watch"} {
		p := start(t, "", "ctl", "--control", mute.Addr().String(), command)
		conn, err := mute.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		p.Process.Signal(syscall.SIGTERM)
		p.mustEndBy(syscall.SIGTERM)
	}
}
