package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	"golang.org/x/sys/unix"

	"example.com/crashlab/supervisor"
)

// logEvent logs an event in one line.
func logEvent(log hclog.Logger, e supervisor.Event) {
	var args []any
	add := func(key string, value any) { args = append(args, key, value) }
	if e.Replica != "" {
		add("replica", e.Replica)
		add("incarnation", e.Incarnation)
	}
	if e.PID != 0 {
		add("pid", e.PID)
	}
	switch e.Kind {
	case supervisor.LaunchFailed:
		add("error", e.Exit.Err)
	case supervisor.Exited, supervisor.Stopped:
		if e.PID != 0 {
			addExit(add, e.Exit)
		}
	case supervisor.GuardianLost:
		add("error", e.Err)
	}
	if e.Next.Relaunch {
		add("relaunch_in", e.Next.Delay.String())
	}
	if e.Next.Reason != "" && (e.Next.Relaunch || e.Kind == supervisor.GaveUp) {
		add("reason", e.Next.Reason)
	}
	log.Log(level(e), e.Kind.String(), args...)
}

func addExit(add func(string, any), e supervisor.Exit) {
	switch {
	case e.Err != nil:
		add("error", e.Err)
	case e.Signal != 0:
		add("signal", signalName(e.Signal))
	default:
		add("exit_code", e.Code)
	}
	add("uptime", e.Uptime.Round(time.Millisecond).String())
}

func level(e supervisor.Event) hclog.Level {
	switch e.Kind {
	case supervisor.LaunchFailed:
		return hclog.Error
	case supervisor.Killed, supervisor.GuardianLost:
		return hclog.Warn
	case supervisor.Exited, supervisor.GaveUp:
		if e.Exit.Code != 0 {
			return hclog.Warn
		}
	}
	return hclog.Info
}

func signalName(sig os.Signal) string {
	if s, ok := sig.(syscall.Signal); ok && unix.SignalName(s) != "" {
		return unix.SignalName(s)
	}
	return sig.String()
}

// console writes whole lines to stdout, which replicas and the banner share.
type console struct {
	prefix map[string]string

	mu  sync.Mutex
	out io.Writer
	buf bytes.Buffer
}

func newConsole(out io.Writer, replicas []supervisor.Replica) *console {
	c := &console{prefix: make(map[string]string), out: out}
	width := 0
	for _, r := range replicas {
		width = max(width, len(r.Name))
	}
	for _, r := range replicas {
		c.prefix[r.Name] = fmt.Sprintf("%-*s | ", width, r.Name)
	}
	return c
}

// line writes a replica's line in one write, so that nothing comes in between.
func (c *console) line(replica string, line []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buf.Reset()
	c.buf.WriteString(c.prefix[replica])
	c.buf.Write(line)
	c.buf.WriteByte('\n')
	c.out.Write(c.buf.Bytes())
}

func (c *console) text(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	io.WriteString(c.out, strings.TrimRight(text, "\n")+"\n")
}
