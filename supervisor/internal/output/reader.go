package output

import (
	"bytes"
	"os"
	"sync"
	"syscall"
	"time"
)

const (
	// maxLine limits the memory for a replica that writes no newline.
	maxLine = 1 << 20

	// readSize is how much is read at a time: the default size of a pipe on Linux.
	readSize = 64 << 10

	// drainReads is how many reads empty any pipe. Its size is at most 1 MiB, unless root has
	// increased it.
	drainReads = 16

	lastLines    = 20      // of each incarnation
	lastLineSize = 1 << 10 // bytes of each of them
)

// Reader reads the output of one incarnation.
type Reader struct {
	hub     *Hub
	replica string
	stream  *stream
	drop    bool
	pipe    *os.File
	lines   lineBuffer
	got     int    // bytes of the latest read; 0: the end of the pipe; -1: none yet, or an error
	begin   Cursor // position of the incarnation's lines in the history

	mu    sync.Mutex
	until time.Time // when reading ends, once the process has ended

	processEnded chan struct{} // closed when the process has ended; sinks are no longer waited for
	CaughtUp     chan struct{} // closed when everything that the process wrote before its end has been read
}

// Close closes the pipe, as Run does at its end.
func (r *Reader) Close() { r.pipe.Close() }

// ProcessEnded makes the reader read what the pipe holds, and end at the given time even if other
// processes keep the pipe open.
func (r *Reader) ProcessEnded(until time.Time) {
	r.mu.Lock()
	r.until = until
	r.mu.Unlock()
	close(r.processEnded)
	_ = r.pipe.SetReadDeadline(time.Now()) // fails only if the reader has ended
}

func (r *Reader) readUntil() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.until
}

// LastLines returns the incarnation's last lines as text, at most 20 of at most 1 KiB each.
func (r *Reader) LastLines() []string {
	return r.stream.history.texts(r.begin, lastLines, lastLineSize)
}

// Flush waits until what was read has been delivered, or until there has been no progress for as
// long as patience.
func (r *Reader) Flush(patience time.Duration) { r.stream.sink.Flush(patience) }

// Run reads until all write ends of the pipe are closed, or until the time given to ProcessEnded.
// It reads everything that the process had written by its end, however late this goroutine runs.
func (r *Reader) Run() {
	defer r.Close()
	catchUp := sync.OnceFunc(func() { close(r.CaughtUp) })
	defer catchUp()
	conn, err := r.pipe.SyscallConn()
	if err != nil {
		return // already closed
	}
	fill, emit := r.fill, r.emit
	wait := func() bool { return conn.Read(fill) == nil && r.got > 0 }
	take := func() bool { return conn.Control(func(fd uintptr) { fill(fd) }) == nil && r.got > 0 }
	for wait() {
		r.lines.add(r.got, emit)
	}
	for n := 0; n < drainReads && r.got != 0 && take(); n++ {
		r.lines.add(r.got, emit)
	}
	if r.got != 0 { // another process keeps the pipe open
		catchUp()
		_ = r.pipe.SetReadDeadline(r.readUntil())
		for wait() {
			r.lines.add(r.got, emit)
		}
	}
	r.lines.end(emit)
}

// fill reads once, and reports whether there was anything to read, which may be the end of the
// pipe. If not, it gives up its buffer until there is, because there may be many replicas, most of
// which are silent.
func (r *Reader) fill(fd uintptr) bool {
	var err error
	for {
		r.got, err = syscall.Read(int(fd), r.lines.space())
		if err != syscall.EINTR {
			break
		}
	}
	if err == syscall.EAGAIN {
		r.lines.releaseIfEmpty()
		return false
	}
	return true
}

func (r *Reader) emit(lines []byte) {
	r.stream.history.Add(lines)
	switch {
	case r.hub.deliver == nil:
	case r.drop:
		r.stream.sink.Put("", lines)
	default:
		r.stream.sink.PutAll("", lines, r.processEnded)
	}
}

// buffers has the buffers of readers and sinks.
var buffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// recycle returns a buffer that is no longer used to the pool.
func recycle(b []byte) {
	if cap(b) == readSize {
		buffers.Put((*[readSize]byte)(b[:readSize]))
	}
}

// lineBuffer collects bytes until they are whole lines.
type lineBuffer struct {
	bytes  []byte // the beginning of a line
	pooled *[readSize]byte
}

// space returns where to put more bytes, at least one.
func (b *lineBuffer) space() []byte {
	if b.bytes == nil {
		b.pooled = buffers.Get().(*[readSize]byte)
		b.bytes = b.pooled[:0]
	}
	if len(b.bytes) == cap(b.bytes) {
		more := make([]byte, len(b.bytes), min(2*cap(b.bytes), maxLine+1))
		copy(more, b.bytes)
		b.release()
		b.bytes = more
	}
	return b.bytes[len(b.bytes):cap(b.bytes)]
}

// add adds the n bytes that were put into space, and emits the lines that are now complete, each
// with its newline. A line longer than maxLine is emitted in pieces of maxLine.
func (b *lineBuffer) add(n int, emit func(lines []byte)) {
	before := len(b.bytes)
	b.bytes = b.bytes[:before+n]
	if end := before + bytes.LastIndexByte(b.bytes[before:], '\n') + 1; end > before {
		emit(b.bytes[:end])
		b.keep(end)
	} else if len(b.bytes) > maxLine {
		// Not earlier, because this byte might have been the newline.
		next := b.bytes[maxLine]
		b.bytes[maxLine] = '\n'
		emit(b.bytes)
		b.bytes[maxLine] = next
		b.keep(maxLine)
	}
}

// keep keeps the bytes from an index on, in a buffer of suitable size.
func (b *lineBuffer) keep(from int) {
	left := b.bytes[from:]
	if cap(b.bytes) == readSize || len(left) > readSize {
		b.bytes = b.bytes[:copy(b.bytes, left)]
		return
	}
	b.bytes = nil
	if len(left) > 0 {
		b.bytes = b.space()[:copy(b.space(), left)]
	}
}

// end emits the remaining bytes as the last line.
func (b *lineBuffer) end(emit func(lines []byte)) {
	if len(b.bytes) > 0 {
		b.space()[0] = '\n'
		b.add(1, emit)
	}
	b.releaseIfEmpty()
}

// releaseIfEmpty gives up the buffer if it is empty.
func (b *lineBuffer) releaseIfEmpty() {
	if len(b.bytes) == 0 {
		b.release()
	}
}

func (b *lineBuffer) release() {
	if b.pooled != nil {
		buffers.Put(b.pooled)
	}
	b.bytes, b.pooled = nil, nil
}
