package experiment_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/crashlab/client/experiment/labtest"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/stats"
)

// simulated runs a shard of a design in virtual time, and reads its files.
func simulated(t *testing.T, d *design.Design, s trials.Shard) *record.Run {
	t.Helper()
	r := trials.Run{Engine: &simulate.Engine{Model: simulate.DefaultModel()}, Runs: t.TempDir(), Shard: s}
	dir, err := r.Do(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	run, err := record.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

const small = `
question: How many attempts does a call take?
answer: Few.
seed: 3
repeats: 4
factors: {p_crash: [0.1, 0.3], restart_delay: 100ms, calls: 20, service_time: 'exp:5ms'}
claims: [attempts <= 100]
`

// Any number of shards, merged in any order, gives the result of a run of all trials.
func TestMergedShardsAreTheWholeRun(t *testing.T) {
	t.Parallel()
	d := labtest.Design(t, small)
	whole := simulated(t, d, trials.Shard{})
	want := withoutClock(whole)
	for _, count := range []int{1, 2, 3, 5, 8, 11} {
		var runs []*record.Run
		for i := range count {
			runs = append(runs, simulated(t, d, trials.Shard{Index: i, Count: count}))
		}
		rand.Shuffle(count, func(i, j int) { runs[i], runs[j] = runs[j], runs[i] })
		merged, err := experiment.Merge(runs)
		if err != nil {
			t.Fatal(err)
		}
		if missing := experiment.Missing(merged); len(missing) > 0 || merged.Manifest.Interrupted {
			t.Errorf("%d shards: %v are missing", count, missing)
		}
		if got := withoutClock(merged); !reflect.DeepEqual(got, want) {
			t.Errorf("%d shards: their records differ from those of the whole run", count)
		}
		dir := filepath.Join(t.TempDir(), "merged")
		if err := record.Save(dir, merged); err != nil {
			t.Fatal(err)
		}
		saved, err := record.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := withoutClock(saved); !reflect.DeepEqual(got, want) || count > 1 && len(saved.Manifest.Merged) != count {
			t.Errorf("%d shards: the merged run differs in its files, made of %d", count, len(saved.Manifest.Merged))
		}
		if a := experiment.Summarize(saved).Answer; a.Text != "Few." {
			t.Errorf("%d shards: the merged run does not answer its question, but: %+v", count, a)
		}
	}
}

// withoutClock returns the trials of a run without the times of their simulation.
func withoutClock(run *record.Run) []record.TrialRecords {
	all := slices.Clone(run.Trials)
	for i := range all {
		all[i].Began = time.Time{}
		all[i].Events = slices.Clone(all[i].Events)
		for k, e := range all[i].Events {
			if e.Process != nil {
				p := *e.Process
				p.Time = time.Time{}
				all[i].Events[k].Process = &p
			}
		}
	}
	return all
}

func TestMergeTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	d := labtest.Design(t, small)
	merged, err := experiment.Merge([]*record.Run{
		simulated(t, d, trials.Shard{Index: 3, Count: 4}), simulated(t, d, trials.Shard{Index: 0, Count: 4}),
	})
	if err != nil {
		t.Fatal(err)
	}
	var numbers []int
	for _, m := range experiment.Missing(merged) {
		numbers = append(numbers, m.Number)
	}
	if want := []int{2, 3, 6, 7}; !slices.Equal(numbers, want) || !merged.Manifest.Interrupted {
		t.Errorf("missing %v, want %v; interrupted: %v", numbers, want, merged.Manifest.Interrupted)
	}
}

// Merged runs, which have no folder yet, can be merged again.
func TestMergeOfMergedRuns(t *testing.T) {
	t.Parallel()
	d := labtest.Design(t, small)
	var halves []*record.Run
	for i := range 2 {
		half, err := experiment.Merge([]*record.Run{
			simulated(t, d, trials.Shard{Index: i, Count: 4}), simulated(t, d, trials.Shard{Index: i + 2, Count: 4}),
		})
		if err != nil {
			t.Fatal(err)
		}
		halves = append(halves, half)
	}
	merged, err := experiment.Merge(append(halves, halves[0]))
	if err != nil {
		t.Fatal(err)
	}
	if len(merged.Trials) != 8 || len(experiment.Missing(merged)) != 0 {
		t.Errorf("%d trials, %v missing", len(merged.Trials), experiment.Missing(merged))
	}
}

// The trials of a shard that ran twice, as when a pod is replaced, count once: completed trials
// before interrupted ones, and of those the earliest.
func TestMergeOfTrialsMadeTwice(t *testing.T) {
	t.Parallel()
	d := labtest.Design(t, small)
	first, second := simulated(t, d, trials.Shard{}), simulated(t, d, trials.Shard{})
	first.Trials = first.Trials[:3]
	first.Trials[2].Interrupted = true
	for _, runs := range [][]*record.Run{{first, second}, {second, first}, {second, first, second}} {
		merged, err := experiment.Merge(runs)
		if err != nil {
			t.Fatal(err)
		}
		if len(merged.Trials) != 8 || len(experiment.Missing(merged)) != 0 {
			t.Fatalf("%d trials, %v missing", len(merged.Trials), experiment.Missing(merged))
		}
		for i, from := range []*record.Run{first, first, second, second} {
			if !merged.Trials[i].Began.Equal(from.Trials[i].Began) {
				t.Errorf("trial %d began at %v, want %v", i+1, merged.Trials[i].Began, from.Trials[i].Began)
			}
		}
	}
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	base := simulated(t, labtest.Design(t, small), trials.Shard{Index: 0, Count: 8})
	for change, want := range map[[2]string]string{
		{"seed: 3", "seed: 4"}:                 "one has the seed 3 and the other 4",
		{"repeats: 4", "repeats: 5"}:           "one has 4 repeats of each cell and the other 5",
		{"[0.1, 0.3]", "[0.1, 0.2]"}:           `in cell "p_crash 0.3" p_crash is 0.3 in one and 0.2 in the other`,
		{"[0.1, 0.3]", "[0.1, 0.2, 0.3]"}:      "one has 2 cells and the other 3",
		{"answer: Few.", "answer: Many."}:      "their names, questions, answers, claims or schedules differ",
		{"attempts <= 100", "attempts <= 101"}: "their names, questions, answers, claims or schedules differ",
	} {
		other := simulated(t, labtest.Design(t, strings.Replace(small, change[0], change[1], 1)), trials.Shard{Index: 1, Count: 8})
		for _, runs := range [][]*record.Run{{base, other}, {base, base, other}} {
			_, err := experiment.Merge(runs)
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), base.Dir) || !strings.Contains(err.Error(), other.Dir) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("%v: %v, want one line with both folders and %q", change, err, want)
			}
		}
	}
	real := *base
	real.Dir, real.Manifest.Engine = "runs/real", record.EngineProcesses
	if _, err := experiment.Merge([]*record.Run{base, &real}); err == nil || !strings.Contains(err.Error(), "one has the engine simulation and the other processes") {
		t.Errorf("runs of two engines: %v", err)
	}
}

