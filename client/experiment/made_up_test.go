package experiment

import (
	"math/rand/v2"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
)

const ms = time.Millisecond

// madeUp returns a run of a design with these cells, without trials.
func madeUp(cells ...design.Cell) *record.Run {
	return &record.Run{Dir: "runs/made-up", Manifest: record.Manifest{Design: &design.Design{Cells: cells}}}
}

// cell returns a cell with default settings and with levels, given as pairs of factor and value.
func cell(levels ...string) design.Cell {
	c := design.Cell{Settings: design.Defaults()}
	for i := 0; i < len(levels); i += 2 {
		level, err := design.NewLevel(levels[i], levels[i+1])
		if err != nil {
			panic(err)
		}
		c.Levels = append(c.Levels, level)
	}
	return c
}

// add adds a trial of consecutive calls, each with one attempt and that latency, of which ok
// succeed.
func add(run *record.Run, cell, ok, all int, latency time.Duration) *record.TrialRecords {
	t := record.TrialRecords{Trial: record.Trial{Trial: design.Trial{Number: len(run.Trials) + 1, Cell: cell}}}
	for n := range all {
		start := time.Duration(n) * latency
		c := record.Call{Number: n + 1, Intended: start, Start: start, Duration: latency}
		a := record.Attempt{Number: 1, Round: 1, Replica: "a", Start: start, Duration: latency, Sent: true}
		if n >= ok {
			c.Result, c.Reason, a.Outcome = record.ResultFailed, "rounds spent", failover.OutcomeLost
		}
		c.Attempts = []record.Attempt{a}
		t.Calls = append(t.Calls, c)
	}
	run.Trials = append(run.Trials, t)
	return &run.Trials[len(run.Trials)-1]
}

// addAll adds a trial of 50 calls for each number of successes.
func addAll(run *record.Run, cell int, successes ...int) *record.Run {
	for i, ok := range successes {
		add(run, cell, ok, 50, 10*ms+time.Duration(i)*ms/10)
	}
	return run
}

func claim(m design.Metric, atLeast bool, threshold float64) design.Claim {
	return design.Claim{Metric: m, AtLeast: atLeast, Threshold: threshold}
}

// manyCalls returns a run of 20 trials and 50,000 calls with up to five attempts each.
func manyCalls() *record.Run {
	run := madeUp(cell("concurrency", "5"), cell("concurrency", "10"))
	r := rand.New(rand.NewPCG(1, 2))
	for n := range 20 {
		t := add(run, n%2, 2200+r.IntN(300), 2500, ms)
		for i := range t.Calls {
			c := &t.Calls[i]
			c.Duration = time.Duration(r.ExpFloat64() * float64(100*ms))
			for range r.IntN(5) {
				c.Attempts = append(c.Attempts, record.Attempt{Replica: string(rune('a' + r.IntN(3))), Outcome: failover.OutcomeRefused})
			}
		}
	}
	return run
}
