//go:build linux

package main

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/compare/clock"
)

const (
	// minAge is how old a child must be before it exits: runit, s6, supervisord and our supervisor
	// delay the relaunch of children that lived less than a second.
	minAge = 1100 * time.Millisecond
	// exitPause is the pause before each exit.
	exitPause = 10 * time.Millisecond
)

// contestant is a peer that runs beside others.
type contestant struct {
	peer
	crew    crew
	process *process
	trials  map[int]restart // by round
	exits   int
}

// rotate runs all peers side by side, each with a crew of the given size. In each round it makes
// one child of each peer exit, one after the other, so that whatever else the machine does affects
// all of them alike.
func (l *lab) rotate(ctx context.Context, peers []peer, size, rounds int, progress func(round int)) ([]*contestant, error) {
	seen, err := l.children()
	if err != nil {
		return nil, err
	}
	var all []*contestant
	defer func() {
		for _, c := range all {
			c.process.stop()
		}
	}()
	for i, p := range peers {
		c := &contestant{peer: p, trials: make(map[int]restart)}
		c.crew = crew{lab: l, name: fmt.Sprintf("%s-%d", p.name, i), count: size, basePort: l.ports(size)}
		if c.process, err = p.start(c.crew); err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		all = append(all, c)
		if err := seen.await(ctx, patience, func() bool { return seen.up(c.crew) == size }); err != nil {
			return nil, c.process.withLog(fmt.Errorf("%s, at its launch: %w", p.name, err))
		}
	}
	for round := range rounds {
		progress(round)
		for i := range all {
			c := all[(round+i)%len(all)] // so that no peer always follows the same one
			if round%c.every != 0 {
				continue
			}
			if err := c.trial(ctx, seen, round); err != nil {
				return nil, c.process.withLog(fmt.Errorf("%s: %w", c.name, err))
			}
		}
	}
	return all, nil
}

// trial makes the next child exit, and waits until its successor listens.
func (c *contestant) trial(ctx context.Context, seen *children, round int) error {
	child := c.crew.child(c.exits % c.crew.count)
	c.exits++
	before := seen.listening[child]
	young := minAge - time.Duration(clock.Now()-before.At)
	if err := sleep(ctx, max(young, exitPause)); err != nil {
		return err
	}
	n := len(seen.restarts[child])
	if err := syscall.Kill(before.PID, syscall.SIGUSR1); err != nil {
		return fmt.Errorf("%s, process %d: %w", child, before.PID, err)
	}
	if err := seen.await(ctx, c.delay+patience, func() bool { return len(seen.restarts[child]) > n }); err != nil {
		return fmt.Errorf("%s after its exit: %w", child, err)
	}
	c.trials[round] = seen.restarts[child][n]
	return nil
}
