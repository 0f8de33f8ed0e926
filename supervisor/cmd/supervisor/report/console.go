package report

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"example.com/crashlab/supervisor/internal/output"
)

// console is stdout, which the replicas, the banner and, with 2>&1, the log share. If stdout is a
// regular file, the replicas' lines wait for it; otherwise they are lost when it is full.
type console struct {
	json bool // replicas' lines become JSON
	file bool // stdout is a regular file
	out  io.Writer
	sink output.Sink

	mu     sync.Mutex
	lines  lineFormat
	width  int // of the longest name
	prefix map[string]string
}

func newConsole(out io.Writer, json bool) *console {
	c := &console{json: json, out: out, sink: output.Sink{To: out}, prefix: make(map[string]string)}
	if f, ok := out.(*os.File); ok {
		info, err := f.Stat()
		c.file = err == nil && info.Mode().IsRegular()
	}
	return c
}

// align makes room for the names of replicas in front of their lines. Other names get room when
// their first line arrives.
func (c *console) align(replicas ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range replicas {
		c.widen(name)
	}
}

func (c *console) widen(name string) {
	if len(name) > c.width {
		c.width = len(name)
		clear(c.prefix)
	}
}

// write shows whole lines of a replica.
func (c *console) write(replica string, lines []byte) {
	shown := c.format(replica, lines)
	if c.file {
		c.sink.PutAll(replica, shown, nil)
	} else {
		c.sink.Put(replica, shown)
	}
}

func (c *console) format(replica string, lines []byte) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.widen(replica)
	prefix, ok := c.prefix[replica]
	if !ok {
		prefix = fmt.Sprintf("%-*s | ", c.width, replica)
		c.prefix[replica] = prefix
	}
	var to bytes.Buffer
	for line := range bytes.Lines(lines) {
		line = bytes.TrimSuffix(line, []byte{'\n'})
		if c.json {
			c.lines.json(&to, replica, line, time.Now())
		} else {
			c.lines.text(&to, prefix, line)
		}
	}
	return to.Bytes()
}

// text shows a text that is not from a replica.
func (c *console) text(text string) { c.sink.Put("", []byte(strings.TrimRight(text, "\n")+"\n")) }

// shares reports whether w is the same file as stdout.
func (c *console) shares(w io.Writer) bool {
	out, _ := c.out.(*os.File)
	other, _ := w.(*os.File)
	if out == nil || other == nil {
		return false
	}
	a, aErr := out.Stat()
	b, bErr := other.Stat()
	return aErr == nil && bErr == nil && os.SameFile(a, b)
}
