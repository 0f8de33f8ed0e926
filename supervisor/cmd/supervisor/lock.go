package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"example.com/crashlab/supervisor/inputfile"
)

// lock ensures that only this process uses a state directory, which it creates if needed. The lock
// file is not removed at the end, because other processes may have opened it. The system releases
// the lock however the process ends.
func lock(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	path := filepath.Join(dir, "lock")
	if err := inputfile.CheckPath(path); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	switch err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); {
	case errors.Is(err, syscall.EWOULDBLOCK):
		defer f.Close()
		owner := "another supervisor"
		if pid, _ := io.ReadAll(io.LimitReader(f, 20)); len(pid) > 0 {
			owner = "the supervisor with pid " + strings.TrimSpace(string(pid))
		}
		return nil, fmt.Errorf("state directory %s: in use by %s; choose another --state-dir", dir, owner)
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("state directory %s: flock: %w", dir, err)
	}
	// The process ID is only for that error. On a full disk there is none.
	_ = f.Truncate(0)
	_, _ = fmt.Fprintln(f, os.Getpid())
	return func() { f.Close() }, nil
}
