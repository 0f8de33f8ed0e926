// Package trials runs the trials of a design on an engine and writes their records into a folder.
//
// Use it to run an experiment from Go: load a design with package design, choose an engine, and
// call Run.Do. Three packages implement Engine: lab launches real processes on this machine, remote
// uses a cluster that is already running, and simulate computes trials in virtual time. Package
// trials computes nothing from the records: package experiment summarizes them, and package report
// shows them. To make calls without an experiment, use package workload.
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

// Engine runs trials. Its methods must be safe for concurrent use.
type Engine interface {
	// Name returns the engine's name for the manifest.
	Name() string
	// Trial runs a trial of the design and reports its progress to watch. When ctx ends the trial,
	// Trial returns the records so far, marked as interrupted, and no error. It returns an error
	// only if the load could not run.
	Trial(ctx context.Context, d *design.Design, t design.Trial, watch Watch) (record.TrialRecords, error)
}

// Preparer is implemented by engines that must be prepared before a run and closed after it.
type Preparer interface {
	// Prepare prepares the engine before the first trial. It returns an error if the engine cannot
	// run the design; Close is not called then.
	Prepare(ctx context.Context, d *design.Design) error
	// Close is called once after the last trial, even if ctx has ended.
	Close(ctx context.Context) error
}

// Run configures a run of a design. Engine and Runs are required.
type Run struct {
	// Engine runs the trials.
	Engine Engine
	// Shard selects the trials to run. The zero value selects all.
	Shard Shard
	// Runs is the folder in which the run creates its own folder.
	Runs string
	// Command is the command line that repeats the run, for the manifest.
	Command []string
	// OnProgress, if not nil, is called with the progress of the run five times a second and after
	// each trial. Calls do not overlap. It must return soon.
	OnProgress func(Progress)
}

// NewManifest returns the manifest of a run of d that begins now on the named engine. It describes
// the running program and this machine.
func NewManifest(engine string, d *design.Design, command []string) record.Manifest {
	return record.Manifest{
		Name: d.Name, Engine: engine, Command: command, Seed: d.Seed, Began: time.Now(),
		Versions: versions(), Machine: machine(), Design: d,
	}
}

// Do runs the trials of the design that belong to the shard, each on a fresh cluster, and returns
// the path of the run's folder, or an empty path if the run failed before there was a folder.
//
// When ctx ends, Do starts no more trials, ends the running ones cleanly, keeps their records in
// the folder and returns a nil error. A trial that cannot run ends the run in the same way, and Do
// returns that trial's error.
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
	defer p.report(r.OnProgress)()
	done, err := r.trials(ctx, d, all, w, p)
	return w.Dir(), errors.Join(err, w.Close(done < len(all)))
}

// trials runs the trials, d.Parallel at a time, and returns how many were completed.
func (r *Run) trials(ctx context.Context, d *design.Design, all []design.Trial, w *record.Writer, p *progress) (done int, err error) {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	var (
		mu      sync.Mutex // guards done, err and w
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
				failed = nil // the trial could not begin because the run has ended
			}
			if failed != nil && err == nil { // later errors are consequences of the first
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
