package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// untilBlocked returns when a thread of the process is in a system call that never returns by
// itself.
func (p *process) untilBlocked(t *testing.T, call int) {
	t.Helper()
	threads := fmt.Sprintf("/proc/%d/task/*/syscall", p.Process.Pid)
	for {
		files, _ := filepath.Glob(threads)
		for _, file := range files {
			text, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrPermission) {
				t.Skip("no permission to see the system calls of a process: ", err)
			}
			if strings.HasPrefix(string(text), fmt.Sprint(call, " ")) {
				return
			}
		}
		select {
		case <-p.ended:
			t.Fatalf("%v: it ended: %v, stderr: %s", p.Args[1:], p.ProcessState, p.stderr.String())
		case <-time.After(time.Millisecond):
		}
	}
}

// mustEndBy fails the test unless the process was ended by the signal.
func (p *process) mustEndBy(t *testing.T, sig syscall.Signal) {
	t.Helper()
	<-p.ended
	if status := p.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != sig {
		t.Errorf("%v: %v, want its end by %v; stderr: %s", p.Args[1:], p.ProcessState, sig, p.stderr.String())
	}
}

// fullPipe returns the write end of a pipe that is full. The other end stays open.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{4096, 1} {
		var err error
		for err == nil {
			_, err = unix.Write(ends[1], make([]byte, size))
		}
		if err != unix.EAGAIN {
			t.Fatal(err)
		}
	}
	if err := unix.SetNonblock(ends[1], false); err != nil {
		t.Fatal(err)
	}
	write := os.NewFile(uintptr(ends[1]), "full pipe")
	t.Cleanup(func() {
		write.Close()
		unix.Close(ends[0])
	})
	return write
}

// A signal ends every command, even if it is blocked.
func TestSignalWhileBlocked(t *testing.T) {
	run, other := madeRun(t), madeRun(t)
	target := new(counter).serve(t)
	for name, tt := range map[string]struct {
		args string
		call int
	}{
		"opens a design":   {"experiment run FIFO", unix.SYS_OPENAT},
		"opens its output": {"report RUN -o FIFO", unix.SYS_OPENAT},
		"writes a report":  {"report RUN -o -", unix.SYS_WRITE},
		"writes a table":   {"report RUN --format table", unix.SYS_WRITE},
		"compares":         {"compare RUN OTHER", unix.SYS_WRITE},
		"lists factors":    {"experiment factors", unix.SYS_WRITE},
		"shows a design":   {"experiment run --dry-run ../../../deploy/experiments/quick.yaml", unix.SYS_WRITE},
		"shows a call":     {"get --target=TARGET", unix.SYS_WRITE},
		"shows statistics": {"load -q -n1 --target=TARGET", unix.SYS_WRITE},
		"shows help":       {"--help", unix.SYS_WRITE},
	} {
		for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
			t.Run(fmt.Sprintf("%s, %v", name, sig), func(t *testing.T) {
				t.Parallel()
				fifo := filepath.Join(t.TempDir(), "fifo")
				if err := syscall.Mkfifo(fifo, 0o600); err != nil {
					t.Fatal(err)
				}
				args := strings.Fields(tt.args)
				for i, arg := range args {
					args[i] = strings.NewReplacer("TARGET", target, "FIFO", fifo, "RUN", run, "OTHER", other).Replace(arg)
				}
				p := start(t, fullPipe(t), args...)
				p.untilBlocked(t, tt.call)
				p.Process.Signal(sig)
				p.mustEndBy(t, sig)
			})
		}
	}
}

// A pipe whose writer has not closed it blocks the reader too.
func TestSignalWhileReadingADesign(t *testing.T) {
	t.Parallel()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer write.Close()
	p := prepare(nil, "experiment", "run", "/dev/stdin")
	p.Stdin = read
	p.launch(t)
	if _, err := write.WriteString("name: x\n"); err != nil {
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
	p.mustEndBy(t, syscall.SIGTERM)
}

// After a first signal, while the output is stuck, a second one ends the process at once.
func TestSecondSignalWhileBlocked(t *testing.T) {
	t.Parallel()
	p := start(t, fullPipe(t), "load", "--target="+new(counter).serve(t))
	p.untilBlocked(t, unix.SYS_WRITE)
	for {
		p.Process.Signal(syscall.SIGTERM) // two signals at once count as one
		select {
		case <-p.ended:
			p.mustEndBy(t, syscall.SIGTERM)
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}
