// Package inputfile reads files that people write: YAML, environment variables, certificates. No
// such file can hang the program or exhaust its memory. It must be a regular file, or a pipe where
// the caller allows it, and its size is limited; YAML is also limited in depth. Mistakes in YAML
// are reported with line, column and an excerpt.
//
// Use it for configuration. It is not meant for large data, nor for YAML that needs anchors,
// aliases or tags.
package inputfile

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Refused is the error for a file that is not read, or not to its end, whatever it contains.
type Refused struct {
	Path string
	// What the file is, and what is allowed, on one line.
	What string
}

// Error returns the path and What on one line.
func (r *Refused) Error() string { return r.Path + ": " + r.What }

// Open opens a regular file for reading. Anything else is [*Refused]; Open does not wait for the
// other end of a pipe. Other errors are those of package os.
func Open(path string) (*os.File, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	// The file may have been replaced since CheckPath.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = check(path, info, false)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// CheckPath returns [*Refused] if there is something other than a regular file at path. It returns
// nil if there is nothing.
func CheckPath(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return nil // opening it gives a better error
	}
	return check(path, info, false)
}

// Read returns the content of a regular file. Anything else is [*Refused], and so is a file of more
// than most bytes.
func Read(path string, most int) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	return readAll(f, path, most)
}

// ReadOnce is Read for a file that need not be read again: it may be a pipe, such as a shell's
// <(COMMAND) or /dev/stdin. ReadOnce blocks until the writers of the pipe have closed it, so the
// program should leave SIGINT and SIGTERM at their default action meanwhile.
func ReadOnce(path string, most int) ([]byte, error) {
	if info, err := os.Stat(path); err == nil {
		if err := check(path, info, true); err != nil {
			return nil, err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return readAll(f, path, most)
}

func readAll(f *os.File, path string, most int) ([]byte, error) {
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, int64(most)+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > most:
		return nil, &Refused{path, fmt.Sprintf("larger than %d KiB: want a smaller file", most>>10)}
	}
	return text, nil
}

func check(path string, info fs.FileInfo, pipe bool) error {
	kind, want := "", "want a regular file"
	if pipe {
		want += " or a pipe"
	}
	switch mode := info.Mode(); {
	case mode.IsRegular(), pipe && mode&fs.ModeNamedPipe != 0:
		return nil
	case mode.IsDir():
		kind = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a pipe"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	default:
		kind = "of an unknown kind"
	}
	return &Refused{path, kind + ": " + want}
}
