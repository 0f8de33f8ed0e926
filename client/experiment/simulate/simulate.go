// Package simulate is the engine that runs trials in virtual time, to predict what the same trials
// on real processes would show. Use it for more trials than real time allows, or to compare many
// policies, as package advise does; use package lab to confirm the result.
//
// The client and the supervisor make the decisions of production: the simulator drives the same
// code, packages client/failover/virtual and supervisor/virtual, with a timeline of events. The
// replicas crash at the same requests as real ones with the same seed. Everything else that takes
// time on a machine, such as a round trip or a launch, comes from a [Model], which Calibrate
// measures.
//
// The model has no limits of processors, kernels and networks, so a trial that keeps the processors
// busy takes longer on processes. On two cores contention matters from a rate between 12,000 and
// 16,000 calls a second; deploy/experiments/contention.yaml measures it:
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

// Engine is an engine for package trials that runs trials in virtual time. Its methods are safe for
// concurrent use.
type Engine struct {
	// Model says how long each part of the machine's own work takes. The zero value means no time
	// at all; use DefaultModel or LoadModel.
	Model Model
}

// Name implements trials.Engine.
func (*Engine) Name() string { return record.EngineSimulation }

// Run simulates the given trials of a design and returns the run, without writing it to a folder.
// If ctx ends before the last trial begins, Run returns ctx's error.
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

// methodName is the method of all calls. Its descriptor says whether it is idempotent.
const methodName = counterv1.Counter_Get_FullMethodName

// Trial implements trials.Engine. It does not call the hooks of a Watch.
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
	if err := w.run(ctx); err != nil {
		return record.TrialRecords{}, err
	}
	seen.Took = w.ended - w.began
	seen.Late, seen.Interrupted = w.load.late, w.interrupted
	seen.Calls, seen.Events = w.calls, w.history()
	return seen, nil
}