// The percentiles of merged loads are those of all their calls, in whatever order they are merged.
func TestMergedLoadsHaveExactPercentiles(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	upTo := func(d time.Duration) time.Duration { return time.Duration(rng.Int64N(int64(d))) }
	var runs []*record.Run
	var all []time.Duration
	began := time.Now()
	for n := range 5 {
		r := loaded(n, began.Add(upTo(time.Second)))
		for i := range 10 + rng.IntN(2000) {
			start, took := upTo(10*time.Second), time.Duration(rng.ExpFloat64()*float64((n+1)*int(10*time.Millisecond)))
			took = took.Truncate(time.Microsecond)
			r.Trials[0].Calls = append(r.Trials[0].Calls, record.Call{
				Trial: 1, Number: i + 1, Intended: start, Start: start, Duration: took, Replica: "x", Value: uint64(i + 1),
				Attempts: []record.Attempt{{Number: 1, Round: 1, Replica: "x", Start: start, Duration: took, Sent: true}},
			})
			all = append(all, took)
		}
		runs = append(runs, r)
	}
	slices.Sort(all)
	for range 5 {
		rng.Shuffle(len(runs), func(i, j int) { runs[i], runs[j] = runs[j], runs[i] })
		merged, err := experiment.Merge(runs)
		if err != nil {
			t.Fatal(err)
		}
		got := experiment.Summarize(merged).Cells[0].Trials[0]
		for q, v := range map[float64]time.Duration{0.5: got.P50, 0.9: got.P90, 0.99: got.P99, 1: got.Max} {
			if want := stats.Quantile(all, q); v != want {
				t.Errorf("quantile %v of %d calls is %v, want %v", q, len(all), v, want)
			}
		}
		if got.Succeeded != len(all) || len(got.Violations) > 0 {
			t.Errorf("%d calls succeeded, want %d; violations: %v", got.Succeeded, len(all), got.Violations)
		}
		for i, c := range merged.Trials[0].Calls {
			if i > 0 && c.End() < merged.Trials[0].Calls[i-1].End() {
				t.Fatal("the calls are not in the order of their ends")
			}
		}
	}
}

// loaded returns a load without calls.
func loaded(n int, began time.Time) *record.Run {
	d := &design.Design{Name: "load", Seed: uint64(n), Repeats: 1, Parallel: 1, Cells: []design.Cell{{Settings: design.Defaults()}}}
	m := record.Manifest{Engine: record.EngineLoad, Seed: d.Seed, Began: began, Design: d}
	return &record.Run{
		Dir: fmt.Sprintf("loads/%d", n), Manifest: m,
		Trials: []record.TrialRecords{{Trial: record.Trial{Trial: d.Trials()[0], Began: began}}},
	}
}
