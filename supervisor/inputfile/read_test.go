package inputfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// special is something other than a regular file.
type special struct{ path, kind string }

func specials(t *testing.T) []special {
	t.Helper()
	dir, err := os.MkdirTemp("", "inputfile") // shorter than t.TempDir, because paths of sockets are limited
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	fifo, socket, link := filepath.Join(dir, "fifo"), filepath.Join(dir, "socket"), filepath.Join(dir, "link")
	if err := errors.Join(syscall.Mkfifo(fifo, 0o600), os.Symlink(fifo, link)); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return []special{{fifo, "a pipe"}, {link, "a pipe"}, {socket, "a socket"}, {dir, "a directory"}, {os.DevNull, "a device"}}
}

// No process writes to the pipes, and reading does not wait for one.
func TestOnlyRegularFilesAreRead(t *testing.T) {
	for _, s := range specials(t) {
		want := &Refused{s.path, s.kind + ": want a regular file"}
		_, err := Open(s.path)
		mustBe(t, err, want)
		_, err = Read(s.path, 10)
		mustBe(t, err, want)
		mustBe(t, CheckPath(s.path), want)
		if s.kind != "a pipe" {
			_, err = ReadOnce(s.path, 10)
			mustBe(t, err, &Refused{s.path, s.kind + ": want a regular file or a pipe"})
		}
	}
}

func mustBe(t *testing.T, err error, want *Refused) {
	t.Helper()
	if got, ok := errors.AsType[*Refused](err); !ok || *got != *want {
		t.Errorf("got %v, want %v", err, want)
	}
}

func TestMissingFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none")
	_, opened := Open(path)
	_, read := Read(path, 10)
	_, once := ReadOnce(path, 10)
	if err := CheckPath(path); err != nil {
		t.Error(err)
	}
	for _, err := range []error{opened, read, once} {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	}
}

func TestSizeIsBounded(t *testing.T) {
	dir := t.TempDir()
	for size := 2047; size <= 2049; size++ {
		path := filepath.Join(dir, fmt.Sprint(size))
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, read := range []func(string, int) ([]byte, error){Read, ReadOnce} {
			text, err := read(path, 2048)
			if size > 2048 {
				mustBe(t, err, &Refused{path, "larger than 2 KiB: want a smaller file"})
			} else if err != nil || len(text) != size {
				t.Errorf("%d bytes and %v, want %d", len(text), err, size)
			}
		}
	}
}

// A pipe is read to its end, or until it exceeds the limit.
func TestPipeIsReadOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	write := func(r io.Reader) (ended chan error) {
		ended = make(chan error, 1)
		go func() {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err == nil {
				_, err = io.Copy(f, r)
				err = errors.Join(err, f.Close())
			}
			ended <- err
		}()
		return ended
	}
	ended := write(strings.NewReader("name: x\n"))
	if text, err := ReadOnce(path, MaxYAML); err != nil || string(text) != "name: x\n" {
		t.Errorf("got %q, %v", text, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	ended = write(endless{})
	_, err := ReadOnce(path, MaxYAML)
	mustBe(t, err, &Refused{path, "larger than 64 KiB: want a smaller file"})
	if err := <-ended; !errors.Is(err, syscall.EPIPE) {
		t.Errorf("the writer ended with %v, want %v", err, syscall.EPIPE)
	}
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }
