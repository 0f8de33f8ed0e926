package lab

import (
	"context"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
)

// Trial implements trials.Engine: it runs a trial on a cluster of its own, and no process is left
// when it returns.
func (l *Lab) Trial(ctx context.Context, d *design.Design, t design.Trial, watch trials.Watch) (record.TrialRecords, error) {
	c, err := startCluster(ctx, l.Counterd, l.Guardian, d.Cells[t.Cell].Settings, t.Seed)
	if err != nil {
		return record.TrialRecords{}, err
	}
	return c.trial(ctx, d, t, watch)
}

// trial runs a trial on the cluster, then ends the cluster.
func (c *cluster) trial(ctx context.Context, d *design.Design, t design.Trial, watch trials.Watch) (record.TrialRecords, error) {
	target := trials.Cluster{Addrs: c.addrs, Options: insecureOptions, Up: c.up, Signal: c.supervisor.Signal}
	load, err := target.Load(ctx, d, t, watch)
	c.end()
	if err != nil {
		return record.TrialRecords{}, err
	}
	return load.Records(c.history()), nil
}
