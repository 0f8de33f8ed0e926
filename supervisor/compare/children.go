//go:build linux

package main

import (
	"context"
	"fmt"
	"time"

	"example.com/crashlab/supervisor/compare/record"
)

// children is what the records say about the children.
type children struct {
	reader    *record.Reader
	listening map[string]record.Record // the latest record of each child
	exits     map[string]record.Record
	restarts  map[string][]restart
	wrote     []record.Record
}

// restart is the time from one record of a child's exit to the next one that it listens. Times are
// CLOCK_MONOTONIC in nanoseconds.
type restart struct {
	PID     int   // of the process that exited
	Exit    int64 // just before the exit
	Started int64 // when the next process ran, see clock.Started
	Listens int64
}

func (r restart) took() time.Duration { return time.Duration(r.Listens - r.Exit) }

// launch is the part of the time on which the supervisor has an influence.
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
	return c, c.read() // of older records only the latest matter
}

// read processes new records.
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

// up returns how many children of a crew have listened.
func (c *children) up(of crew) int {
	n := 0
	for i := range of.count {
		if _, ok := c.listening[of.child(i)]; ok {
			n++
		}
	}
	return n
}

// last returns when the last child of a crew listened.
func (c *children) last(of crew) int64 {
	var last int64
	for i := range of.count {
		last = max(last, c.listening[of.child(i)].At)
	}
	return last
}

// patience limits each wait. It is much longer than anything here takes.
const patience = 2 * time.Minute

// await reads records until a condition is met.
func (c *children) await(ctx context.Context, patience time.Duration, met func() bool) error {
	const pause = 5 * time.Millisecond // leaves the machine idle but for what is measured
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
