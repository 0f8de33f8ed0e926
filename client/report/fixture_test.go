package report

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"

	"example.com/crashlab/client/experiment"
	"example.com/crashlab/client/experiment/check"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/stats"
	"example.com/crashlab/supervisor/event"
)

// plan describes a made-up run.
type plan struct {
	rows, levels, repeats int           // cells are rows x levels
	calls, workers        int           // of a trial
	uptime                time.Duration // between crashes, about; 0: none crashes
	unlimited             bool          // no deadline, time-out or warm-up
	text                  string        // what people have written, in place of names that make sense
	mutate                func(*record.TrialRecords)
}

var everyday = plan{rows: 2, levels: 4, repeats: 3, calls: 120, workers: 10, uptime: 2500 * time.Millisecond}

// fiftyThousand has all its calls in one trial, which the page shows at once.
var fiftyThousand = plan{rows: 1, levels: 1, repeats: 1, calls: 50_000, workers: 40, uptime: 2500 * time.Millisecond}

// anyRuns returns plans in which something usual is missing or unusual.
func anyRuns() map[string]plan {
	small := plan{rows: 2, levels: 2, repeats: 2, calls: 30, workers: 5, uptime: time.Second}
	with := func(mutate func(*record.TrialRecords)) plan {
		p := small
		p.mutate = mutate
		return p
	}
	everyCall := func(change func(*record.Call)) plan {
		return with(func(t *record.TrialRecords) {
			for i := range t.Calls {
				change(&t.Calls[i])
			}
		})
	}
	instant := everyCall(func(c *record.Call) { c.Duration, c.Attempts = 0, nil })
	instant.unlimited = true
	named := func(text string) plan {
		p := small
		p.text = text
		return p
	}
	return map[string]plan{
		"long word":   named(strings.Repeat("incomprehensibilities", 10)),
		"long names":  named(strings.Repeat("which goes on and on, ", 20)),
		"markup":      named(`</script><script>throw 1</script><!-- "'&`),
		"everyday":    everyday,
		"no cell":     {},
		"no trial":    {rows: 2, levels: 2},
		"one trial":   {rows: 1, levels: 1, repeats: 1, calls: 20, workers: 2, uptime: time.Second},
		"one call":    {rows: 1, levels: 1, repeats: 1, calls: 1, workers: 1},
		"300 trials":  {rows: 3, levels: 4, repeats: 25, calls: 5, workers: 1, uptime: time.Second},
		"no crash":    {rows: 2, levels: 2, repeats: 2, calls: 30, workers: 5},
		"no calls":    with(func(t *record.TrialRecords) { t.Calls, t.Took = nil, 0 }),
		"no events":   with(func(t *record.TrialRecords) { t.Events = nil }),
		"interrupted": with(func(t *record.TrialRecords) { t.Interrupted = true }),
		"stopped":     with(func(t *record.TrialRecords) { signaled(t, "b", time.Second/2, 3*time.Second) }),
		"all warm-up": everyCall(func(c *record.Call) { c.Warmup = true }),
		"no success": everyCall(func(c *record.Call) {
			c.Result, c.Reason = record.ResultFailed, "rounds"
			for i := range c.Attempts {
				c.Attempts[i].Outcome = failover.OutcomeRefused
			}
		}),
		"no attempts":    everyCall(func(c *record.Call) { c.Result, c.Reason, c.Attempts = record.ResultFailed, "shed", nil }),
		"instant":        instant,
		"no time":        everyCall(func(c *record.Call) { c.Intended, c.Start, c.Duration, c.Attempts = 0, 0, 0, nil }),
		"all at an end":  everyCall(func(c *record.Call) { c.Result = record.ResultInterrupted }),
		"every outcome":  everyCall(func(c *record.Call) { c.Attempts[0].Outcome = failover.Outcome(c.Number % len(failover.Outcomes())) }),
		"text as markup": everyCall(func(c *record.Call) { c.Result, c.Reason = record.ResultFailed, "</script><script>throw 1</script>" }),
	}
}

var replicaNames = []string{"a", "b", "c"}

