//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"syscall"
	"time"

	"example.com/crashlab/supervisor/compare/clock"
	"example.com/crashlab/supervisor/compare/record"
)

type scaleCmd struct {
	Replicas []int         `default:"3,50,200" help:"Numbers of replicas"`
	Runs     int           `short:"n" default:"6" help:"Launches of each number"`
	Idle     time.Duration `default:"10s" help:"Time at rest in which CPU time is measured"`
}

func (cmd *scaleCmd) Validate() error {
	for _, n := range cmd.Replicas {
		if n < 1 || n >= blockSize-1 {
			return fmt.Errorf("--replicas %d: want 1 to %d", n, blockSize-2)
		}
	}
	return atLeastOne("-n", cmd.Runs)
}

// most is the memory in MB that our supervisor may take without probes.
var most = map[int]figure{3: 18, 50: 22, 200: 30}

// Kinds of what is launched.
const (
	kindFloor    = "fork+exec"
	kindFull     = "crashlab"
	kindNoProbes = "crashlab-no-probes"
	kindBare     = "crashlab-bare"
)

// launched is one run of one peer.
type launched struct {
	listening time.Duration // from the launch until all children listen
	ready     time.Duration // until all are ready; of the floor, which cannot tell: listening
	launch    time.Duration // CPU time of the supervisor until then
	back      int           // how many were back after all were killed
	took      time.Duration // until they were back
	usage
	idle time.Duration // CPU time of the supervisor at rest
}

func (cmd *scaleCmd) measure(ctx context.Context, l *lab, progress io.Writer) (*report, error) {
	r := &report{
		heading: "Many replicas",
		about: fmt.Sprintf(`All replicas are launched at once and, later, all killed at once. Times are medians of the runs.

- all listen: from the supervisor's launch until the last child listens
- all ready: from the supervisor's launch until the last child is ready, by the events. Without probes, a child is ready once it is launched.
  fork+exec knows no readiness; its time is that until all listen.
- × floor: all ready, as a multiple of that of fork+exec
- CPU: CPU time of the supervisor until all children listen and are ready
- back, all back: how many children listen again after the kill, in the worst run, and how long it takes
- MB, threads, idle CPU: resident memory of the supervisor's process, without its guardian, in millions of bytes, its threads, and the CPU time
  that it uses in %v (%s only), all at rest after the kill and in the worst run`, cmd.Idle, kindBare),
		columns: []string{"replicas", "runs", "all listen", "all ready", "× floor", "CPU", "back", "all back", "MB", "threads", "idle CPU"},
	}
	for _, n := range cmd.Replicas {
		kinds := []string{kindFloor, kindFull, kindNoProbes, kindBare}
		runs := make(map[string][]launched)
		for i := range cmd.Runs {
			for _, kind := range kinds {
				fmt.Fprintf(progress, "%d replicas, run %d of %d, %s\n", n, i+1, cmd.Runs, kind)
				run, err := cmd.run(ctx, l, kind, fmt.Sprintf("%s-%d-%d", kind, n, i), n)
				if err != nil {
					return nil, fmt.Errorf("%d replicas, %s: %w", n, kind, err)
				}
				runs[kind] = append(runs[kind], run)
			}
		}
		for _, kind := range kinds {
			cmd.row(r, n, kind, runs[kind], runs[kindFloor])
		}
	}
	return r, nil
}

// row adds the runs of a peer.
func (cmd *scaleCmd) row(r *report, n int, kind string, runs, floor []launched) {
	over := func(runs []launched, of func(launched) time.Duration) sample {
		var all []time.Duration
		for _, run := range runs {
			all = append(all, of(run))
		}
		return sampleOf(all)
	}
	worst := runs[0]
	for _, run := range runs {
		worst.mb, worst.threads = max(worst.mb, run.mb), max(worst.threads, run.threads)
		worst.idle, worst.back = max(worst.idle, run.idle), min(worst.back, run.back)
	}
	listening := over(runs, func(run launched) time.Duration { return run.listening })
	untilReady := func(run launched) time.Duration { return run.ready }
	ready := over(runs, untilReady)
	cost := over(runs, func(run launched) time.Duration { return run.launch })
	took := over(runs, func(run launched) time.Duration { return run.took })
	times := ready.median() / over(floor, untilReady).median()
	idle := unmeasured
	if kind == kindBare {
		idle = milliseconds(worst.idle)
	}
	name := fmt.Sprintf("%d under %s", n, kind)
	r.row(name, len(runs), listening.estimate(), ready.estimate(), times, cost.estimate(),
		fmt.Sprintf("%d of %d", worst.back, n), took.estimate(), figure(worst.mb), worst.threads, idle)
	switch kind {
	case kindFull:
		r.bound(name+", threads", figure(worst.threads), 16)
		r.bound(name+", all ready, × floor", times, 1.5)
		r.bound(name+", killed and not back", figure(n-worst.back), 0)
	case kindNoProbes:
		if limit, ok := most[n]; ok {
			r.bound(name+", MB", figure(worst.mb), limit)
		}
	case kindBare:
		r.bound(name+", idle CPU", idle, 2)
	}
}

