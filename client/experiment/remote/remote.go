// Package remote runs trials on a cluster that is already running, on one machine or many.
//
// Each trial begins with a restart of the replicas, since the luck of a request depends on its
// number at its process. A process gets the faults and the seed of the trial before its first
// request: no connection of the load is used until the process at its other end has them. Their
// supervisors report what happens to the processes. How their clocks are related to ours is
// estimated; the records have the estimate and its error. At the end everything is put back that
// was changed.
//
// Nobody else should call the replicas meanwhile: such calls would be counted, and the checks of
// the records find them.
package remote

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	faultv1 "example.com/crashlab/gen/fault/v1"
	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

// Engine is the engine of trials on a running cluster. Make it with [New]. It runs one trial at a
// time.
type Engine struct {
	target      cluster.Target
	credentials credentials.TransportCredentials
	cluster     *cluster.Cluster

	mu      sync.Mutex // held during a trial
	before  before
	scaled  bool // there are more replicas than before
	changed bool // they have other policies and faults
}

// before is what the cluster was like.
type before struct {
	group    string
	replicas int
	policies map[*cluster.Supervisor]*supervisorv1.Policy
	faults   map[string]*faultv1.Faults // by replica
}

// Refused is an error for a design that the cluster cannot run.
type Refused struct {
	Cell   string // the title of the first cell that it cannot run
	Factor string
	Value  string
	Why    string // what the cluster can do
}

// Error is one line.
func (r *Refused) Error() string {
	return fmt.Sprintf("cell %q: %s %s: %s", r.Cell, r.Factor, r.Value, r.Why)
}

func refuse(c design.Cell, factor, format string, args ...any) error {
	value, _ := c.Settings.Value(factor)
	return &Refused{c.Title(), factor, value, fmt.Sprintf(format, args...)}
}

// New returns the engine of trials on a cluster. Nil credentials: the connections are not secured.
func New(t cluster.Target, c credentials.TransportCredentials) *Engine {
	if c == nil {
		c = insecure.NewCredentials()
	}
	return &Engine{target: t, credentials: c}
}

// Prepare is part of trials.Preparer. It connects to the cluster, whose replicas must all be ready,
// and finds out whether it can run the design: if it cannot, the error is a [*Refused]. Nothing is
// changed yet but the number of replicas, where cells need more than there are.
func (e *Engine) Prepare(ctx context.Context, d *design.Design) error {
	var err error
	if e.cluster, err = cluster.Connect(ctx, e.target, e.credentials); err != nil {
		return err
	}
	if err = e.prepare(ctx, d); err != nil {
		return and(err, e.Close(ctx))
	}
	return nil
}

// and joins two errors in one line; the second one may be nil.
func and(err, other error) error {
	if err == nil || other == nil {
		return cmp.Or(err, other)
	}
	return fmt.Errorf("%w; and %w", err, other)
}

// Name is part of trials.Engine.
func (*Engine) Name() string { return record.EngineCluster }

// prepare makes sure that the cluster can run the design.
func (e *Engine) prepare(ctx context.Context, d *design.Design) error {
	if err := e.awaitReady(ctx); err != nil {
		return err
	}
	if err := e.look(ctx, d.Cells[0]); err != nil {
		return err
	}
	for _, c := range d.Cells {
		if err := e.check(c); err != nil {
			return err
		}
	}
	most := slices.MaxFunc(d.Cells, func(a, b design.Cell) int { return a.Settings.Replicas - b.Settings.Replicas })
	if most.Settings.Replicas <= e.before.replicas {
		return nil
	}
	e.scaled = true
	if err := e.scale(ctx, most.Settings.Replicas); err != nil {
		return refuse(most, "replicas", "the cluster has %d, and more are refused: %v", e.before.replicas, err)
	}
	return e.awaitReady(ctx)
}

// look takes note of what the cluster is like.
func (e *Engine) look(ctx context.Context, first design.Cell) error {
	e.before = before{
		group: e.cluster.Replicas[0].Status.GetGroup(), replicas: len(e.cluster.Replicas),
		policies: map[*cluster.Supervisor]*supervisorv1.Policy{}, faults: map[string]*faultv1.Faults{},
	}
	for _, r := range e.cluster.Replicas {
		e.before.policies[r.Supervisor] = r.Status.GetPolicy()
		faults, err := e.cluster.Faults(ctx, r)
		if err != nil {
			return refuse(first, "p_crash", "it is set through fault.v1.Fault, which replica %s does not serve at %s: %s",
				r.Name, r.FaultAddr, status.Convert(err).Message())
		}
		e.before.faults[r.Name] = faults
	}
	return nil
}

// check returns why the cluster cannot run a cell. More replicas on a single machine are left to
// Scale.
func (e *Engine) check(c design.Cell) error {
	if n := len(e.cluster.Supervisors); c.Settings.Replicas > e.before.replicas && n > 1 {
		return refuse(c, "replicas", "the cluster has %d, under %d supervisors, and only a single one can be told to scale", e.before.replicas, n)
	}
	for _, r := range e.cluster.Replicas {
		switch f := e.before.faults[r.Name]; {
		case f.GetPlan() == nil:
			return refuse(c, "p_crash", "replica %s cannot be given a seed: want a counterd of the version of crashlab", r.Name)
		case int(f.GetCapacity()) != c.Settings.Capacity:
			return refuse(c, "capacity", "replica %s has %d, which nothing can change while it runs", r.Name, f.GetCapacity())
		}
	}
	return nil
}

// Close is part of trials.Preparer. It puts back what was changed, also when ctx has ended, and
// closes the connections. The error says why something could not be put back.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := e.restore(context.WithoutCancel(ctx))
	if err != nil {
		err = fmt.Errorf("the cluster was not put back as it was: %w; supervisor ctl reload, and restart --all, make it what its cluster file says", err)
	}
	return and(err, e.cluster.Close())
}

func (e *Engine) restore(ctx context.Context) error {
	steps := []func() error{}
	if e.changed {
		steps = append(steps, func() error { return e.stop(ctx) }, func() error { return e.setPolicies(ctx, e.before.policies) })
	}
	if e.scaled {
		steps = append(steps, func() error { return e.scale(ctx, e.before.replicas) })
	}
	if e.changed {
		steps = append(steps, func() error { return e.start(ctx, e.cluster.Replicas) }, func() error { return e.awaitReady(ctx) },
			func() error { return e.restoreFaults(ctx) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// restoreFaults sets faults that had been set before: those of the command line the processes have
// by themselves.
func (e *Engine) restoreFaults(ctx context.Context) error {
	for _, r := range e.cluster.Replicas {
		if err := e.restoreFaultsOf(ctx, r); err != nil {
			return fmt.Errorf("faults of replica %s: %s", r.Name, status.Convert(err).Message())
		}
	}
	return nil
}

func (e *Engine) restoreFaultsOf(ctx context.Context, r cluster.Replica) error {
	was, known := e.before.faults[r.Name]
	now, err := e.cluster.Faults(ctx, r)
	if err != nil || !known { // somebody has added it meanwhile
		return err
	}
	now.Plan = was.GetPlan() // it was drawn by the process, unless it is on the command line
	if proto.Equal(was, now) {
		return nil
	}
	_, err = e.cluster.SetFaults(ctx, r, &faultv1.SetRequest{
		CrashProbability: &was.CrashProbability, CrashPoint: was.CrashPoint, ServiceTime: &was.ServiceTime, Hang: &was.Hang,
		ErrorProbability: &was.ErrorProbability, ErrorCode: &was.ErrorCode,
	})
	return err
}
