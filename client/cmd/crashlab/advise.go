package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"example.com/crashlab/client/experiment/advise"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/lab"
	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/workload"
	"example.com/crashlab/services/fault"
)

type adviseCmd struct {
	Success share    `group:"Goal" default:"0" placeholder:"SHARE" help:"This share of the calls succeeds, such as 0.999."`
	P99     duration `group:"Goal" name:"p99" default:"0s" placeholder:"DURATION" help:"99% of the successful calls take no longer than this."`

	From         string            `group:"Cluster" placeholder:"RUN" help:"Take the cluster and the load from the records of a run, such as runs/latest. The flags below take precedence."`
	Replicas     *count            `group:"Cluster" placeholder:"N" help:"Number of replicas. (default: 3)"`
	PCrash       *share            `group:"Cluster" placeholder:"SHARE" help:"Probability that a request crashes its replica. (default: 0)"`
	CrashPoint   *fault.CrashPoint `group:"Cluster" placeholder:"arrival|reply" help:"Where a crash strikes: arrival, before the work, or reply, after it. (default: arrival)"`
	ServiceTime  *serviceTime      `group:"Cluster" placeholder:"DISTRIBUTION" help:"How long the work of a request takes: 50ms, uniform:50ms:500ms, exp:100ms, or file:PATH, a file with one measured duration per line. (default: 0s)"`
	Capacity     *number           `group:"Cluster" placeholder:"N" help:"Requests that a replica works on at a time; the others queue. 0 is unlimited. (default: 0)"`
	RestartDelay *restartDelay     `group:"Cluster" placeholder:"DURATION|none" help:"Time from a crash to the relaunch; none if the replica stays down. (default: none)"`

	Rate        rate               `group:"Load" placeholder:"N" help:"Calls started a second."`
	Concurrency count              `group:"Load" placeholder:"N" help:"Callers, instead of --rate; each makes its next call when its last has ended."`
	Arrivals    *workload.Arrivals `group:"Load" placeholder:"constant|poisson" help:"Arrivals of the calls of --rate. (default: constant)"`

	modelFlag `group:"Simulation"`
	Seed      count `group:"Simulation" default:"1" placeholder:"N" help:"Seed of the simulation; the same seed gives the same advice. (default: 1)"`

	Verify   bool   `group:"Verification" help:"Try the advice on real clusters on this machine; exit with 99 if it does not hold."`
	Repeats  count  `group:"Verification" placeholder:"N" help:"Number of trials. (default: as many as the goal requires)"`
	Parallel count  `group:"Verification" placeholder:"N" help:"Trials that run at a time. (default: up to 10)"`
	Runs     string `group:"Verification" default:"runs" placeholder:"FOLDER" help:"Where to create the folder of the run. (default: runs)"`
	Counterd string `group:"Verification" placeholder:"PROGRAM" help:"Program of a replica. (default: counterd beside crashlab, else in PATH)"`
	Quiet    bool   `group:"Output" short:"q" help:"Show no progress."`
}

// Help shows examples.
func (adviseCmd) Help() string {
	return `Examples:

    # five callers, and a crash in one of a hundred requests
    crashlab advise --success 0.999 --p-crash 0.01 --restart-delay 1s \
      --concurrency 5
    # the same as in the latest run, but with a limit on latency
    crashlab advise --success 0.99 --p99 2s --from runs/latest`
}

// restartDelay is a duration, or none.
type restartDelay time.Duration

func (d *restartDelay) UnmarshalText(text []byte) error {
	if string(text) == "none" {
		*d = restartDelay(design.Never)
		return nil
	}
	v, err := design.ReadDuration(string(text))
	if err != nil {
		return fmt.Errorf("%w, or none", err)
	}
	*d = restartDelay(v)
	return nil
}

// Run searches, prints the advice, and verifies it if Verify is set.
func (a *adviseCmd) Run(ctx context.Context, out output) error {
	q, source, err := a.question()
	if err != nil {
		return err
	}
	var engine *lab.Lab
	if a.Verify {
		if err := checkTrials(a.Seed, a.Repeats, a.Parallel); err != nil {
			return err
		}
		if engine, err = newLab(a.Counterd); err != nil {
			return err
		}
	}
	answer, err := a.search(ctx, out, q)
	if err != nil {
		return err
	}
	given := advice{question: q, source: source, answer: answer}
	if a.ServiceTime != nil {
		given.serviceTime = a.ServiceTime.text
	}
	switch err := given.print(out.stdout); {
	case err != nil:
		return err
	case !answer.Possible:
		return &exit{exitBelow, "no policy meets the goal"}
	case !a.Verify:
		return nil
	}
	return a.verify(ctx, out, engine, given)
}

// search answers the question.
func (a *adviseCmd) search(ctx context.Context, out output, q advise.Question) (*advise.Answer, error) {
	if !a.Quiet {
		line := newTerminalLine(out.stderr, "")
		line.draw("searching by simulation ...")
		defer line.clear()
	}
	ctx, searching := begin(ctx)
	answer, err := advise.Find(ctx, q)
	ended := ctx.Err() != nil
	searching.end(out)
	if ended {
		return nil, interrupted
	}
	return answer, err
}

