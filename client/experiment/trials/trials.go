// Package trials runs the trials of a design on an engine, which may be processes of this machine,
// a cluster that is already running or a simulation, and writes down what they have shown. It
// computes nothing.
package trials

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
)

// Engine is where trials run. Its methods may be called by several goroutines at a time.
type Engine interface {
	// Name is what the manifest calls it.
	Name() string
	// Trial runs a trial of the design and reports its progress to watch. It returns the records
	// also when ctx has ended the trial. The error says why there was no load.
	Trial(ctx context.Context, d *design.Design, t design.Trial, watch Watch) (record.TrialRecords, error)
}

// Preparer is an Engine that must be prepared for a run.
type Preparer interface {
	// Prepare is called before anything is run. An error is why the design cannot be.
	Prepare(ctx context.Context, d *design.Design) error
	// Close is called at the end, also when ctx has ended.
	Close(ctx context.Context) error
}

// Run is a run of a design.
type Run struct {
	Engine Engine
	// Shard is which of the trials are run.
	Shard Shard
	// Runs is the folder in which the run gets one of its own.
	Runs string
	// Command is what repeats the run, for the manifest.
	Command []string
	// OnProgress is called with the progress of the run, several times a second and at the end of
	// each trial, one call at a time. It must return soon. Nil: it is not called.
	OnProgress func(Progress)
}

// NewManifest returns that of a run which begins now, on the engine of that name, by this program
// on this machine.
func NewManifest(engine string, d *design.Design, command []string) record.Manifest {
	return record.Manifest{
		Name: d.Name, Engine: engine, Command: command, Seed: d.Seed, Began: time.Now(),
		Versions: versions(), Machine: machine(), Design: d,
	}
}

// Do runs the trials of the design, or those of the shard, each on a fresh cluster, and returns the
// folder of the run: empty when there is none.
//
// When ctx ends, the trials in hand are ended cleanly, none is begun, what was seen so far is in
// the folder, and the error is nil. A trial that cannot be run ends the run in the same way, with
// its error.
func (r *Run) Do(ctx context.Context, d *design.Design) (dir string, err error) {
	if p, ok := r.Engine.(Preparer); ok {
		if err := p.Prepare(ctx, d); err != nil {
			return "", err
		}
		defer func() { err = errors.Join(err, p.Close(ctx)) }()
	}
	m := NewManifest(r.Engine.Name(), d, r.Command)
	m.Shard = r.Shard.String()
	w, err := record.Create(r.Runs, m)
	if err != nil {
		return "", err
	}
	all := r.Shard.Of(d.Trials())
	p := newProgress(w.Dir(), len(all))
	defer p.tell(r.OnProgress)()
	done, err := r.trials(ctx, d, all, w, p)
	return w.Dir(), errors.Join(err, w.Close(done < len(all)))
}

// trials runs the trials, Design.Parallel at a time, and returns how many were done to their end.
func (r *Run) trials(ctx context.Context, d *design.Design, all []design.Trial, w *record.Writer, p *progress) (done int, err error) {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	var (
		mu      sync.Mutex // of done, err and w
		workers sync.WaitGroup
	)
	work := func(next <-chan design.Trial) {
		for t := range next {
			seen, failed := r.Engine.Trial(ctx, d, t, p.watch(t))
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
	for _, t := range all {
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
