package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// untilWriting returns when a thread of the process is blocked in a write.
func untilWriting(t *testing.T, pid int, ended <-chan error) {
	t.Helper()
	for {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
		for _, file := range files {
			text, err := os.ReadFile(file)
			if errors.Is(err, fs.ErrPermission) {
				t.Skip("no permission to see the system calls of a process: ", err)
			}
			if strings.HasPrefix(string(text), fmt.Sprint(unix.SYS_WRITE, " ")) {
				return
			}
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
}

// fullPipe returns the write end of a pipe that is full.
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

// With its log stuck, it cannot even begin to drain. A second signal still ends it, as does the
// first before signals are caught.
func TestSignalsWithAStuckLog(t *testing.T) {
	for _, args := range [][]string{{"--addr", "127.0.0.1:0"}, {"--help"}, {"--p-crash", "2"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(binary, args...)
			cmd.Stdout, cmd.Stderr = fullPipe(t), fullPipe(t)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Process.Kill()
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			untilWriting(t, cmd.Process.Pid, ended)
			for {
				cmd.Process.Signal(syscall.SIGTERM) // two signals at once count as one
				select {
				case <-ended:
					if status := cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
						t.Errorf("it ended with %v, want its end by SIGTERM", cmd.ProcessState)
					}
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
	}
}
