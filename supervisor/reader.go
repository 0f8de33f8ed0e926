package supervisor

import (
	"bytes"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"
)

const (
	// maxLine bounds the memory that a child which writes no newline can take.
	maxLine = 1 << 20

	// readSize is how much is read at a time: all that a pipe holds on Linux.
	readSize = 64 << 10

	// drainReads is how many reads at most empty a pipe, whose size is 1 MiB at
	// most unless root has made it larger.
	drainReads = 16

	lastLinesKept = 20      // of each incarnation
	lastLineSize  = 1 << 10 // of each of those
)

// reader reads what one incarnation writes.
type reader struct {
	outputs *outputs
	queue   *queue
	pipe    *os.File
	lines   lineBuffer
	got     int // bytes of the latest read; 0: the pipe's end, -1: none yet, or an error

	mu    sync.Mutex
	last  lastWritten
	until time.Time // reading ends, once the process has ended

	caughtUp  chan struct{} // closed when all that the process wrote before its end was read
	delivered chan struct{} // closed when it has ended and the sink was given its last line
}

// open returns a reader for a new incarnation, which either runs or is closed,
// and the end of the pipe that the incarnation is to write to.
func (o *outputs) open(replica, group string) (*os.File, *reader, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, nil, err
	}
	return in, &reader{
		outputs: o, queue: o.attach(replica, group), pipe: out, got: -1,
		caughtUp: make(chan struct{}), delivered: make(chan struct{}),
	}, nil
}

// close releases what a reader has. Run does it too.
func (r *reader) close() {
	r.pipe.Close()
	r.outputs.detach(r)
}

// processEnded makes the reader read what the pipe holds, and end at a time,
// though others keep the pipe open.
func (r *reader) processEnded(until time.Time) {
	r.mu.Lock()
	r.until = until
	r.mu.Unlock()
	_ = r.pipe.SetReadDeadline(time.Now()) // fails only when the reader has ended
}

func (r *reader) readUntil() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.until
}

// lastWritten returns the last lines, as text.
func (r *reader) lastWritten() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last.text()
}

// run reads until all write ends of the pipe are closed, or the time that
// processEnded was given. What the process has written is read in any case,
// however late this goroutine gets to it.
func (r *reader) run() {
	defer r.close()
	catchUp := sync.OnceFunc(func() { close(r.caughtUp) })
	defer catchUp()
	conn, err := r.pipe.SyscallConn()
	if err != nil {
		return // it is closed
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

// fill reads once, and reports whether there was anything to read, be it the
// end. It leaves no buffer behind for the time that it takes for more to come:
// replicas are many, and most are silent.
func (r *reader) fill(fd uintptr) bool {
	var err error
	for {
		r.got, err = syscall.Read(int(fd), r.lines.space())
		if err != syscall.EINTR {
			break
		}
	}
	if err == syscall.EAGAIN {
		r.lines.rest()
		return false
	}
	return true
}

func (r *reader) emit(lines []byte) {
	r.mu.Lock()
	r.last.add(lines)
	r.mu.Unlock()
	r.outputs.push(r.queue, lines)
}

// buffers are those of readers that have something to read.
var buffers = sync.Pool{New: func() any { return new([readSize]byte) }}

// lineBuffer gathers bytes until they are whole lines.
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

// add takes the n bytes that were put into space, and emits the whole lines
// there are now, each with its newline. A line above maxLine comes in pieces
// of maxLine.
func (b *lineBuffer) add(n int, emit func(lines []byte)) {
	before := len(b.bytes)
	b.bytes = b.bytes[:before+n]
	if end := before + bytes.LastIndexByte(b.bytes[before:], '\n') + 1; end > before {
		emit(b.bytes[:end])
		b.keep(end)
	} else if len(b.bytes) > maxLine {
		// Only now: that byte might have been the newline.
		next := b.bytes[maxLine]
		b.bytes[maxLine] = '\n'
		emit(b.bytes)
		b.bytes[maxLine] = next
		b.keep(maxLine)
	}
}

// keep keeps the bytes from one on, in a buffer that suits them.
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

// end emits what is left as the last line.
func (b *lineBuffer) end(emit func(lines []byte)) {
	if len(b.bytes) > 0 {
		b.space()[0] = '\n'
		b.add(1, emit)
	}
	b.rest()
}

// rest gives the buffer back if nothing is in it.
func (b *lineBuffer) rest() {
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

// lastWritten is the last lines of many.
type lastWritten struct {
	lines [lastLinesKept][]byte // a ring
	n     int                   // lines there ever were
}

// add adds whole lines, each with its newline.
func (l *lastWritten) add(lines []byte) {
	from := len(lines)
	for range lastLinesKept {
		if from == 0 {
			break
		}
		from = bytes.LastIndexByte(lines[:from-1], '\n') + 1
	}
	for lines = lines[from:]; len(lines) > 0; l.n++ {
		end := bytes.IndexByte(lines, '\n')
		slot := &l.lines[l.n%lastLinesKept]
		*slot = append((*slot)[:0], lines[:runeBefore(lines[:end], lastLineSize)]...)
		lines = lines[end+1:]
	}
}

// text returns the lines as valid UTF-8, as events are sent in formats that
// take nothing else.
func (l *lastWritten) text() []string {
	var all []string
	for i := max(0, l.n-lastLinesKept); i < l.n; i++ {
		s := strings.ToValidUTF8(string(l.lines[i%lastLinesKept]), string(utf8.RuneError))
		all = append(all, s[:runeBefore(s, lastLineSize)])
	}
	return all
}

// runeBefore returns the length to cut text to that has most bytes and ends
// with a whole character.
func runeBefore[T string | []byte](text T, most int) int {
	if len(text) <= most {
		return len(text)
	}
	n := most
	for n > most-utf8.UTFMax+1 && !utf8.RuneStart(text[n]) {
		n--
	}
	return n
}