// madeRun makes up a run in which replicas crash and come back, and calls fail over. Calls of the
// row "waiting" wait until a replica is up again.
func madeRun(p plan) *record.Run {
	d := &design.Design{Name: "policies", Question: "Which policy keeps answering while replicas crash?", Seed: 42, Repeats: p.repeats}
	d.Claims = []design.Claim{
		{Metric: design.Success, AtLeast: true, Threshold: 0.9, Text: "success >= 90%"},
		{Metric: design.P99, Threshold: 2, Text: "p99 <= 2s"},
	}
	d.Source = "name: policies\nfactors:\n  concurrency: [1, 5, 10, 20]\n"
	for row := range p.rows {
		for level := range p.levels {
			c := design.Cell{Row: []string{"original", "waiting", "adaptive"}[row%3]}
			if p.levels > 1 {
				c.Levels = []design.Level{{Factor: "concurrency", Value: []string{"1", "5", "10", "20", "40", "80"}[level%6]}}
			}
			c.Settings = design.Defaults()
			c.Settings.Timeout, c.Settings.Deadline, c.Settings.Warmup = time.Second, 10*time.Second, 300*time.Millisecond
			if p.unlimited {
				c.Settings.Timeout, c.Settings.Deadline, c.Settings.Warmup = 0, 0, 0
			}
			d.Cells = append(d.Cells, c)
		}
	}
	if p.text != "" {
		d.Name, d.Question, d.Answer, d.Source = p.text, p.text, p.text, p.text
		for i := range d.Claims {
			d.Claims[i].Text = p.text
		}
		for i := range d.Cells {
			d.Cells[i].Row += p.text
		}
	}
	run := &record.Run{Manifest: record.Manifest{
		Version: 1, Name: d.Name, Command: []string{"crashlab", "experiment", "run", "it's mine.yaml", "--seed", "42"}, Seed: 42,
		Began: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Ended: time.Date(2026, 1, 2, 3, 6, 17, 0, time.UTC),
		Versions: record.Versions{Commit: "8f14e45", Go: "go1.26.0", GRPC: "v1.85.0"},
		Machine:  record.Machine{OS: "linux", Arch: "amd64", Kernel: "6.1.0", CPU: "a CPU", CPUs: 2, Memory: 8 << 30},
		Design:   d,
	}}
	for cell := range d.Cells {
		for repeat := range p.repeats {
			t := madeTrial(p, len(run.Trials)+1, cell, repeat+1, d.Cells[cell].Row == "waiting")
			if p.mutate != nil {
				p.mutate(&t)
			}
			run.Trials = append(run.Trials, t)
		}
	}
	return run
}

// madeTrial makes up one trial. Its replicas crash regardless of the calls.
func madeTrial(p plan, number, cell, repeat int, waits bool) record.TrialRecords {
	rnd := rand.New(rand.NewPCG(uint64(cell), uint64(repeat)))
	t := record.TrialRecords{Trial: record.Trial{
		Trial: design.Trial{Number: number, Cell: cell, Repeat: repeat, Seed: rnd.Uint64()},
		Addrs: map[string]string{"a": "127.0.0.1:7101", "b": "127.0.0.1:7102", "c": "127.0.0.1:7103"},
	}}
	free := make([]time.Duration, max(p.workers, 1))
	lives := map[string][]life{}
	for _, name := range replicaNames {
		lives[name] = madeLives(p, rnd, time.Duration(p.calls)*time.Second/time.Duration(len(free))+time.Minute)
	}
	for n := range p.calls {
		worker := slices.Index(free, slices.Min(free))
		call := madeCall(rnd, lives, free[worker], waits)
		call.Trial, call.Number = number, n+1
		call.Warmup = call.Intended < 300*time.Millisecond
		free[worker] = call.End()
		t.Took = max(t.Took, call.End())
		t.Calls = append(t.Calls, call)
	}
	slices.SortStableFunc(t.Calls, func(a, b record.Call) int { return cmp.Compare(a.End(), b.End()) })
	t.Events = madeEvents(number, lives, t.Took)
	return t
}

// life is a time span in which a replica is ready.
type life struct{ launched, ready, exited time.Duration }

func madeLives(p plan, rnd *rand.Rand, end time.Duration) []life {
	lives := []life{{-200 * time.Millisecond, -100 * time.Millisecond, end}}
	for p.uptime > 0 {
		l := &lives[len(lives)-1]
		l.exited = max(l.ready, 0) + time.Duration(float64(p.uptime)*rnd.ExpFloat64())
		if l.exited > end {
			break
		}
		launched := l.exited + time.Second
		lives = append(lives, life{launched, launched + 120*time.Millisecond, end})
	}
	return lives
}

// at returns the life and the incarnation of a replica at a time; false if it is not ready.
func at(lives []life, now time.Duration) (life, int, bool) {
	for i, l := range slices.Backward(lives) {
		if l.ready <= now {
			return l, i + 1, now < l.exited
		}
	}
	return life{}, 0, false
}

func madeCall(rnd *rand.Rand, lives map[string][]life, start time.Duration, waits bool) record.Call {
	call := record.Call{Intended: start, Start: start, Result: record.ResultFailed, Reason: "rounds", Code: codes.Unavailable}
	now, first := start, rnd.IntN(len(replicaNames))
	for try := 0; try < 9 || waits; try++ {
		if try > 0 && try%len(replicaNames) == 0 {
			now += 200 * time.Millisecond
		}
		name := replicaNames[(first+try)%len(replicaNames)]
		l, incarnation, ready := at(lives[name], now)
		if waits && !ready {
			now += time.Millisecond
			continue
		}
		a := madeAttempt(rnd, l, now, ready)
		a.Number, a.Round, a.Replica, a.Incarnation = len(call.Attempts)+1, try/len(replicaNames)+1, name, incarnation
		call.Attempts = append(call.Attempts, a)
		now = a.End()
		if a.Outcome == failover.OutcomeOK {
			call.Result, call.Reason, call.Code = record.ResultOK, "", codes.OK
			call.Replica, call.Incarnation, call.Value = name, incarnation, 1
			break
		}
	}
	call.Duration = now - start
	return call
}

