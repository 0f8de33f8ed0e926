package output

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// File appends whole lines to the file that is at its path at the time of the write. If the file
// was renamed or removed, a new one is created; if it was truncated, lines go to its new end. If it
// cannot be opened or written, the next write tries again. Methods may be called by any goroutine.
type File struct {
	Path string
	Mode fs.FileMode // permissions of a file that is created, before the umask

	// Size is the largest size in bytes. A file that would exceed it is renamed to NAME-TIME.EXT,
	// and a new one is created. Backups is how many renamed files are kept. If Size is zero, the
	// file grows without a limit and need not be a regular one.
	Size    int64
	Backups int

	mu   sync.Mutex
	file *os.File // nil: not open
	size int64    // size of a regular file before the current write
	torn bool     // the file ends in the middle of a line
}

// Open opens the file unless it is open.
func (f *File) Open() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open()
}

// Reopen closes the file and opens the one that is at its path now.
func (f *File) Reopen() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.close()
	return f.open()
}

// Close closes the file until the next write.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.close()
}

func (f *File) close() error {
	file := f.file
	if f.file = nil; file == nil {
		return nil
	}
	return file.Close()
}

// Write writes whole lines immediately. It returns the number of bytes written, not counting a line
// that was written in part. If n is len(lines), the error is that of a file that could not be
// renamed or removed.
func (f *File) Write(lines []byte) (n int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.open(); err != nil {
		return 0, err
	}
	var rotated error
	if f.Size > 0 && f.size > 0 && f.size+int64(len(lines)) > f.Size {
		if rotated = f.rotate(); f.file == nil {
			return 0, rotated
		}
	}
	n, err = f.append(lines)
	return n, errors.Join(err, rotated)
}

func (f *File) append(lines []byte) (n int, err error) {
	if f.torn {
		if _, err := f.file.Write([]byte{'\n'}); err != nil {
			return 0, err
		}
		f.torn = false
		f.size++
	}
	n, err = f.file.Write(lines)
	if err == nil {
		return n, nil
	}
	whole := bytes.LastIndexByte(lines[:n], '\n') + 1
	f.torn = n > whole && !f.cut(int64(n), int64(whole))
	return whole, err
}

// cut removes a partial line from the end of the file, unless another process has written to the
// file meanwhile.
func (f *File) cut(written, whole int64) bool {
	info, err := f.file.Stat()
	return err == nil && info.Mode().IsRegular() && info.Size() == f.size+written && f.file.Truncate(f.size+whole) == nil
}

// open makes sure that the open file is the one at the path.
func (f *File) open() error {
	if f.file != nil {
		here, err := f.file.Stat()
		there, gone := os.Stat(f.Path)
		if err == nil && gone == nil && os.SameFile(here, there) {
			f.size = here.Size()
			return nil
		}
		f.close()
	}
	if info, err := os.Stat(f.Path); f.Size > 0 && err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: want a regular file, not %v", f.Path, info.Mode())
	}
	// O_NONBLOCK: do not wait for the reader of a named pipe. Writes still do.
	file, err := os.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NONBLOCK|syscall.O_NOCTTY, f.Mode)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return err
	}
	f.file, f.size, f.torn = file, info.Size(), info.Mode().IsRegular() && f.endsInLine(info.Size())
	return nil
}

// endsInLine reports whether the last byte of the file is not a newline, as after a crash.
func (f *File) endsInLine(size int64) bool {
	if size == 0 {
		return false
	}
	file, err := os.Open(f.Path)
	if err != nil {
		return false // not readable
	}
	defer file.Close()
	last := []byte{'\n'}
	_, err = file.ReadAt(last, size-1)
	return err == nil && last[0] != '\n'
}

// backupTime is the format of the time in the names of full files, which makes them sort by time.
const backupTime = "2006-01-02T15-04-05.000000"

// rotate renames the file, creates a new one and removes the oldest files beyond Backups. The new
// name has a later time than the others, even if the clock was set back.
func (f *File) rotate() error {
	times, err := f.backups()
	if err != nil {
		return fmt.Errorf("cannot look for older files: %w", err)
	}
	at := time.Now().UTC()
	if len(times) > 0 {
		latest, _ := parseBackupTime(times[len(times)-1]) // backups has parsed it
		if next := latest.Add(time.Microsecond); at.Before(next) {
			at = next
		}
	}
	times = append(times, at.Format(backupTime))
	if err := os.Rename(f.Path, f.backup(times[len(times)-1])); err != nil {
		return err
	}
	if err := f.open(); err != nil {
		return err
	}
	for _, old := range times[:max(0, len(times)-f.Backups)] {
		err = errors.Join(err, os.Remove(f.backup(old)))
	}
	return err
}

// backup returns the path of a full file with the given time in its name.
func (f *File) backup(time string) string {
	name, ext := f.parts()
	return name + "-" + time + ext
}

func (f *File) parts() (name, ext string) {
	ext = filepath.Ext(f.Path)
	return strings.TrimSuffix(f.Path, ext), ext
}

// backups returns the times in the names of the full files, the earliest first.
func (f *File) backups() (times []string, err error) {
	entries, err := os.ReadDir(filepath.Dir(f.Path))
	name, ext := f.parts()
	for _, e := range entries {
		at, ok := strings.CutPrefix(e.Name(), filepath.Base(name)+"-")
		at, log := strings.CutSuffix(at, ext)
		if _, err := parseBackupTime(at); ok && log && err == nil {
			times = append(times, at)
		}
	}
	slices.Sort(times)
	return times, err
}

// parseBackupTime accepts any number of digits after the second.
func parseBackupTime(s string) (time.Time, error) { return time.Parse("2006-01-02T15-04-05", s) }
