package lab

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"example.com/crashlab/client/experiment/design"
	"example.com/crashlab/client/experiment/record"
	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
	counterv1 "example.com/crashlab/gen/counter/v1"
	"example.com/crashlab/supervisor/event"
)

// Trial runs one trial on a cluster of its own. What it saw is returned also when ctx ended it.
func (l *Lab) Trial(ctx context.Context, d *design.Design, t design.Trial, watch trials.Watch) (record.TrialRecords, error) {
	c, err := startCluster(ctx, l.Counterd, l.Guardian, d.Cells[t.Cell].Settings, t.Seed)
	if err != nil {
		return record.TrialRecords{}, err
	}
	return c.trial(ctx, d, t, watch)
}

// trial runs one trial, and ends the cluster.
func (c *cluster) trial(ctx context.Context, d *design.Design, t design.Trial, watch trials.Watch) (record.TrialRecords, error) {
	s := d.Cells[t.Cell].Settings
	conn, err := dial(ctx, s.Policy(), c.addrs)
	if err != nil {
		c.end()
		return record.TrialRecords{}, err
	}
	if watch.Begin != nil {
		watch.Begin(c.up)
	}
	seen := record.TrialRecords{Trial: record.Trial{Trial: t, Addrs: map[string]string{}}}
	for i, addr := range c.addrs {
		seen.Addrs[design.ReplicaName(i)] = addr
	}

	disturbing, endDisturbances := context.WithCancel(ctx)
	var disturbed sync.WaitGroup
	began := time.Now()
	disturbed.Go(func() { c.disturb(disturbing, began, d.Schedule) })
	var calls workload.Records
	pace := s.Plan(t.Seed).Run(ctx, caller(conn, s.Deadline), func(r workload.Record) {
		calls.Add(r)
		if watch.Call != nil {
			watch.Call(r)
		}
	})
	seen.Began, seen.Took = began, time.Since(began)
	seen.Late, seen.Interrupted = pace.Late, pace.Interrupted
	endDisturbances()
	disturbed.Wait()
	conn.Close()
	c.end()

	seen.Events = c.history(t.Number, began)
	seen.Calls = recordCalls(t.Number, began, calls.All(), c.replica, launches(seen.Events))
	return seen, nil
}

// dial returns a connection to the replicas, once it has one to each.
func dial(ctx context.Context, policy failover.Policy, addrs []string) (*failover.Client, error) {
	ready := make(chan struct{})
	up := map[string]bool{}
	policy.OnReplica = func(e failover.ReplicaEvent) {
		if e.State == failover.ReplicaReady && !up[e.Replica] && len(up) < len(addrs) {
			if up[e.Replica] = true; len(up) == len(addrs) {
				close(ready)
			}
		}
	}
	conn, err := failover.NewClient("static:///"+strings.Join(addrs, ","), policy, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	conn.Connect()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-ready:
		return conn, nil
	case <-ctx.Done():
		conn.Close()
		return nil, fmt.Errorf("no connection to every replica: %w", ctx.Err())
	}
}

// caller returns what makes one call of the load.
func caller(conn grpc.ClientConnInterface, deadline time.Duration) func(context.Context, int) (workload.Reply, error) {
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

// launched is the beginning of an incarnation.
type launched struct {
	at          time.Duration
	incarnation int
}

// launches returns the launches of each replica, in order.
func launches(events []record.Event) map[string][]launched {
	all := map[string][]launched{}
	for _, e := range events {
		if p := e.Process; p != nil && p.Kind == event.KindLaunched {
			all[p.Replica] = append(all[p.Replica], launched{e.At, p.Incarnation})
		}
	}
	return all
}

// recordCalls returns the calls as the files have them.
func recordCalls(trial int, began time.Time, calls []workload.Record, replica func(addr string) string, launches map[string][]launched) []record.Call {
	all := make([]record.Call, len(calls))
	for i, r := range calls {
		all[i] = record.Call{
			Trial: trial, Number: r.Call, Intended: r.Intended.Sub(began), Start: r.Start.Sub(began), Duration: r.Duration,
			Result: result(r), Warmup: r.Warmup, Reason: reason(r.Err), Code: status.Code(r.Err),
			Replica: r.Replica, Incarnation: r.Incarnation, Value: r.Value, Attempts: make([]record.Attempt, len(r.Attempts)),
		}
		for j, a := range r.Attempts {
			attempt := record.Attempt{
				Number: a.Number, Round: a.Round, Replica: replica(a.Replica), Start: a.Start.Sub(began), Duration: a.Duration,
				Outcome: a.Outcome, Sent: a.Sent, Hedge: a.Hedge, Code: a.Code(),
			}
			attempt.Incarnation = latest(launches[attempt.Replica], attempt.Start)
			if a.Outcome == failover.OutcomeOK && attempt.Replica == r.Replica { // the other one of a hedged call may be OK too
				attempt.Incarnation = r.Incarnation
			}
			all[i].Attempts[j] = attempt
		}
	}
	return all
}

// latest returns the incarnation that was launched last before a time; zero for none.
func latest(launches []launched, at time.Duration) int {
	n := sort.Search(len(launches), func(i int) bool { return launches[i].at > at })
	if n == 0 {
		return 0
	}
	return launches[n-1].incarnation
}

func result(r workload.Record) record.Result {
	switch {
	case r.Interrupted:
		return record.Interrupted
	case r.Err != nil:
		return record.Failed
	default:
		return record.OK
	}
}

// reason is why a call failed, in failover's words; empty when it did not.
func reason(err error) string {
	if err == nil {
		return ""
	}
	if failed, ok := errors.AsType[*failover.Error](err); ok {
		return failed.Reason.String()
	}
	return status.Code(err).String()
}