func madeAttempt(rnd *rand.Rand, l life, now time.Duration, ready bool) record.Attempt {
	work := time.Duration(50+rnd.IntN(450)) * time.Millisecond
	if rnd.IntN(40) == 0 {
		work = 3 * time.Second
	}
	end := now + min(work, time.Second)
	switch {
	case !ready:
		return record.Attempt{Start: now, Duration: 300 * time.Microsecond, Outcome: failover.OutcomeRefused, Code: codes.Unavailable}
	case l.exited < end:
		return record.Attempt{Start: now, Duration: l.exited - now, Outcome: failover.OutcomeLost, Sent: true, Code: codes.Unavailable}
	case work > time.Second:
		return record.Attempt{Start: now, Duration: time.Second, Outcome: failover.OutcomeTimeout, Sent: true, Code: codes.DeadlineExceeded}
	}
	return record.Attempt{Start: now, Duration: work, Sent: true}
}

func madeEvents(trial int, lives map[string][]life, end time.Duration) []record.Event {
	var events []record.Event
	add := func(replica string, kind event.Kind, incarnation int, at time.Duration) {
		if at <= end {
			events = append(events, record.Event{Trial: trial, At: at, Process: &event.Event{Kind: kind, Replica: replica, Incarnation: incarnation}})
		}
	}
	for _, name := range replicaNames {
		add(name, event.KindAdded, 0, -300*time.Millisecond)
		for i, l := range lives[name] {
			add(name, event.KindLaunched, i+1, l.launched)
			add(name, event.KindReady, i+1, l.ready)
			add(name, event.KindExited, i+1, l.exited)
		}
	}
	slices.SortStableFunc(events, func(a, b record.Event) int { return cmp.Compare(a.At, b.At) })
	return events
}

// signaled stops and continues a replica by signals.
func signaled(t *record.TrialRecords, replica string, from, to time.Duration) {
	add := func(at time.Duration, signal syscall.Signal) {
		t.Events = append(t.Events, record.Event{At: at, Process: &event.Event{Kind: event.KindSignaled, Replica: replica, Signal: signal}})
	}
	add(from, syscall.SIGSTOP)
	add(to, syscall.SIGCONT)
	slices.SortStableFunc(t.Events, func(a, b record.Event) int { return cmp.Compare(a.At, b.At) })
}

// summaryOf makes up a summary of the run.
func summaryOf(run *record.Run) experiment.Summary {
	d := run.Manifest.Design
	s := experiment.Summary{Answer: experiment.Answer{Question: d.Question, Text: d.Answer}}
	for i, c := range d.Cells {
		cell := experiment.CellSummary{Cell: c}
		for _, t := range run.Trials {
			if t.Cell == i {
				cell.Trials = append(cell.Trials, trialSummaryOf(t))
			}
		}
		s.Cells = append(s.Cells, cell)
		s.Claims = append(s.Claims, experiment.ClaimResult{
			Claim: d.Claims[0], Cell: i,
			Interval: stats.Interval{Estimate: 0.9 + 0.01*float64(i), Low: 0.85 + 0.01*float64(i), High: min(1, 0.93+0.02*float64(i)), Level: 0.95, N: 3, Method: "t"},
			Verdict:  []experiment.Verdict{experiment.VerdictFailed, experiment.VerdictInconclusive, experiment.VerdictHeld}[min(i, 2)],
		})
	}
	s.Verdict = experiment.VerdictFailed
	if len(s.Cells) > 1 && len(s.Cells[1].Trials) > 0 {
		s.Cells[1].Late = 1
		s.Cells[1].Trials[0].Violations = []check.Violation{{Check: "unique values", Detail: "calls 7 and 9: both were answered 3 by a, incarnation 2"}}
	}
	return s
}

func trialSummaryOf(t record.TrialRecords) experiment.TrialSummary {
	s := experiment.TrialSummary{Trial: t.Trial, Replicas: map[string]experiment.ReplicaSummary{}}
	for _, c := range t.Calls {
		if c.Result == record.ResultOK {
			s.Succeeded, s.P99 = s.Succeeded+1, max(s.P99, c.Latency())
		} else {
			s.Failed++
		}
	}
	_, crashes := replicaStates(t.Events, t.Took)
	for _, name := range replicaNames {
		var r experiment.ReplicaSummary
		for _, c := range t.Calls {
			for _, a := range c.Attempts {
				if a.Replica != name {
					continue
				}
				switch a.Outcome {
				case failover.OutcomeOK:
					r.Served++
				case failover.OutcomeLost:
					r.Lost++
				case failover.OutcomeRefused:
					r.Refused++
				case failover.OutcomeTimeout:
					r.Timeout++
				default:
					r.Other++
				}
			}
		}
		for _, c := range crashes {
			if c.replica == name {
				r.Crashes++
			}
		}
		r.Launches = r.Crashes + 1
		s.Replicas[name] = r
	}
	return s
}
