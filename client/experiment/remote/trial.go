package remote

import (
	"context"
	"slices"
	"syscall"

	"google.golang.org/grpc"

	"example.com/crashlab/client/cluster"
	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	faultv1 "example.com/crashlab/gen/fault/v1"
	supervisorv1 "example.com/crashlab/gen/supervisor/v1"
)

// trial is a trial on the first replicas of the cluster, whose names in the records are a, b, ...
type trial struct {
	engine   *Engine
	replicas []cluster.Replica
	history  *history
}

// Trial implements trials.Engine.
func (e *Engine) Trial(ctx context.Context, d *design.Design, t design.Trial, watch trials.Watch) (record.TrialRecords, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.changed = true
	s := d.Cells[t.Cell].Settings
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	r := &trial{engine: e, replicas: e.cluster.Replicas[:s.Replicas]}
	if err := r.begin(ctx, s, giveUp); err != nil {
		return record.TrialRecords{}, err
	}
	load, err := r.target(s, t.Seed).Load(ctx, d, t, watch)
	events, remote, ended := r.end(context.WithoutCancel(ctx))
	for _, err := range []error{r.history.failed(), err, ended} {
		if err != nil {
			return record.TrialRecords{}, err
		}
	}
	seen := load.Records(events)
	seen.Remote = remote
	return seen, nil
}

// begin relaunches the replicas under the policy of the cell and returns when all are ready. If a
// supervisor's stream of events breaks during the trial, giveUp is called.
func (r *trial) begin(ctx context.Context, s design.Settings, giveUp context.CancelFunc) error {
	e := r.engine
	if err := e.stop(ctx); err != nil {
		return err
	}
	policies := map[*cluster.Supervisor]*supervisorv1.Policy{}
	for _, one := range e.cluster.Supervisors {
		policies[one] = policy(s)
	}
	if err := e.setPolicies(ctx, policies); err != nil {
		return err
	}
	r.history = newHistory(r.replicas, giveUp)
	err := r.history.begin(ctx)
	if err == nil {
		err = e.start(ctx, r.replicas)
	}
	if err == nil {
		err = r.history.awaitReady(ctx)
	}
	if err != nil {
		r.history.end()
	}
	return err
}

// end stops the replicas and returns what history.finish does.
func (r *trial) end(ctx context.Context) ([]trials.Event, map[string]record.Remote, error) {
	defer r.history.end()
	if err := r.engine.stop(ctx); err != nil {
		return nil, nil, err
	}
	if err := r.history.awaitEnd(ctx); err != nil {
		return nil, nil, err
	}
	return r.history.finish(ctx)
}

// target returns the cluster as the load sees it.
func (r *trial) target(s design.Settings, seed uint64) *trials.Cluster {
	replicas, faults := map[string]cluster.Replica{}, map[string]*faultv1.SetRequest{} // by address
	set := func(ctx context.Context, addr string) error {
		_, err := r.engine.cluster.SetFaults(ctx, replicas[addr], faults[addr])
		return err
	}
	c := &trials.Cluster{
		Up: r.history.up, Rename: r.history.rename, Signal: r.signal,
		Options: []grpc.DialOption{grpc.WithTransportCredentials(r.engine.credentials), grpc.WithContextDialer(cluster.DialAfter(set))},
	}
	for i, one := range r.replicas {
		c.Addrs = append(c.Addrs, one.Addr)
		replicas[one.Addr] = one
		faults[one.Addr] = &faultv1.SetRequest{
			CrashProbability: &s.PCrash, CrashPoint: s.CrashPoint.Message(), ServiceTime: new(s.ServiceTime.String()), Hang: new(false), ErrorProbability: new(0.0),
			Plan: &faultv1.Plan{Seed: seed, Replica: design.ReplicaName(i), FirstIncarnation: uint64(r.history.first(i))},
		}
	}
	c.Options = append(c.Options, r.replicas[0].Supervisor.Authority()...)
	return c
}

// signal is the field Signal of trials.Cluster.
func (r *trial) signal(s syscall.Signal, names ...string) error {
	var replicas []cluster.Replica
	for i, one := range r.replicas {
		if len(names) == 0 || slices.Contains(names, design.ReplicaName(i)) {
			replicas = append(replicas, one)
		}
	}
	return r.engine.command(context.Background(), replicas, func(ctx context.Context, of *cluster.Supervisor, names []string) error {
		_, err := of.Signal(ctx, &supervisorv1.SignalRequest{Names: names, Signal: signals[s]})
		return err
	})
}

// signals has the signals that a schedule may send.
var signals = map[syscall.Signal]supervisorv1.Signal{
	syscall.SIGSTOP: supervisorv1.Signal_SIGNAL_STOP, syscall.SIGCONT: supervisorv1.Signal_SIGNAL_CONT,
	syscall.SIGKILL: supervisorv1.Signal_SIGNAL_KILL, syscall.SIGTERM: supervisorv1.Signal_SIGNAL_TERM,
}
