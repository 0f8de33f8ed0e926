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

// Merge joins runs of one design and seed, such as shards, into one run with the trials of all. Its
// Dir is empty. The order of the runs does not matter. If several runs have the same trial, the one
// that began first counts, and an interrupted one only if all were interrupted. Loads are merged
// into one load with all their calls.
//
// If a run does not belong to the others, the error says which and why, in one line.
func Merge(runs []*record.Run) (*record.Run, error) {
	if len(runs) == 0 {
		return nil, errors.New("no run: want at least one")
	}
	runs = slices.SortedStableFunc(slices.Values(runs), func(a, b *record.Run) int {
		return cmp.Or(a.Manifest.Began.Compare(b.Manifest.Began), cmp.Compare(a.Dir, b.Dir))
	})
	runs = slices.CompactFunc(runs, func(a, b *record.Run) bool { // one may be named twice, as by runs/*
		return a == b || a.Dir != "" && a.Dir == b.Dir
	})
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

// preferred reports whether a counts rather than b, the same trial of another run.
func preferred(a, b record.Trial) bool {
	if a.Interrupted != b.Interrupted {
		return b.Interrupted
	}
	return a.Began.Before(b.Began)
}

// Missing returns the trials of its design that a run has not completed.
func Missing(run *record.Run) []design.Trial {
	made := map[int]bool{}
	for _, t := range run.Trials {
		made[t.Number] = made[t.Number] || !t.Interrupted
	}
	return slices.DeleteFunc(run.Manifest.Design.Trials(), func(t design.Trial) bool { return made[t.Number] })
}

// differs returns why two runs cannot be merged, in a few words, or an empty string if they can.
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
			return fmt.Sprintf("in cell %q %s is %s in one and %s in the other", c.Title(), changed[0].Factor, changed[0].Baseline, changed[0].Value)
		}
		if c.Title() != other.Title() {
			return fmt.Sprintf("one has the cell %q and the other %q", c.Title(), other.Title())
		}
	}
	if !bytes.Equal(rest(a.Design), rest(b.Design)) {
		return "their names, questions, answers, claims or schedules differ"
	}
	return ""
}

func engine(m record.Manifest) string { return cmp.Or(m.Engine, record.EngineProcesses) }

// rest returns everything besides the cells in which designs must be equal for their runs to be
// merged.
func rest(d *design.Design) []byte {
	text, _ := json.Marshal(design.Design{Name: d.Name, Question: d.Question, Answer: d.Answer, Claims: d.Claims, Schedule: d.Schedule})
	return text
}

// mergeManifests returns the manifest of a merged run. The first of the runs began first. Versions
// and properties of machines in which they differ are left empty.
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

// common returns the properties that two machines share.
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

// mergeLoads merges loads that ran at the same time, with equal plans but different seeds. The only
// trial of the merged load has all their calls, so its quantiles are exact. If the clocks of the
// machines differ, calls are shifted in time, but their latencies are not affected.
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

// shift returns the calls of a trial, later by a duration and with greater numbers.
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
