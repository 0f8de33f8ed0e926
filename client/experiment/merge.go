package experiment

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
)

// Merge joins runs of one design and seed, such as shards, to one that has the trials of all; its
// Dir is empty. The order of the runs does not matter. Of a trial that several have, the one that
// began first counts; one that was interrupted counts only where no other is. Loads become one load
// that has the calls of all.
//
// An error is one line that names the run that does not belong to the others, and why.
func Merge(runs []*record.Run) (*record.Run, error) {
	if len(runs) == 0 {
		return nil, errors.New("no run: want at least one")
	}
	runs = slices.SortedStableFunc(slices.Values(runs), func(a, b *record.Run) int {
		return cmp.Or(a.Manifest.Began.Compare(b.Manifest.Began), cmp.Compare(a.Dir, b.Dir))
	})
	runs = slices.CompactFunc(runs, func(a, b *record.Run) bool { return a.Dir == b.Dir }) // one may be named twice, as by runs/*
	if len(runs) == 1 {
		return runs[0], nil
	}
	for _, r := range runs[1:] {
		if why := differs(runs[0].Manifest, r.Manifest); why != "" {
			return nil, fmt.Errorf("%s and %s cannot be merged, %s: want runs of one design and seed, or loads with the same flags", runs[0].Dir, r.Dir, why)
		}
	}
	merged := &record.Run{Manifest: mergeManifests(runs)}
	if merged.Manifest.Engine == record.EngineLoad {
		return mergeLoads(merged, runs), nil
	}
	best := map[int]record.TrialRecords{}
	for _, r := range runs {
		for _, t := range r.Trials {
			if other, ok := best[t.Number]; !ok || preferred(t.Trial, other.Trial) {
				best[t.Number] = t
			}
		}
	}
	for _, t := range best {
		merged.Trials = append(merged.Trials, t)
	}
	slices.SortFunc(merged.Trials, func(a, b record.TrialRecords) int { return cmp.Compare(a.Number, b.Number) })
	merged.Manifest.Interrupted = len(Missing(merged)) > 0
	return merged, nil
}

// preferred reports whether a counts and b does not, which is the same trial of another run.
func preferred(a, b record.Trial) bool {
	if a.Interrupted != b.Interrupted {
		return b.Interrupted
	}
	return a.Began.Before(b.Began)
}

// Missing returns the trials of its design that a run has not made to their end.
func Missing(run *record.Run) []design.Trial {
	made := map[int]bool{}
	for _, t := range run.Trials {
		made[t.Number] = made[t.Number] || !t.Interrupted
	}
	return slices.DeleteFunc(run.Manifest.Design.Trials(), func(t design.Trial) bool { return made[t.Number] })
}

// differs returns why two runs cannot be merged, in a few words; empty: they can.
func differs(a, b record.Manifest) string {
	switch {
	case engine(a) != engine(b):
		return fmt.Sprintf("one has the engine %s and the other %s", engine(a), engine(b))
	case a.Engine != record.EngineLoad && a.Seed != b.Seed: // loads at the same time must not start their calls at the same times
		return fmt.Sprintf("one has the seed %d and the other %d", a.Seed, b.Seed)
	case a.Design.Repeats != b.Design.Repeats:
		return fmt.Sprintf("one has %d repeats of each cell and the other %d", a.Design.Repeats, b.Design.Repeats)
	case len(a.Design.Cells) != len(b.Design.Cells):
		return fmt.Sprintf("one has %d cells and the other %d", len(a.Design.Cells), len(b.Design.Cells))
	}
	for i, c := range a.Design.Cells {
		other := b.Design.Cells[i]
		if changed := changes(c.Settings, other.Settings); len(changed) > 0 {
			return fmt.Sprintf("in cell %q %s is %s in one and %s in the other", c.Title(), changed[0].Factor, changed[0].A, changed[0].B)
		}
		if c.Title() != other.Title() {
			return fmt.Sprintf("one has the cell %q and the other %q", c.Title(), other.Title())
		}
	}
	if !bytes.Equal(rest(a.Design), rest(b.Design)) {
		return "their claims, schedules or names differ"
	}
	return ""
}

