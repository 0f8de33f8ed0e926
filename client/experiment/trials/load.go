package trials

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
	counterv1 "example.com/crashlab/gen/counter/v1"
)

// connectTimeout is for what takes a few ms on an idle machine.
const connectTimeout = 30 * time.Second

// Cluster is the replicas that the load of a trial goes to.
type Cluster struct {
	// Addrs are where the replicas a, b, ... are reached.
	Addrs []string
	// Options are those of the connections to them.
	Options []grpc.DialOption
	// Up returns for each replica whether it is ready.
	Up func() []bool
	// Signal sends a signal to the processes of replicas, all of them without names.
	Signal func(s syscall.Signal, replicas ...string) error
	// Rename returns the name and the incarnation that the records have of what a reply names so.
	// Nil: they are the same.
	Rename func(replica string, incarnation int) (string, int)
}

// Load is the load of a trial after its end.
type Load struct {
	trial record.Trial
	calls []workload.Record
}

// NewLoad returns a load that was made elsewhere, for its records: its calls in the order in which
// they ended.
func NewLoad(t record.Trial, calls []workload.Record) *Load { return &Load{t, calls} }

// Load makes the load of a trial, once there is a connection to each replica, and does meanwhile
// what the schedule of the design says. The error says why there was no load.
func (c *Cluster) Load(ctx context.Context, d *design.Design, t design.Trial, watch Watch) (*Load, error) {
	s := d.Cells[t.Cell].Settings
	conn, err := c.dial(ctx, s.Policy())
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if watch.Begin != nil {
		watch.Begin(c.Up)
	}
	l := &Load{trial: record.Trial{Trial: t, Addrs: map[string]string{}}}
	for i, addr := range c.Addrs {
		l.trial.Addrs[design.ReplicaName(i)] = addr
	}
	disturbing, endDisturbances := context.WithCancel(ctx)
	var disturbed sync.WaitGroup
	began := time.Now()
	disturbed.Go(func() { c.disturb(disturbing, began, d.Schedule) })
	var calls workload.Records
	pace := s.Plan(t.Seed).Run(ctx, c.caller(conn, s.Deadline), func(r workload.Record) {
		calls.Add(r)
		if watch.Call != nil {
			watch.Call(r)
		}
	})
	l.trial.Began, l.trial.Took = began, time.Since(began)
	l.trial.Late, l.trial.Interrupted = pace.Late, pace.Interrupted
	endDisturbances()
	disturbed.Wait()
	l.calls = calls.All()
	return l, nil
}

// Records returns the records of the trial. The events are all that happened to the replicas, up to
// their end; their order is that of their times in the records.
func (l *Load) Records(events []Event) record.TrialRecords {
	seen := record.TrialRecords{Trial: l.trial, Events: l.history(events)}
	seen.Calls = recordCalls(l.trial.Number, l.trial.Began, l.calls, l.replica, launches(seen.Events))
	return seen
}

// replica returns the name of the replica at an address.
func (l *Load) replica(addr string) string {
	for name, of := range l.trial.Addrs {
		if of == addr {
			return name
		}
	}
	return addr
}

// dial returns a connection to the replicas, once it has one to each.
func (c *Cluster) dial(ctx context.Context, policy failover.Policy) (*failover.Client, error) {
	ready := make(chan struct{})
	up := map[string]bool{}
	var failure atomic.Pointer[failover.ReplicaEvent] // the latest dial that failed
	policy.OnReplica = func(e failover.ReplicaEvent) {
		if e.Err != nil {
			failure.Store(&e)
		}
		if e.State == failover.ReplicaReady && !up[e.Replica] && len(up) < len(c.Addrs) {
			if up[e.Replica] = true; len(up) == len(c.Addrs) {
				close(ready)
			}
		}
	}
	conn, err := failover.NewClient("static:///"+strings.Join(c.Addrs, ","), policy, c.Options...)
	if err != nil {
		return nil, err
	}
	conn.Connect()
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	select {
	case <-ready:
		return conn, nil
	case <-ctx.Done():
		conn.Close()
		if e := failure.Load(); e != nil {
			return nil, fmt.Errorf("no connection to every replica: %w: %s: %w", ctx.Err(), e.Replica, e.Err)
		}
		return nil, fmt.Errorf("no connection to every replica: %w", ctx.Err())
	}
}

// disturb does what the schedule says of a load that began then, until ctx ends.
func (c *Cluster) disturb(ctx context.Context, began time.Time, schedule []design.Disturbance) {
	for _, d := range schedule {
		timer := time.NewTimer(time.Until(began.Add(d.At)))
		select {
		case <-timer.C:
			// The error says that some are down; those it finds get the signal.
			_ = c.Signal(d.Signal, d.Replicas...)
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// caller returns what makes one call of the load.
func (c *Cluster) caller(conn grpc.ClientConnInterface, deadline time.Duration) func(context.Context, int) (workload.Reply, error) {
	get := Caller(conn, deadline)
	if c.Rename == nil {
		return get
	}
	return func(ctx context.Context, n int) (workload.Reply, error) {
		reply, err := get(ctx, n)
		if err == nil {
			reply.Replica, reply.Incarnation = c.Rename(reply.Replica, reply.Incarnation)
		}
		return reply, err
	}
}

// Caller returns what makes one call of a load, with a deadline if it is not zero.
func Caller(conn grpc.ClientConnInterface, deadline time.Duration) func(context.Context, int) (workload.Reply, error) {
	counter := counterv1.NewCounterClient(conn)
	return func(ctx context.Context, _ int) (workload.Reply, error) {
		if deadline > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, deadline)
			defer cancel()
		}
		var reply workload.Reply
		got, err := counter.Get(ctx, new(counterv1.GetRequest), failover.Trace(&reply.Attempts))
		if err == nil {
			reply.Value, reply.Replica, reply.Incarnation = got.Value, got.Replica, int(got.Incarnation)
		}
		return reply, err
	}
}
