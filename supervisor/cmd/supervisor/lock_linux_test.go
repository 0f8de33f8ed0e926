package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/crashlab/supervisor/internal/process/processtest"
)

// A full disk does not prevent the start, and the lock holds nevertheless.
func TestStateDirectoryOnAFullDisk(t *testing.T) {
	dir := processtest.SmallDisk(t, "16k")
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	first := start(t, "serve", "--replicas=1", "--state-dir", dir, "--", os.Args[0])
	first.pids(1)
	second := start(t, "serve", "--replicas=1", "--state-dir", dir, "--", os.Args[0])
	if code := second.ends(); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if got, want := second.stderr.text(), "state directory "+dir+": in use by another supervisor; "; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	first.Process.Signal(syscall.SIGTERM) // it must not keep the file system
	first.ends()
}
