// Package simulate runs trials in virtual time: the same decisions of client and supervisor, and
// the same luck of the replicas, as in a trial on processes with the same seed, about what a
// [Model] says that the machine takes its time for.
//
// What it leaves out: that processors, kernels and networks have limits. A trial whose calls keep
// the processors busy takes longer for real. On two cores that begins between 12,000 and 16,000
// calls a second; deploy/experiments/contention.yaml measures it:
//
//	crashlab experiment run --predict deploy/experiments/contention.yaml
package simulate

import (
	"context"
	"fmt"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	counterv1 "example.com/crashlab/gen/counter/v1"
)

// Engine is the engine of trials in virtual time.
type Engine struct {
	// Model is what the machine takes its time for.
	Model Model
}

// Name is part of trials.Engine.
func (*Engine) Name() string { return record.EngineSimulation }

// Run simulates trials of a design, until ctx ends, and returns the run with its records, which are
// in no folder.
func (e *Engine) Run(ctx context.Context, d *design.Design, of []design.Trial) (*record.Run, error) {
	run := &record.Run{Manifest: record.Manifest{Engine: e.Name(), Design: d}}
	for _, t := range of {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		seen, err := e.Trial(ctx, d, t, trials.Watch{})
		if err != nil {
			return nil, err
		}
		run.Trials = append(run.Trials, seen)
	}
	return run, nil
}

// methodName is the method that is called. Whether it is idempotent is in its descriptor.
const methodName = counterv1.Counter_Get_FullMethodName

// Trial is part of trials.Engine.
func (e *Engine) Trial(ctx context.Context, d *design.Design, t design.Trial, _ trials.Watch) (record.TrialRecords, error) {
	s := d.Cells[t.Cell].Settings
	policy, err := s.Policy().Virtual(methodName)
	if err != nil {
		return record.TrialRecords{}, err
	}
	w := newWorld(e.Model, s, t, policy)
	w.schedule = d.Schedule
	seen := record.TrialRecords{Trial: record.Trial{Trial: t, Addrs: map[string]string{}, Began: time.Now()}}
	for i := range s.Replicas {
		seen.Addrs[design.ReplicaName(i)] = fmt.Sprintf("simulated:%d", i)
	}
	w.run(ctx)
	seen.Took = w.ended - w.began
	seen.Late, seen.Interrupted = w.load.late, w.interrupted
	seen.Calls, seen.Events = w.calls, w.history()
	return seen, nil
}
