//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"example.com/crashlab/supervisor/compare/clock"
)

// event is an event of our supervisor, and when it was read.
type event struct {
	Kind string
	PID  int
	Lost int64
	at   int64 // CLOCK_MONOTONIC in nanoseconds
}

// events is the reading end of the pipe to which our supervisor writes its events.
type events struct {
	path string
	pipe *os.File
	done chan struct{}

	mu  sync.Mutex
	all []event
}

func (l *lab) events() (*events, error) {
	dir, err := os.MkdirTemp(l.dir, "events-")
	if err != nil {
		return nil, err
	}
	e := &events{path: filepath.Join(dir, "pipe"), done: make(chan struct{})}
	if err := syscall.Mkfifo(e.path, 0o600); err != nil {
		return nil, err
	}
	// Opened for writing too, so that the end comes when we close it.
	if e.pipe, err = os.OpenFile(e.path, os.O_RDWR, 0); err != nil {
		return nil, err
	}
	go e.read()
	return e, nil
}

func (e *events) read() {
	defer close(e.done)
	for lines := bufio.NewReader(e.pipe); ; {
		line, err := lines.ReadBytes('\n')
		next := event{at: clock.Now()}
		if err != nil {
			return
		}
		if json.Unmarshal(line, &next) == nil {
			e.mu.Lock()
			e.all = append(e.all, next)
			e.mu.Unlock()
		}
	}
}

func (e *events) close() {
	e.pipe.Close()
	<-e.done
}

// of returns the events of a kind so far.
func (e *events) of(kind string) []event {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []event
	for _, one := range e.all {
		if one.Kind == kind {
			all = append(all, one)
		}
	}
	return all
}
