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

// connectTimeout is generous: connecting takes a few milliseconds on an idle machine.
const connectTimeout = 30 * time.Second

// Cluster describes the replicas that a trial's load calls.
type Cluster struct {
	// Addrs are the addresses of the replicas a, b, ..., in that order.
	Addrs []string
	// Options are the dial options of the connections to the replicas.
	Options []grpc.DialOption
	// Up reports for each replica whether it is ready.
	Up func() []bool
	// Signal sends a signal to the processes of the named replicas, or of all replicas if none are
	// named.
	Signal func(s syscall.Signal, replicas ...string) error
	// Rename maps the replica and incarnation that a reply names to those of the records. If nil,
	// they are the same.
	Rename func(replica string, incarnation int) (string, int)
}

// Load is the completed load of a trial.
type Load struct {
	trial record.Trial
	calls []workload.Record
}

// NewLoad returns a load that an engine made by other means than Cluster.Load. The calls must be in
// the order in which they ended.
func NewLoad(t record.Trial, calls []workload.Record) *Load { return &Load{t, calls} }

// Load connects to every replica, then makes the calls of a trial while it carries out the design's
// schedule. It returns an error only if it could not connect.
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

// Records returns the records of the trial. The events must cover the replicas from their launch to
// their end, in any order; the records have them in order of time.
func (l *Load) Records(events []Event) record.TrialRecords {
	seen := record.TrialRecords{Trial: l.trial, Events: l.history(events)}
	seen.Calls = recordCalls(l.trial.Number, l.trial.Began, l.calls, l.replica, launches(seen.Events))
	return seen
}

// replica returns the name of the replica at an address, or the address if it has none.
func (l *Load) replica(addr string) string {
	for name, of := range l.trial.Addrs {
		if of == addr {
			return name
		}
	}
	return addr
}

// dial returns a client that is connected to every replica.
func (c *Cluster) dial(ctx context.Context, policy failover.Policy) (*failover.Client, error) {
	ready := make(chan struct{})
	up := map[string]bool{}
	var failure atomic.Pointer[failover.ReplicaEvent] // the latest failed dial
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

// disturb carries out the schedule of a load that began at the given time, until ctx ends.
func (c *Cluster) disturb(ctx context.Context, began time.Time, schedule []design.Disturbance) {
	for _, d := range schedule {
		timer := time.NewTimer(time.Until(began.Add(d.At)))
		select {
		case <-timer.C:
			// An error means that some replicas are down; the others get the signal.
			_ = c.Signal(d.Signal, d.Replicas...)
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// caller returns the function that makes one call of the load.
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

// Caller returns a function that makes one call of a load through conn, within the deadline; zero
// means no deadline. The function's int argument, the number of the call, is not used.
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
