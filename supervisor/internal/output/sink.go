package output

import (
	"bytes"
	"io"
	"sync"
	"time"
)

// maxQueued is how many bytes of one source may wait in a [Sink].
const maxQueued = 1 << 20

// Sink writes whole lines, in order, from a queue. Its methods may be called by any goroutine.
type Sink struct {
	// To receives all lines that were queued since its last call, each with its newline, one call
	// at a time. It may block forever. Lines that it does not write are lost. After a write that
	// ended in the middle of a line, the next one begins with a newline.
	To io.Writer

	// Limit limits the queued bytes of each source. Lines that exceed it by themselves are accepted
	// if no others of the source are queued. Zero means 1 MiB.
	Limit int

	Losses Losses

	mu       sync.Mutex
	queue    []byte
	waiting  map[string]int // bytes in queue, by source
	put      uint64         // bytes ever added to queue
	done     uint64         // bytes ever taken from queue and written or lost
	torn     bool           // the last write ended in the middle of a line
	writing  bool           // a goroutine is writing
	closed   bool
	progress chan struct{} // closed when done increases; nil: no goroutine waits
}

// Put queues lines of a source, or drops them if they do not fit. It never blocks.
func (s *Sink) Put(source string, lines []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.fits(source, lines) {
		s.lose(source, lines, nil)
		return
	}
	s.add(source, lines)
}

// Write is Put for lines without a source. It makes a Sink an [io.Writer] for a log, and returns no
// error.
func (s *Sink) Write(lines []byte) (int, error) {
	s.Put("", lines)
	return len(lines), nil
}

// PutAll waits until lines of a source fit, and queues them. Once processEnded is closed it does
// not wait, and accepts up to twice the limit, so that everything fits that a pipe held when its
// process ended.
func (s *Sink) PutAll(source string, lines []byte, processEnded <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ended := false; !ended && !s.closed && !s.fits(source, lines); {
		progress := s.wait()
		s.mu.Unlock()
		select {
		case <-progress:
		case <-processEnded:
			ended = true
		}
		s.mu.Lock()
	}
	if s.closed || s.waiting[source] > 2*s.limit() {
		s.lose(source, lines, nil)
		return
	}
	s.add(source, lines)
}

func (s *Sink) limit() int {
	if s.Limit == 0 {
		return maxQueued
	}
	return s.Limit
}

func (s *Sink) fits(source string, lines []byte) bool {
	waiting := s.waiting[source]
	return waiting == 0 || waiting+len(lines) <= s.limit()
}

func (s *Sink) add(source string, lines []byte) {
	if len(lines) == 0 {
		return
	}
	if s.queue == nil {
		s.queue = buffers.Get().(*[readSize]byte)[:0]
	}
	if s.waiting == nil {
		s.waiting = make(map[string]int)
	}
	s.queue = append(s.queue, lines...)
	s.waiting[source] += len(lines)
	s.put += uint64(len(lines))
	if !s.writing {
		s.writing = true
		go s.run()
	}
}

func (s *Sink) lose(source string, lines []byte, err error) {
	s.Losses.Add(source, uint64(bytes.Count(lines, []byte{'\n'})), err)
}

// wait returns a channel that is closed when done has increased.
func (s *Sink) wait() <-chan struct{} {
	if s.progress == nil {
		s.progress = make(chan struct{})
	}
	return s.progress
}

// run writes until the queue is empty.
func (s *Sink) run() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 {
		lines := s.queue
		s.queue = nil
		clear(s.waiting)
		s.mu.Unlock()
		s.write(lines)
		s.mu.Lock()
		s.done += uint64(len(lines))
		recycle(lines)
		if s.progress != nil {
			close(s.progress)
			s.progress = nil
		}
	}
	s.writing = false
}

// write writes lines, and counts those that it cannot write.
func (s *Sink) write(lines []byte) {
	if s.torn {
		if _, err := s.To.Write([]byte{'\n'}); err != nil {
			s.Losses.Outcome(err)
			s.lose("", lines, err)
			return
		}
		s.torn = false
	}
	n, err := s.To.Write(lines)
	s.Losses.Outcome(err)
	if err == nil {
		return
	}
	lost := lines[n:]
	if s.torn = n > 0 && lines[n-1] != '\n'; s.torn {
		lost = bytes.TrimPrefix(lost, []byte{'\n'}) // the next write begins with it
	}
	s.lose("", lost, err)
}

// Flush waits until all lines queued so far have been written or lost, and returns true. It returns
// false when there has been no progress for as long as patience.
func (s *Sink) Flush(patience time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	for end := s.put; s.done < end; {
		progress := s.wait()
		s.mu.Unlock()
		select {
		case <-progress:
			timeout.Reset(patience)
			s.mu.Lock()
		case <-timeout.C:
			s.mu.Lock()
			return false
		}
	}
	return true
}

// Close flushes the sink with the given patience. Lines that are still queued then, and those that
// are added later, are lost. Close does not wait for a write that blocks.
func (s *Sink) Close(patience time.Duration) {
	s.Flush(patience)
	s.mu.Lock()
	s.closed = true
	s.lose("", s.queue, nil)
	s.queue = nil
	clear(s.waiting)
	if s.progress != nil {
		close(s.progress)
		s.progress = nil
	}
	s.mu.Unlock()
	s.Losses.Flush()
}
