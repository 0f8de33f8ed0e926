package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// console writes whole lines to stdout, which replicas, the banner and, with
// 2>&1, the log share. As a Writer it writes each call's text at once.
type console struct {
	json  bool // replicas' lines become JSON
	lines lineFormat

	mu     sync.Mutex
	out    io.Writer
	width  int // of the longest name
	prefix map[string]string
	buf    bytes.Buffer
}

func newConsole(out io.Writer, json bool) *console {
	return &console{json: json, out: out, prefix: make(map[string]string)}
}

// align makes room for replicas' names in front of their lines. Names that
// were not announced make it when they come.
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

// line writes a replica's line in one write, so that nothing comes in between.
func (c *console) line(replica string, line []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf.Reset()
	if c.json {
		c.lines.json(&c.buf, replica, line, time.Now())
	} else {
		c.widen(replica)
		prefix, ok := c.prefix[replica]
		if !ok {
			prefix = fmt.Sprintf("%-*s | ", c.width, replica)
			c.prefix[replica] = prefix
		}
		c.lines.text(&c.buf, prefix, line)
	}
	c.out.Write(c.buf.Bytes())
}

// text writes text that is nobody's line.
func (c *console) text(text string) { io.WriteString(c, strings.TrimRight(text, "\n")+"\n") }

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.Write(b)
}

// beside returns what to write a log to that goes to w. Where that is the same
// file as stdout, the lines of both stay whole. Otherwise neither waits for
// the other: stdout may be stuck, and the log then tells so.
func (c *console) beside(w io.Writer) io.Writer {
	out, _ := c.out.(*os.File)
	err, _ := w.(*os.File)
	if out == nil || err == nil {
		return w
	}
	a, aErr := out.Stat()
	b, bErr := err.Stat()
	if aErr != nil || bErr != nil || !os.SameFile(a, b) {
		return w
	}
	return c
}
