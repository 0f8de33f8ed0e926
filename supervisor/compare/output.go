//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/compare/record"
)

type outputCmd struct {
	Rounds int `short:"n" default:"100" help:"Exits while a child writes, and as many while none does; rounded to tens"`
	Rate   int `default:"100" help:"Output of one child, in MB/s"`
}

func (cmd *outputCmd) Validate() error {
	if cmd.Rate < 1 || cmd.Rate > 10_000 {
		return fmt.Errorf("--rate %d: want 1 to 10000", cmd.Rate)
	}
	return atLeastOne("-n", cmd.Rounds)
}

// phase is the exits while one child writes, or while none does.
type phase struct {
	writer   string // empty: none
	exits    []restart
	bytes    int64
	duration time.Duration
}

func (cmd *outputCmd) measure(ctx context.Context, l *lab, progress io.Writer) (*report, error) {
	seenEvents, err := l.events()
	if err != nil {
		return nil, err
	}
	defer seenEvents.close()
	seen, err := l.children()
	if err != nil {
		return nil, err
	}
	const size = 9
	c := &contestant{peer: ours(kindFull, features{probes: true, admin: true, events: seenEvents.path}), trials: make(map[int]restart)}
	team := crew{lab: l, name: kindFull, count: size, basePort: l.ports(size)}
	team.more = []string{"--chatty=" + team.child(size-1), fmt.Sprintf("--rate=%d", cmd.Rate)}
	if c.process, err = c.start(team); err != nil {
		return nil, err
	}
	defer c.process.stop()
	if err := seen.await(ctx, patience, func() bool { return seen.up(team) == size }); err != nil {
		return nil, c.process.withLog(err)
	}
	c.crew = team
	c.crew.count-- // the last one writes
	phases := [2]phase{{}, {writer: team.child(size - 1)}}
	const block = 10 // exits of the same phase
	blocks := 2 * max(1, cmd.Rounds/block)
	for i := range blocks {
		fmt.Fprintf(progress, "block %d of %d\n", i+1, blocks)
		if err := phases[i%2].block(ctx, c, seen, i*block, block); err != nil {
			return nil, c.process.withLog(err)
		}
	}
	return cmd.report(phases, seenEvents), nil
}

// block makes n children exit one after the other, beginning with round first.
func (p *phase) block(ctx context.Context, c *contestant, seen *children, first, n int) error {
	var begun record.Record
	if p.writer != "" {
		if err := toggle(ctx, seen, p.writer); err != nil {
			return err
		}
		begun = seen.wrote[len(seen.wrote)-1]
	}
	for round := first; round < first+n; round++ {
		if err := c.trial(ctx, seen, round); err != nil {
			return err
		}
		p.exits = append(p.exits, c.trials[round])
	}
	if p.writer != "" {
		if err := toggle(ctx, seen, p.writer); err != nil {
			return err
		}
		ended := seen.wrote[len(seen.wrote)-1]
		p.bytes += ended.Bytes - begun.Bytes
		p.duration += time.Duration(ended.At - begun.At)
	}
	return nil
}

// toggle makes a child start or stop writing.
func toggle(ctx context.Context, seen *children, child string) error {
	n := len(seen.wrote)
	if err := syscall.Kill(seen.listening[child].PID, syscall.SIGUSR2); err != nil {
		return fmt.Errorf("%s: %w", child, err)
	}
	return seen.await(ctx, patience, func() bool { return len(seen.wrote) > n })
}

func (cmd *outputCmd) report(phases [2]phase, seenEvents *events) *report {
	r := &report{
		heading: "Beside a child that writes",
		about: `8 children of crashlab exit, one after the other, while a ninth one writes to stdout, and while it does not.

- reported median, p99, max: from just before an exit until its event has been read
- listens median, p99: from just before an exit until the successor listens
- MB/s: what the ninth child has written
- lines lost: lines that were dropped, as the events report`,
		columns: []string{
			"the ninth writes", "n", "reported median", "reported p99", "reported max", "listens median", "listens p99", "MB/s", "lines lost",
		},
	}
	seenEvents.mu.Lock()
	defer seenEvents.mu.Unlock()
	at, lost := make(map[int]int64), int64(0)
	for _, e := range seenEvents.all {
		lost += e.Lost
		if e.Kind == "exited" {
			at[e.PID] = e.at
		}
	}
	for i, p := range phases {
		var report, listen []time.Duration
		unreported := 0
		for _, e := range p.exits {
			if at[e.PID] == 0 {
				unreported++
				continue
			}
			report, listen = append(report, time.Duration(at[e.PID]-e.Exit)), append(listen, e.took())
		}
		reported, listens := sampleOf(report), sampleOf(listen)
		name, rate, dropped := "nothing", figure(0), int64(0)
		if i == 1 {
			name, dropped = fmt.Sprintf("%d MB/s", cmd.Rate), lost
			rate = figure(float64(p.bytes) / 1e6 / p.duration.Seconds())
			r.bound("exits reported late, max in ms", reported.at(1), 50)
			r.bound("exits not reported", figure(unreported), 0)
		}
		r.row(name, len(p.exits), reported.estimate(), reported.at(0.99), reported.at(1), listens.estimate(), listens.at(0.99), rate, dropped)
	}
	return r
}
