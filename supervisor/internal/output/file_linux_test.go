package output

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"example.com/crashlab/supervisor/internal/process/processtest"
)

// A write for which the disk has no space leaves no part of a line.
func TestFileOnAFullDisk(t *testing.T) {
	dir := processtest.SmallDisk(t, "16k")
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &File{Path: filepath.Join(dir, "f.log"), Mode: 0o600}
	defer f.Close()
	line := strings.Repeat("x", 99) + "\n"
	n, err := f.Write(bytes.Repeat([]byte(line), 1000))
	if !errors.Is(err, syscall.ENOSPC) || n == 0 || n%100 != 0 {
		t.Fatalf("wrote %d bytes, %v; want whole lines", n, err)
	}
	has(t, f.Path, strings.Repeat(line, n/100))
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	write(t, f, "next\n")
	has(t, f.Path, strings.Repeat(line, n/100)+"next\n")
}
