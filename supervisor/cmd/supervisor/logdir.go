package main

import (
	"net/url"
	"path/filepath"
	"sync"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"

	"example.com/crashlab/supervisor/inputfile"
)

// logDir writes what each replica writes to a file of its own, NAME.log, and
// begins another when that is full: NAME-TIME.log is then what was before. A
// line is as the replica wrote it, behind the time in UTC. Files that cannot
// be written cost their lines and nothing else.
type logDir struct {
	dir       string
	megabytes int // per file
	backups   int // files that are kept of those that were full
	failed    func(replica string, err error)
	mu        sync.Mutex
	files     map[string]*logFile
	buf       []byte
}

type logFile struct {
	*lumberjack.Logger
	open    bool
	failing bool // the error was told
}

// line writes a replica's line. The first error of a row is told.
func (d *logDir) line(replica string, line []byte, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[replica]
	if f == nil {
		f = &logFile{Logger: &lumberjack.Logger{
			// A name is one element of the path, whatever is in it.
			Filename: filepath.Join(d.dir, url.PathEscape(replica)+".log"),
			MaxSize:  d.megabytes, MaxBackups: d.backups,
		}}
		d.files[replica] = f
	}
	d.buf = now.UTC().AppendFormat(d.buf[:0], "2006-01-02T15:04:05.000000Z07:00 ")
	d.buf = append(append(d.buf, line...), '\n')
	err := f.write(d.buf)
	if err != nil && !f.failing {
		d.failed(replica, err)
	}
	f.failing = err != nil
}

// write opens nothing but a regular file: a pipe without a reader would hold up
// the lines of all replicas.
func (f *logFile) write(line []byte) error {
	if !f.open {
		if err := inputfile.CheckPath(f.Filename); err != nil {
			return err
		}
		f.open = true
	}
	_, err := f.Write(line)
	return err
}

// close closes a replica's file until it writes again. The logger stays, as
// each has a goroutine that lives for ever.
func (d *logDir) close(replica string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[replica]; f != nil {
		f.Close()
		f.open = false
	}
}