func engine(m record.Manifest) string { return cmp.Or(m.Engine, record.EngineProcesses) }

// rest is what runs of one design have in common beside the cells.
func rest(d *design.Design) []byte {
	text, _ := json.Marshal(design.Design{Name: d.Name, Question: d.Question, Claims: d.Claims, Schedule: d.Schedule})
	return text
}

// mergeManifests returns the manifest of what is merged from runs, of which the first began first.
// What they differ in is empty.
func mergeManifests(runs []*record.Run) record.Manifest {
	m := runs[0].Manifest
	m.Shard, m.Merged = "", nil
	for _, r := range runs {
		o := r.Manifest
		if m.Versions != o.Versions {
			m.Versions = record.Versions{}
		}
		m.Machine = common(m.Machine, o.Machine)
		if o.Ended.After(m.Ended) {
			m.Ended = o.Ended
		}
		if o.Merged != nil {
			m.Merged = append(m.Merged, o.Merged...)
			continue
		}
		m.Merged = append(m.Merged, record.Part{
			Dir: r.Dir, Shard: o.Shard, Seed: o.Seed, Began: o.Began, Ended: o.Ended, Interrupted: o.Interrupted,
			Versions: o.Versions, Machine: o.Machine,
		})
	}
	return m
}

// common is what two machines have in common.
func common(a, b record.Machine) record.Machine {
	if a.OS != b.OS || a.Arch != b.Arch {
		a.OS, a.Arch = "", ""
	}
	if a.Kernel != b.Kernel {
		a.Kernel = ""
	}
	if a.CPU != b.CPU {
		a.CPU = ""
	}
	if a.CPUs != b.CPUs {
		a.CPUs = 0
	}
	if a.Memory != b.Memory {
		a.Memory = 0
	}
	return a
}

// mergeLoads makes one load of several that ran at the same time, of equal plans but for their
// seeds: its only trial has the calls of all, so quantiles are those of all calls. Its design is
// that of each. Where the clocks of the loaders' machines differ, so do the times of the calls, but
// no latency.
func mergeLoads(merged *record.Run, runs []*record.Run) *record.Run {
	var all record.TrialRecords
	for _, r := range runs {
		for _, t := range r.Trials {
			if all.Number == 0 {
				all.Trial = t.Trial
				all.Addrs = map[string]string{}
			}
			for name, addr := range t.Addrs {
				all.Addrs[name] = addr
			}
			all.Interrupted = all.Interrupted || t.Interrupted
			all.Late += t.Late
			all.Calls = append(all.Calls, shift(t, t.Began.Sub(all.Began), len(all.Calls))...)
			all.Took = max(all.Took, t.Began.Add(t.Took).Sub(all.Began))
		}
	}
	if all.Number > 0 {
		slices.SortStableFunc(all.Calls, func(a, b record.Call) int { return cmp.Compare(a.End(), b.End()) })
		merged.Trials = []record.TrialRecords{all}
	}
	merged.Manifest.Interrupted = slices.ContainsFunc(runs, func(r *record.Run) bool { return r.Manifest.Interrupted })
	return merged
}

// shift returns the calls of a trial with offsets that are later by a time, and numbers behind
// those of others.
func shift(t record.TrialRecords, by time.Duration, numbers int) []record.Call {
	calls := slices.Clone(t.Calls)
	for i := range calls {
		c := &calls[i]
		c.Number += numbers
		c.Intended, c.Start = c.Intended+by, c.Start+by
		c.Attempts = slices.Clone(c.Attempts)
		for k := range c.Attempts {
			c.Attempts[k].Start += by
		}
	}
	return calls
}