// question returns the question that the flags ask, and where its other values come from.
func (a *adviseCmd) question() (q advise.Question, source string, err error) {
	q = advise.Question{
		Goal:     advise.Goal{Success: float64(a.Success), P99: time.Duration(a.P99)},
		Settings: design.Defaults(), Seed: uint64(a.Seed),
	}
	if q.Model, err = a.modelFlag.load(); err != nil {
		return q, "", err
	}
	if a.From != "" {
		if source, err = a.measure(&q); err != nil {
			return q, "", err
		}
	}
	switch {
	case a.Rate > 0 && a.Concurrency > 0:
		return q, "", &exit{exitUsage, fmt.Sprintf("--concurrency %d: not with --rate: want one of the two", a.Concurrency)}
	case a.From == "" && a.Rate == 0 && a.Concurrency == 0:
		return q, "", &exit{exitUsage, "no load: want --rate, --concurrency, or --from"}
	case a.Repeats > 0 && !a.Verify:
		return q, "", &exit{exitUsage, fmt.Sprintf("--repeats %d: want --verify with it", a.Repeats)}
	case a.Parallel > 0 && !a.Verify:
		return q, "", &exit{exitUsage, fmt.Sprintf("--parallel %d: want --verify with it", a.Parallel)}
	}
	a.override(&q.Settings)
	if a.Arrivals != nil && q.Settings.Rate == 0 {
		return q, "", &exit{exitUsage, fmt.Sprintf("--arrivals %v: want --rate with it", *a.Arrivals)}
	}
	text, _ := json.Marshal(q.Settings)
	if err := json.Unmarshal(text, new(design.Settings)); err != nil { // it checks each factor
		factor, rest, _ := strings.Cut(err.Error(), " ")
		return q, "", &exit{exitUsage, flagOf(factor) + " " + rest}
	}
	if err := q.Check(); err != nil {
		return q, "", &exit{exitUsage, err.Error()}
	}
	return q, source, nil
}

// override sets the factors that have a flag.
func (a *adviseCmd) override(s *design.Settings) {
	if a.Replicas != nil {
		s.Replicas = int(*a.Replicas)
	}
	if a.PCrash != nil {
		s.PCrash = float64(*a.PCrash)
	}
	if a.CrashPoint != nil {
		s.CrashPoint = *a.CrashPoint
	}
	if a.ServiceTime != nil {
		s.ServiceTime = a.ServiceTime.Distribution
	}
	if a.Capacity != nil {
		s.Capacity = int(*a.Capacity)
	}
	if a.RestartDelay != nil {
		s.RestartDelay = time.Duration(*a.RestartDelay)
	}
	if a.Rate > 0 {
		s.Rate = float64(a.Rate)
	}
	if a.Concurrency > 0 {
		s.Rate, s.Arrivals, s.Concurrency = 0, 0, int(a.Concurrency)
	}
	if a.Arrivals != nil {
		s.Arrivals = *a.Arrivals
	}
}

// measure fills in the cluster and the load from a run.
func (a *adviseCmd) measure(q *advise.Question) (source string, err error) {
	run, err := openRun(a.From)
	if err != nil {
		return "", err
	}
	load := a.Rate > 0 || a.Concurrency > 0
	for _, f := range []struct {
		factor string
		given  bool
	}{
		{"replicas", a.Replicas != nil}, {"p_crash", a.PCrash != nil}, {"crash_point", a.CrashPoint != nil},
		{"service_time", a.ServiceTime != nil}, {"capacity", a.Capacity != nil}, {"restart_delay", a.RestartDelay != nil},
		{"rate", load}, {"concurrency", load}, {"arrivals", load},
	} {
		if values := valuesOf(run.Manifest.Design.Cells, f.factor); len(values) > 1 && !f.given {
			return "", &exit{exitUsage, fmt.Sprintf("%s: its cells differ in %s (%s): want %s too", a.From, f.factor, strings.Join(values, ", "), flagOf(f.factor))}
		}
	}
	if len(run.Trials) == 0 {
		return "", &exit{exitUsage, a.From + ": no trial of the run has ended"}
	}
	if a.Model == "" {
		trip, err := simulate.RoundTrip(run)
		if err != nil {
			return "", &exit{exitUsage, fmt.Sprintf("%s: %v: want --model too", a.From, err)}
		}
		q.Model.RoundTrip = trip
	}
	found, err := advise.Measure(run, q.Model)
	if err != nil {
		return "", &exit{exitUsage, fmt.Sprintf("%s: %v", a.From, err)}
	}
	s := run.Manifest.Design.Cells[0].Settings
	s.PCrash, s.ServiceTime = found.PCrash, found.ServiceTime
	if found.Crashes > 0 {
		s.RestartDelay = found.RestartDelay
	}
	if found.Boot > 0 && a.Model == "" {
		q.Model.Boot.Median = simulate.Span(found.Boot)
	}
	q.Settings = s
	source = fmt.Sprintf("measured in %s: %d crashes in %s, %s,\nstart-up %v, round trip %v\n", a.From, found.Crashes,
		plural(found.Requests, "request"), plural(found.Answers, "answer"), rounded(time.Duration(q.Model.Boot.Median)), rounded(time.Duration(q.Model.RoundTrip.Median)))
	if found.Fitted {
		return source, nil
	}
	source += "no constant, uniform or exponential distribution fits the service times, so\nthe measured ones are used as they are\n"
	return source, nil
}

// valuesOf returns the different values of a factor in cells.
func valuesOf(cells []design.Cell, factor string) []string {
	var values []string
	seen := map[string]bool{}
	for _, c := range cells {
		if v, _ := c.Settings.Value(factor); !seen[v] {
			seen[v] = true
			values = append(values, v)
		}
	}
	return values
}

// flagOf returns the flag of a factor.
func flagOf(factor string) string { return "--" + strings.ReplaceAll(factor, "_", "-") }
