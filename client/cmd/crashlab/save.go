package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/workload"
)

// startTime is a time in the future, in the format of RFC 3339.
type startTime struct{ time.Time }

func (s *startTime) UnmarshalText(text []byte) error {
	at, err := time.Parse(time.RFC3339, string(text))
	if err != nil {
		return fmt.Errorf("%q: want a time such as %s", text, time.Now().Add(time.Minute).UTC().Format(time.RFC3339))
	}
	if late := time.Since(at); late >= 0 {
		return fmt.Errorf("%q: was %v ago: want a time in the future", text, rounded(late))
	}
	s.Time = at
	return nil
}

// await blocks until that time, by the clock of this machine.
func (s startTime) await(ctx context.Context) error {
	wait := time.Until(s.Time)
	if wait <= 0 {
		return &exit{exitFailed, fmt.Sprintf("--start-at %s: passed before the replicas were connected: want a later time", s.Format(time.RFC3339))}
	}
	for ; wait > 0; wait = time.Until(s.Time) { // the clock may be adjusted meanwhile
		select {
		case <-time.After(min(wait, time.Second)):
		case <-ctx.Done():
			return interrupted
		}
	}
	return nil
}

// checkSave returns an error before the calls if they could not be saved.
func (l *loadCmd) checkSave(plan workload.Plan) error {
	if l.Save == "" {
		return nil
	}
	if err := record.CheckEmpty(l.Save); err != nil {
		return &exit{exitUsage, fmt.Sprintf("--save %v", err)}
	}
	text, err := json.Marshal(l.settings(plan))
	if err == nil {
		err = json.Unmarshal(text, new(design.Settings)) // checks the bounds
	}
	if err != nil {
		return &exit{exitUsage, fmt.Sprintf("--save: %v", err)}
	}
	return nil
}

// design returns the load as a design with one trial.
func (l *loadCmd) design(plan workload.Plan) *design.Design {
	return &design.Design{Name: "load", Seed: plan.Seed, Repeats: 1, Parallel: 1, Cells: []design.Cell{{Settings: l.settings(plan)}}}
}

// settings returns the settings of the load; the cluster is unknown.
func (l *loadCmd) settings(plan workload.Plan) design.Settings {
	s := l.policy.settings()
	s.Replicas = 1
	s.Concurrency, s.Rate, s.Arrivals = max(plan.Workers, 1), plan.Rate, plan.Arrivals
	s.Calls, s.Duration, s.Warmup = plan.Calls, plan.Duration, plan.Warmup
	return s
}

// save writes the calls to the folder of a run.
func (l *loadCmd) save(r result, began time.Time, calls []workload.Record) error {
	if l.Save == "" {
		return nil
	}
	d := l.design(r.plan)
	t := record.Trial{
		Trial: d.Trials()[0], Began: began, Took: r.elapsed, Interrupted: r.Pace.Interrupted, Late: r.Pace.Late, Addrs: map[string]string{},
	}
	for _, addr := range r.replicas {
		t.Addrs[addr] = addr
	}
	m := trials.NewManifest(record.EngineLoad, d, os.Args)
	m.Began, m.Ended, m.Interrupted = began, time.Now(), r.Pace.Interrupted
	err := record.Save(l.Save, &record.Run{Manifest: m, Trials: []record.TrialRecords{trials.RecordLoad(t, calls)}})
	if full, ok := errors.AsType[*record.NotEmpty](err); ok {
		return &exit{exitFailed, fmt.Sprintf("--save %v; the calls were not saved", full)}
	}
	return err
}
