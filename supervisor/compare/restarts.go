//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

type peersCmd struct {
	Rounds int      `short:"n" default:"500" help:"Restarts under each supervisor; a tenth of them under supervisord, which takes a second for each"`
	Only   []string `placeholder:"PEER" help:"Measure only these, and the floor"`
}

func (cmd *peersCmd) Validate() error {
	var known []string
	for _, p := range others() {
		known = append(known, p.name)
	}
	for _, name := range cmd.Only {
		if !slices.Contains(known, name) {
			return fmt.Errorf("--only %q: want %s", name, strings.Join(known, ", "))
		}
	}
	return atLeastOne("-n", cmd.Rounds)
}

func atLeastOne(flag string, n int) error {
	if n < 1 {
		return fmt.Errorf("%s %d: want 1 or more", flag, n)
	}
	return nil
}

// others returns all peers but the floor.
func others() []peer {
	return []peer{
		ours(kindFull, features{probes: true, admin: true}), ours(kindBare, features{}), bash(), s6(), runit(), supervisord(),
	}
}

func (cmd *peersCmd) measure(ctx context.Context, l *lab, progress io.Writer) (*report, error) {
	peers := []peer{floor()}
	for _, p := range others() {
		switch missing := p.missing(); {
		case len(cmd.Only) > 0 && !slices.Contains(cmd.Only, p.name):
		case missing != "":
			fmt.Fprintf(progress, "%s is left out: %s is not installed\n", p.name, missing)
		default:
			peers = append(peers, p)
		}
	}
	const crewSize = 8
	all, err := l.rotate(ctx, peers, crewSize, cmd.Rounds, rounds(progress, cmd.Rounds))
	if err != nil {
		return nil, err
	}
	r := &report{
		heading: "From an exit until the successor listens",
		about: `In each of n rounds one of a supervisor's 8 children exits. supervisord, which takes a second for each, takes part in one round of ten.

- median, p99: from just before the exit until the successor listens
- over floor: the median of the differences from fork+exec in the same round
- × floor: the ratio of the medians
- launch median, launch p99: from just before the exit until the successor begins to run`,
		columns: []string{"supervisor", "n", "median", "p99", "over floor", "× floor", "launch median", "launch p99"},
	}
	for _, c := range all {
		row(r, all[0], c)
	}
	return r, nil
}

// row adds a peer, compared with the floor.
func row(r *report, floor, c *contestant) {
	took, launch, over := c.times(restart.took), c.times(restart.launch), c.over(floor, restart.took)
	least := floor.times(restart.took).median()
	r.row(c.name, len(took), took.estimate(), took.at(0.99), over.estimate(), took.median()/least, launch.estimate(), launch.at(0.99))
	if c.name == kindFull {
		r.bound(c.name+", median less the floor's", took.median()-least, 3)
		r.bound(c.name+", p99", took.at(0.99), 20)
	}
}

// times returns the times of all trials.
func (c *contestant) times(of func(restart) time.Duration) sample {
	var all []time.Duration
	for t := range maps.Values(c.trials) {
		all = append(all, of(t)-c.delay)
	}
	return sampleOf(all)
}

// over returns the differences to another contestant in the same rounds.
func (c *contestant) over(other *contestant, of func(restart) time.Duration) sample {
	var all []time.Duration
	for round, t := range c.trials {
		if o, ok := other.trials[round]; ok && c != other {
			all = append(all, of(t)-c.delay-(of(o)-other.delay))
		}
	}
	return sampleOf(all)
}

func rounds(progress io.Writer, of int) func(int) {
	return func(round int) {
		if round > 0 && round%100 == 0 {
			fmt.Fprintf(progress, "round %d of %d\n", round, of)
		}
	}
}

type delayCmd struct {
	Rounds int             `short:"n" default:"200" help:"Restarts for each delay; fewer for delays of 500ms and more"`
	Delays []time.Duration `default:"10ms,100ms,1s" help:"Restart delays"`
}

func (cmd *delayCmd) Validate() error {
	for _, d := range cmd.Delays {
		if d <= 0 || d > time.Hour {
			return fmt.Errorf("--delays %v: want above 0, to 1h", d)
		}
	}
	return atLeastOne("-n", cmd.Rounds)
}

func (cmd *delayCmd) measure(ctx context.Context, l *lab, progress io.Writer) (*report, error) {
	peers := []peer{floor()}
	for _, d := range cmd.Delays {
		p := ours(kindFull+"-"+d.String(), features{delay: d, probes: true, admin: true})
		if p.delay > 10*time.Second {
			p.every = 20
		} else if p.delay >= 500*time.Millisecond {
			p.every = 2
		}
		peers = append(peers, p)
	}
	const crewSize = 4
	all, err := l.rotate(ctx, peers, crewSize, cmd.Rounds, rounds(progress, cmd.Rounds))
	if err != nil {
		return nil, err
	}
	r := &report{
		heading: "Restart delays",
		about: `The name of the supervisor ends with its restart delay, which is subtracted from the times. Long delays have fewer rounds.

- median, p99, max: from just before the exit until the successor begins to run
- error median: the median of the differences from fork+exec in the same round
- error p99: p99 less the median of fork+exec, because processes take time to end and to start without any delay`,
		columns: []string{"supervisor", "n", "median", "p99", "max", "error median", "error p99"},
	}
	least := all[0].times(restart.launch)
	for _, c := range all {
		t := c.times(restart.launch)
		late := t.at(0.99) - least.median()
		r.row(c.name, len(t), t.estimate(), t.at(0.99), t.at(1), c.over(all[0], restart.launch).estimate(), late)
		if c.delay > 0 {
			r.bound(fmt.Sprintf("restart delay %v, error p99", c.delay), late, 3)
		}
	}
	return r, nil
}
