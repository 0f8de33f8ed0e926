package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/simulate"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/report"
	"example.com/crashlab/client/stats"
)

type calibrateCmd struct {
	From     string `group:"Measurement" placeholder:"RUN" help:"Take the delays from the records of a run, instead of a small cluster. Records have no dials; those keep their default delays."`
	Counterd string `group:"Measurement" placeholder:"PROGRAM" help:"Program of a replica. (default: counterd beside crashlab, else in PATH)"`
	Model    string `group:"Output" placeholder:"FILE" help:"Where to save the model. (default: crashlab/model.json in the user's configuration directory, where predictions look for it)"`
}

// Help shows examples.
func (calibrateCmd) Help() string {
	return `Examples:

    crashlab calibrate
    crashlab calibrate --from runs/latest --model model.json`
}

// Run measures the delays of this machine that a simulation needs, prints and saves them.
func (c *calibrateCmd) Run(ctx context.Context, out output) error {
	path := c.Model
	if path == "" {
		var err error
		if path, err = simulate.ModelFile(); err != nil {
			return &exit{exitUsage, fmt.Sprintf("no folder for the model: %v; want --model FILE", err)}
		}
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return &exit{exitUsage, fmt.Sprintf("--model %q: want a regular file, or a path where there is none", path)}
	}
	measured, err := c.measure(ctx, out)
	if err != nil {
		return err
	}
	if err := measured.Save(path); err != nil {
		return err
	}
	if err := printCalibration(out, measured); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out.stdout, path)
	return err
}

func (c *calibrateCmd) measure(ctx context.Context, out output) (simulate.Model, error) {
	if c.From != "" {
		return c.fromRun()
	}
	return c.fromCluster(ctx, out)
}

func (c *calibrateCmd) fromRun() (simulate.Model, error) {
	run, err := openRun(c.From)
	if err != nil {
		return simulate.Model{}, err
	}
	measured, err := simulate.Calibrate(run)
	if err != nil {
		return simulate.Model{}, &exit{exitUsage, err.Error()}
	}
	return measured, nil
}

const (
	calibrationCalls   = 150 // about 60 of them crash a replica
	calibrationCrashes = 20  // for the dials
)

func (c *calibrateCmd) fromCluster(ctx context.Context, out output) (measured simulate.Model, err error) {
	l, err := newLab(c.Counterd)
	if err != nil {
		return measured, err
	}
	ctx, running := begin(ctx)
	defer running.end(out)
	d := calibrationDesign()
	seen, err := l.Trial(ctx, d, d.Trials()[0], trials.Watch{})
	if err == nil && !seen.Interrupted {
		measured, err = simulate.Calibrate(&record.Run{
			Dir: "the calibration", Manifest: record.Manifest{Engine: l.Name(), Design: d}, Trials: []record.TrialRecords{seen},
		})
	}
	if err != nil || seen.Interrupted {
		return measured, orInterrupted(ctx, err)
	}
	connected, refused, err := l.Dials(ctx, calibrationCrashes)
	measured.SetDials(connected, refused)
	return measured, orInterrupted(ctx, err)
}

// orInterrupted returns err, or interrupted if Ctrl-C has ended ctx.
func orInterrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return interrupted
	}
	return err
}

// calibrationDesign has one caller and one replica that crashes often, so that no two delays
// overlap. The service times are short but not zero, because the lateness of timers is part of a
// request's duration.
func calibrationDesign() *design.Design {
	s := design.Defaults()
	s.Replicas, s.PCrash, s.RestartDelay, s.Concurrency, s.Calls = 1, 0.3, 0, 1, calibrationCalls
	s.WhenDown, s.Rounds, s.Timeout, s.Pause = failover.WhenDownWait, 1000, 0, 0
	if err := s.ServiceTime.UnmarshalText([]byte("uniform:2ms:6ms")); err != nil {
		panic(err)
	}
	return &design.Design{Name: "calibration", Seed: 1, Repeats: 1, Parallel: 1, Cells: []design.Cell{{Settings: s}}}
}

func printCalibration(out output, c simulate.Model) error {
	w := tabwriter.NewWriter(out.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TIME\tMEDIAN\t95% INTERVAL\tMEASURED")
	for _, p := range []struct {
		name string
		simulate.Measurement
	}{
		{"round trip, without the service time", c.RoundTrip},
		{"dial that connects", c.Connect},
		{"dial that is refused", c.Refuse},
		{"crash until the client notices", c.Notice},
		{"crash to relaunch, without the delay", c.Relaunch},
		{"launch until the replica listens", c.Boot},
	} {
		times := fmt.Sprint(int(p.N))
		if p.N == 0 {
			times = "no, default"
		}
		median := report.Figures(map[design.Metric]stats.Interval{design.P50: {
			Estimate: time.Duration(p.Median).Seconds(), Low: time.Duration(p.Low).Seconds(), High: time.Duration(p.High).Seconds(),
		}}, design.P50)[design.P50]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.name, median.Estimate, median.Bounds, times)
	}
	return w.Flush()
}
