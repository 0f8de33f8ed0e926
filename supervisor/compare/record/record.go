//go:build linux

// Package record reads and writes the file in which the children of all supervisors record what
// they do: one line for each record, appended in a single write.
package record

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// Kind is what a child records.
type Kind string

const (
	Listening Kind = "listening" // it listens from now on
	Exit      Kind = "exit"      // it exits with the next system call
	Wrote     Kind = "wrote"     // how much it has written to stdout
)

// Record is one line.
type Record struct {
	Kind    Kind
	Child   string // its name, without spaces
	PID     int
	Started int64 // when the process began, CLOCK_MONOTONIC in nanoseconds
	At      int64 // time of the record, likewise
	Bytes   int64 // Wrote: bytes since Started
}

const format = "%s %s %d %d %d %d\n"

// Open opens the file at path for appending.
func Open(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}

// Append writes r to a file opened by [Open].
func (r Record) Append(w io.Writer) error {
	_, err := fmt.Fprintf(w, format, r.Kind, r.Child, r.PID, r.Started, r.At, r.Bytes)
	return err
}

// Reader reads the records that were appended since it last read.
type Reader struct {
	file *os.File
	rest []byte // the beginning of a line
}

// NewReader returns a reader of the file at path, from its beginning.
func NewReader(path string) (*Reader, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return &Reader{file: f}, nil
}

// Read returns the records since the last call.
func (r *Reader) Read() ([]Record, error) {
	more, err := io.ReadAll(r.file)
	if err != nil {
		return nil, err
	}
	r.rest = append(r.rest, more...)
	var all []Record
	for {
		line, rest, whole := bytes.Cut(r.rest, []byte("\n"))
		if !whole {
			return all, nil
		}
		var l Record
		if _, err := fmt.Sscanf(string(line)+"\n", format, &l.Kind, &l.Child, &l.PID, &l.Started, &l.At, &l.Bytes); err != nil {
			return all, fmt.Errorf("record %q: %w", line, err)
		}
		all, r.rest = append(all, l), rest
	}
}

// Close closes the file.
func (r *Reader) Close() error { return r.file.Close() }
