package output

import (
	"bytes"
	"strings"
	"sync"
	"unicode/utf8"
)

const (
	// historyLines is how many lines of a replica are kept in memory.
	historyLines = 1000
	// historyBytes limits their size. A longer line is kept alone.
	historyBytes = 256 << 10
	// chunkBytes limits what Next returns at a time, unless one line is longer.
	chunkBytes = 64 << 10
)

// History keeps the last lines that were added, for later readers and for those that follow.
// Readers never block Add. The zero value is ready to use.
type History struct {
	mu      sync.Mutex
	text    []byte // whole lines
	first   Cursor // position of text
	lines   uint64 // ever added
	trimAt  int    // length of text at which old lines are dropped
	changed chan struct{}
	closed  bool
}

// Cursor is a position between two lines. The zero value is before the first line ever added.
type Cursor struct {
	line   uint64 // lines before it
	offset uint64 // bytes before it
}

// Before reports whether c is before another position of the same history.
func (c Cursor) Before(other Cursor) bool { return c.offset < other.offset }

// Add adds whole lines, each with its newline.
func (h *History) Add(lines []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.text = append(h.text, lines...)
	h.lines += uint64(bytes.Count(lines, []byte{'\n'}))
	if len(h.text) > h.trimAt {
		h.trim()
	}
	h.wake()
}

// trim drops old lines. It leaves room for as many bytes again, so that the cost per byte is
// constant.
func (h *History) trim() {
	from := tail(h.text, historyLines, historyBytes)
	h.first.line += uint64(bytes.Count(h.text[:from], []byte{'\n'}))
	h.first.offset += uint64(from)
	kept := h.text[from:]
	if from > 0 && cap(h.text) > 4*len(kept)+4<<10 {
		h.text = bytes.Clone(kept)
	} else {
		h.text = h.text[:copy(h.text, kept)]
	}
	h.trimAt = max(2*len(kept), 4<<10)
}

// tail returns the index in text at which its last lines begin: at most that many lines, and at
// most size bytes unless a single line is longer.
func tail(text []byte, lines, size int) int {
	from := len(text)
	for range lines {
		if from == 0 {
			break
		}
		before := bytes.LastIndexByte(text[:from-1], '\n') + 1
		if len(text)-before > size && from < len(text) {
			break
		}
		from = before
	}
	return from
}

// Close ends the history for readers that follow it.
func (h *History) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	h.wake()
}

func (h *History) wake() {
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// End returns the position after the last line.
func (h *History) End() Cursor {
	h.mu.Lock()
	defer h.mu.Unlock()
	return Cursor{h.lines, h.first.offset + uint64(len(h.text))}
}

// Last returns the position before the last n lines, or before the oldest one that is kept.
func (h *History) Last(n int) Cursor {
	h.mu.Lock()
	defer h.mu.Unlock()
	from := tail(h.text, min(n, historyLines), historyBytes)
	return h.cursor(from)
}

func (h *History) cursor(from int) Cursor {
	return Cursor{
		line:   h.first.line + uint64(bytes.Count(h.text[:from], []byte{'\n'})),
		offset: h.first.offset + uint64(from),
	}
}

// Next returns lines after a position, the position after them, and how many lines before them are
// no longer kept. If there are no lines yet, it returns a channel that is closed when there may be
// some, or nil if the history is closed.
func (h *History) Next(after Cursor) (lines []byte, then Cursor, forgotten uint64, changed <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if after.offset < h.first.offset {
		forgotten = h.first.line - after.line
		after = h.first
	}
	from := int(after.offset - h.first.offset)
	if rest := h.text[from:]; len(rest) > 0 {
		end := len(rest)
		if end > chunkBytes {
			if end = bytes.LastIndexByte(rest[:chunkBytes], '\n') + 1; end == 0 {
				end = bytes.IndexByte(rest, '\n') + 1
			}
		}
		lines = bytes.Clone(rest[:end])
		then = Cursor{after.line + uint64(bytes.Count(lines, []byte{'\n'})), after.offset + uint64(end)}
		return lines, then, forgotten, nil
	}
	if h.closed {
		return nil, after, forgotten, nil
	}
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	return nil, after, forgotten, h.changed
}

// texts returns the last lines after a position, at most n, each cut to size bytes and made valid
// UTF-8, as the formats of events require.
func (h *History) texts(after Cursor, n, size int) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	text := h.text[max(after.offset, h.first.offset)-h.first.offset:]
	text = text[tail(text, n, len(text)):]
	var all []string
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte{'\n'})
		s := strings.ToValidUTF8(string(line[:runeBefore(line, size)]), string(utf8.RuneError))
		all = append(all, s[:runeBefore(s, size)])
	}
	return all
}

// runeBefore returns the length to which to cut text so that it has at most that many bytes and
// ends with a whole character.
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
