// Package remote is the engine that runs trials on a cluster that is already running, on one
// machine or many. Use it when the network between client and replicas should count; to experiment
// on one machine, package lab needs no setup.
//
// Each trial begins with a restart of the replicas, because whether a request crashes depends on
// its number within its process. A process gets the faults and the seed of the trial before its
// first request: no connection of the load is used until the process at its other end has them. The
// supervisors report the processes' events. The engine estimates the offset of their clocks, and
// the records have the estimate and its error. After the run the engine restores everything that it
// has changed.
//
// Nothing else should call the replicas during a run: the replicas would count such calls, and the
// checks of the records would fail.
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

// Engine is an engine for package trials that runs trials on a running cluster, one at a time.
// [New] creates one.
type Engine struct {
	target      cluster.Target
	credentials credentials.TransportCredentials
	cluster     *cluster.Cluster

	mu      sync.Mutex // held during a trial
	before  snapshot
	scaled  bool // the run has added replicas
	changed bool // the run has changed policies and faults
}

// snapshot is the state of the cluster before the run.
type snapshot struct {
	group    string
	replicas int
	policies map[*cluster.Supervisor]*supervisorv1.Policy
	faults   map[string]*faultv1.Faults // by replica
}

// Refused is the error for a design that the cluster cannot run.
type Refused struct {
	Cell   string // title of the first cell that the cluster cannot run
	Factor string // factor that it cannot set, such as replicas
	Value  string // value of that factor in the cell
	Why    string // what the cluster can do instead
}

// Error returns the refusal in one line.
func (r *Refused) Error() string {
	return fmt.Sprintf("cell %q: %s %s: %s", r.Cell, r.Factor, r.Value, r.Why)
}

func refuse(c design.Cell, factor, format string, args ...any) error {
	value, _ := c.Settings.Value(factor)
	return &Refused{c.Title(), factor, value, fmt.Sprintf(format, args...)}
}

// New returns an engine for the cluster at t. If c is nil, connections do not use TLS. New does not
// connect; Prepare does.
func New(t cluster.Target, c credentials.TransportCredentials) *Engine {
	if c == nil {
		c = insecure.NewCredentials()
	}
	return &Engine{target: t, credentials: c}
}

// Prepare implements trials.Preparer. It connects to the cluster, whose replicas must all be ready,
// and checks that it can run the design; if it cannot, the error is a [*Refused]. If a cell needs
// more replicas than there are, Prepare adds them; it changes nothing else.
func (e *Engine) Prepare(ctx context.Context, d *design.Design) error {
	var err error
	if e.cluster, err = cluster.Connect(ctx, e.target, e.credentials); err != nil {
		return err
	}
	if err = e.prepare(ctx, d); err != nil {
		return joinLine(err, e.Close(ctx))
	}
	return nil
}

// joinLine joins two errors in one line. Either may be nil.
func joinLine(err, other error) error {
	if err == nil || other == nil {
		return cmp.Or(err, other)
	}
	return fmt.Errorf("%w; and %w", err, other)
}

// Name implements trials.Engine.
func (*Engine) Name() string { return record.EngineCluster }

// prepare checks that the cluster can run the design, and adds replicas where needed.
func (e *Engine) prepare(ctx context.Context, d *design.Design) error {
	if err := e.awaitReady(ctx); err != nil {
		return err
	}
	if err := e.takeSnapshot(ctx, d.Cells[0]); err != nil {
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

// takeSnapshot stores the state of the cluster in e.before.
func (e *Engine) takeSnapshot(ctx context.Context, first design.Cell) error {
	e.before = snapshot{
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

// check returns an error if the cluster cannot run a cell. It accepts any number of replicas under
// a single supervisor, which can add them.
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

// Close implements trials.Preparer. It restores what the run has changed, even if ctx has ended,
// and closes the connections. It returns an error if something could not be restored.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := e.restore(context.WithoutCancel(ctx))
	if err != nil {
		err = fmt.Errorf("the cluster was not put back as it was: %w; supervisor ctl reload, and restart --all, make it what its cluster file says", err)
	}
	return joinLine(err, e.cluster.Close())
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

// restoreFaults sets the faults that had been set at run time before. Relaunched processes have
// those of their command line by themselves.
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
	if err != nil || !known { // unknown: another client has added the replica during the run
		return err
	}
	now.Plan = was.GetPlan() // each process draws its own plan unless the command line sets it
	if proto.Equal(was, now) {
		return nil
	}
	_, err = e.cluster.SetFaults(ctx, r, &faultv1.SetRequest{
		CrashProbability: &was.CrashProbability, CrashPoint: was.CrashPoint, ServiceTime: &was.ServiceTime, Hang: &was.Hang,
		ErrorProbability: &was.ErrorProbability, ErrorCode: &was.ErrorCode,
	})
	return err
}
