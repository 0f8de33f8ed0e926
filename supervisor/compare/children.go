//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"example.com/crashlab/supervisor/compare/record"
)

// children are what is known of the children by their records.
type children struct {
	reader    *record.Reader
	listening map[string]record.Record // the latest, by the child
	exits     map[string]record.Record
	restarts  map[string][]restart
	wrote     []record.Record
}

// restart is from one record of a child's exit to the next that it listens.
// CLOCK_MONOTONIC in nanoseconds.
type restart struct {
	PID     int   // of the process that exited
	Exit    int64 // just before it
	Started int64 // the next process ran, see clock.Started
	Listens int64
}

func (r restart) took() time.Duration { return time.Duration(r.Listens - r.Exit) }

// launch is the part that a supervisor can do something about.
func (r restart) launch() time.Duration { return time.Duration(r.Started - r.Exit) }

func (l *lab) children() (*children, error) {
	reader, err := record.NewReader(l.records)
	if err != nil {
		return nil, err
	}
	c := &children{
		reader: reader, listening: make(map[string]record.Record),
		exits: make(map[string]record.Record), restarts: make(map[string][]restart),
	}
	return c, c.read() // what came before is none of ours, but for the latest
}

// read takes in what is new.
func (c *children) read() error {
	records, err := c.reader.Read()
	for _, r := range records {
		switch r.Kind {
		case record.Listening:
			c.listening[r.Child] = r
			if e, ok := c.exits[r.Child]; ok {
				c.restarts[r.Child] = append(c.restarts[r.Child], restart{e.PID, e.At, r.Started, r.At})
				delete(c.exits, r.Child)
			}
		case record.Exit:
			c.exits[r.Child] = r
		case record.Wrote:
			c.wrote = append(c.wrote, r)
		}
	}
	return err
}

// up is how many of a crew have listened.
func (c *children) up(of crew) int {
	n := 0
	for i := range of.count {
		if _, ok := c.listening[of.child(i)]; ok {
			n++
		}
	}
	return n
}

// last is when the last of a crew came to listen.
func (c *children) last(of crew) int64 {
	var last int64
	for i := range of.count {
		last = max(last, c.listening[of.child(i)].At)
	}
	return last
}

// patience bounds each wait: far above what anything here takes.
const patience = 2 * time.Minute

// await reads until a condition holds.
func (c *children) await(ctx context.Context, patience time.Duration, met func() bool) error {
	const pause = 5 * time.Millisecond // the machine is to be idle but for what is measured
	late := time.Now().Add(patience)
	for {
		if err := c.read(); err != nil {
			return err
		}
		switch {
		case met():
			return nil
		case time.Now().After(late):
			return fmt.Errorf("nothing came for %v", patience)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}
