package report

import (
	"bytes"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"example.com/crashlab/supervisor/internal/output"
)

// logDir writes the lines of each replica to its own file, NAME.log: the time in UTC, then the line
// as the replica wrote it. A replica's lines wait only for its own file.
type logDir struct {
	dir     string
	mode    fs.FileMode
	size    int64 // bytes per file
	backups int   // full files to keep of each replica
	losses  output.Losses

	mu    sync.Mutex
	files map[string]*output.File
}

func (d *logDir) file(replica string) *output.File {
	d.mu.Lock()
	defer d.mu.Unlock()
	f := d.files[replica]
	if f == nil {
		f = &output.File{
			// The name must remain one element of the path, whatever it contains.
			Path: filepath.Join(d.dir, url.PathEscape(replica)+".log"),
			Mode: d.mode, Size: d.size, Backups: d.backups,
		}
		if d.files == nil {
			d.files = make(map[string]*output.File)
		}
		d.files[replica] = f
	}
	return f
}

// writeSize is how many bytes of lines are written at a time.
const writeSize = 64 << 10

var writeBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// write writes whole lines of a replica, each after the time.
func (d *logDir) write(replica string, lines []byte, now time.Time) {
	f := d.file(replica)
	b := writeBuffers.Get().(*bytes.Buffer)
	b.Reset()
	stamp := now.UTC().Format("2006-01-02T15:04:05.000000Z07:00 ")
	for line := range bytes.Lines(lines) {
		if b.Len() > 0 && b.Len()+len(stamp)+len(line) > writeSize {
			d.put(replica, f, b.Bytes())
			b.Reset()
		}
		b.WriteString(stamp)
		b.Write(line)
	}
	d.put(replica, f, b.Bytes())
	if b.Cap() <= 2*writeSize {
		writeBuffers.Put(b)
	}
}

func (d *logDir) put(replica string, f *output.File, lines []byte) {
	n, err := f.Write(lines)
	if errors.Is(err, fs.ErrNotExist) && os.MkdirAll(d.dir, 0o755) == nil { // the directory was removed
		n, err = f.Write(lines)
	}
	d.losses.Outcome(err)
	d.losses.Add(replica, uint64(bytes.Count(lines[n:], []byte{'\n'})), err)
}

// close closes a replica's file until the next write. It does not wait for a file that hangs.
func (d *logDir) close(replica string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if f := d.files[replica]; f != nil {
		delete(d.files, replica)
		go f.Close()
	}
}

func (d *logDir) all() []*output.File {
	d.mu.Lock()
	defer d.mu.Unlock()
	var files []*output.File
	for _, f := range d.files {
		files = append(files, f)
	}
	return files
}
