// Package lab runs experiments on real clusters: replicas that are processes, a supervisor, a client with its policy. It
// writes down what happens and computes nothing.
package lab

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
)

// Lab runs designs.
type Lab struct {
	// Counterd is the program of a replica.
	Counterd string
	// Runs is the folder in which each run gets one of its own.
	Runs string
	// Command is what repeats the run, for the manifest.
	Command []string
	// Guardian is the command of the supervisor's guardian, see supervisor.Config; empty: none.
	Guardian []string
	// OnProgress, unless nil, is told how the run goes on, several times a second and at the end of every trial: one call at
	// a time. It must return soon.
	OnProgress func(Progress)
}

// Run runs all trials of the design, each on a fresh cluster, and returns the folder of the run: empty when there is none.
//
// When ctx ends, the trials in hand are ended cleanly, none is begun, what was seen so far is in the folder, and the error
// is nil. A trial that cannot be run ends the run in the same way, with its error.
func (l *Lab) Run(ctx context.Context, d *design.Design) (dir string, err error) {
	w, err := record.Create(l.Runs, record.Manifest{
		Name: d.Name, Command: l.Command, Seed: d.Seed, Began: time.Now(),
		Versions: versions(), Machine: machine(), Design: d,
	})
	if err != nil {
		return "", err
	}
	trials := d.Trials()
	p := newProgress(w.Dir(), len(trials))
	defer p.tell(l.OnProgress)()
	done, err := l.runTrials(ctx, d, trials, w, p)
	return w.Dir(), errors.Join(err, w.Close(done < len(trials)))
}

// runTrials runs the trials, Design.Parallel at a time, and returns how many were done to their end.
func (l *Lab) runTrials(ctx context.Context, d *design.Design, trials []design.Trial, w *record.Writer, p *progress) (done int, err error) {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	var (
		mu      sync.Mutex // of done, err and w
		workers sync.WaitGroup
	)
	work := func(next <-chan design.Trial) {
		for t := range next {
			seen, failed := l.trial(ctx, d, t, p)
			mu.Lock()
			switch {
			case failed == nil:
				if failed = w.Write(seen); failed == nil && !seen.Interrupted {
					done++
				}
			case ctx.Err() != nil:
				failed = nil // it could not begin, as the run has ended
			}
			if failed != nil && err == nil { // those that follow are its doing
				err = fmt.Errorf("trial %d: %w", t.Number, failed)
				giveUp()
			}
			mu.Unlock()
			p.end(t)
		}
	}
	next := make(chan design.Trial)
	for range d.Parallel {
		workers.Go(func() { work(next) })
	}
	for _, t := range trials {
		if ctx.Err() != nil {
			break
		}
		select {
		case next <- t:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	return done, err
}