// run launches n children under a peer, and kills all of them at once.
func (cmd *scaleCmd) run(ctx context.Context, l *lab, kind, name string, n int) (launched, error) {
	seenEvents, err := l.events()
	if err != nil {
		return launched{}, err
	}
	defer seenEvents.close()
	seen, err := l.children()
	if err != nil {
		return launched{}, err
	}
	defer seen.reader.Close()
	p := map[string]peer{
		kindFloor:    floor(),
		kindFull:     ours(kindFull, features{probes: true, admin: true, events: seenEvents.path}),
		kindNoProbes: ours(kindNoProbes, features{admin: true, events: seenEvents.path}),
		kindBare:     ours(kindBare, features{events: seenEvents.path}),
	}[kind]
	c := cluster{
		kind: kind, seen: seen, events: seenEvents, start: clock.Now(),
		crew: crew{lab: l, name: name, count: n, basePort: l.ports(n)},
	}
	if c.process, err = p.start(c.crew); err != nil {
		return c.launched, err
	}
	defer c.process.stop()
	for _, step := range []func(context.Context) error{
		c.awaitReady, awaitAge, c.killAll, awaitAge, func(ctx context.Context) error { return c.measureIdle(ctx, cmd.Idle) },
	} {
		if err := step(ctx); err != nil {
			return c.launched, c.process.withLog(err)
		}
	}
	return c.launched, nil
}

// awaitAge waits until all children are old enough to be relaunched at once.
func awaitAge(ctx context.Context) error { return sleep(ctx, 2*minAge) }

// cluster is a crew with its supervisor, and the measurements of it.
type cluster struct {
	kind    string
	crew    crew
	process *process
	seen    *children
	events  *events
	start   int64
	launched
}

// awaitReady waits until all children are ready.
func (c *cluster) awaitReady(ctx context.Context) (err error) {
	if err := c.seen.await(ctx, patience, func() bool {
		return c.seen.up(c.crew) == c.crew.count && (c.kind == kindFloor || len(c.events.of("ready")) >= c.crew.count)
	}); err != nil {
		return err
	}
	if c.launch, err = cpu(c.process.cmd.Process.Pid); err != nil {
		return err
	}
	c.listening = time.Duration(c.seen.last(c.crew) - c.start)
	c.ready = c.listening
	if ready := c.events.of("ready"); len(ready) > 0 {
		c.ready = time.Duration(ready[len(ready)-1].at - c.start)
	}
	return nil
}

// killAll kills all children at once, and waits until they are back.
func (c *cluster) killAll(ctx context.Context) error {
	killed := make(map[string]record.Record)
	start := clock.Now()
	for i := range c.crew.count {
		child := c.crew.child(i)
		killed[child] = c.seen.listening[child]
		if err := syscall.Kill(killed[child].PID, syscall.SIGKILL); err != nil {
			return fmt.Errorf("%s: %w", child, err)
		}
	}
	allBack := func() bool {
		c.back = 0
		for child, was := range killed {
			if c.seen.listening[child].PID != was.PID {
				c.back++
			}
		}
		return c.back == c.crew.count
	}
	// If it takes too long, the number of children that are back is a result.
	if err := c.seen.await(ctx, patience, allBack); err != nil && ctx.Err() != nil {
		return err
	}
	c.took = time.Duration(c.seen.last(c.crew) - start)
	return nil
}

// measureIdle measures what the supervisor uses while nothing happens.
func (c *cluster) measureIdle(ctx context.Context, idle time.Duration) (err error) {
	pid := c.process.cmd.Process.Pid
	if c.kind == kindBare {
		before, err := cpu(pid)
		if err != nil {
			return err
		}
		if err := sleep(ctx, idle); err != nil {
			return err
		}
		after, err := cpu(pid)
		if err != nil {
			return err
		}
		c.idle = after - before
	}
	c.usage, err = usageOf(pid)
	return err
}
