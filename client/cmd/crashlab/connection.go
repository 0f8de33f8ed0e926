package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/failover"
	"example.com/crashlab/client/workload"
	"example.com/crashlab/supervisor/transport"
)

// settleTime bounds the wait for the first dial of every replica, so that a run does not depend on
// which connection happened to be established first.
const settleTime = time.Second

// askPeriod is how often connections are requested: a request is remembered for one second.
const askPeriod = 500 * time.Millisecond

// patience is how long a load goes on while no replica can be reached. It outlasts the usual
// restart delays, after which crashed replicas are back.
const patience = 2 * time.Second

// connection holds the flags of commands that call the replicas.
type connection struct {
	policy
	Target           target   `group:"Connections" default:"static:///127.0.0.1:7101,127.0.0.1:7102,127.0.0.1:7103" placeholder:"TARGET" help:"The replicas: HOST:PORT,HOST:PORT or any gRPC target, such as dns:///NAME:PORT. (default: 127.0.0.1, ports 7101 to 7103)"`
	Wait             duration `group:"Connections" default:"0s" placeholder:"DURATION" help:"Wait up to this long until every replica is ready; with 0s, up to a second until each has been dialed once. (default: 0s)"`
	transport.Client `group:"TLS"`
}

// client is a connection to the counter service, and what is known about its replicas.
type client struct {
	conn     *failover.Client
	get      func(context.Context, int) (workload.Reply, error)
	target   target
	replicas *replicaWatch
}

// dial returns a client after it has dialed every replica once, or if Wait is set, when all are
// ready.
func (c connection) dial(ctx context.Context, creds credentials.TransportCredentials) (*client, error) {
	watch := newReplicaWatch()
	policy := c.policy.failover()
	policy.OnReplica = watch.note
	conn, err := failover.NewClient(string(c.Target), policy, grpc.WithTransportCredentials(creds))
	if err != nil {
		return nil, &exit{exitUsage, "--target " + strings.TrimPrefix(err.Error(), "failover: target ")}
	}
	if err := c.settle(ctx, conn, watch); err != nil {
		conn.Close()
		return nil, err
	}
	return &client{conn: conn, get: trials.Caller(conn, time.Duration(c.Deadline)), target: c.Target, replicas: watch}, nil
}

// settle waits until every replica has been dialed once, or if Wait is set, until all are ready.
func (c connection) settle(ctx context.Context, conn *failover.Client, watch *replicaWatch) error {
	if err := c.Target.lookUp(ctx); err != nil {
		return &exit{exitUsage, fmt.Sprintf("--target %v", err)}
	}
	wait := time.Duration(c.Wait)
	if wait == 0 {
		watch.await(ctx, conn, settleTime, func(s failover.ReplicaState) bool { return s != failover.ReplicaConnecting })
		return watch.tlsFailure()
	}
	switch {
	case watch.await(ctx, conn, wait, func(s failover.ReplicaState) bool { return s == failover.ReplicaReady }):
		return nil
	case ctx.Err() != nil:
		return interrupted
	case len(watch.list()) == 0:
		return &exit{exitUsage, fmt.Sprintf("--target %q: no replica found within --wait %v: want a target that resolves to at least one", c.Target, wait)}
	default:
		return &exit{exitFailed, fmt.Sprintf("--wait %v: not every replica is ready: %s", wait, watch)}
	}
}

func (c *client) close() { c.conn.Close() }

// call makes one call.
func (c *client) call(ctx context.Context) (workload.Reply, error) {
	reply, err := c.get(ctx, 0)
	// If the target resolved to replicas before, it is correct, and this is a failed call.
	if errors.Is(err, failover.ErrNoReplicas) && len(c.replicas.list()) == 0 {
		err = &exit{exitUsage, fmt.Sprintf("--target %q: %v: want a target that resolves to at least one replica", c.target, errors.Unwrap(err))}
	}
	return reply, err
}

// unreachable returns an error if there are replicas and none has been reached yet. Failed is the
// error of a call.
func (c *client) unreachable(failed error) error {
	w := c.replicas
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reached || len(w.addrs) == 0 {
		return nil
	}
	for _, a := range w.addrs {
		if w.errs[a] != nil {
			failed = w.errs[a]
			break
		}
	}
	return &exit{exitFailed, noReplica(w.addrs, failed)}
}

// noReplica returns a message that nothing answers at the addresses, why, and what to do.
func noReplica(addrs []string, cause error) string {
	why := transport.Plain(message(cause))
	for _, a := range addrs {
		why = strings.TrimPrefix(why, "dial tcp "+a+": ")
	}
	return fmt.Sprintf("no replica answers at %s (%s); start one with make run-cluster", strings.Join(addrs, ", "), why)
}

// replicaWatch follows the states of the replicas.
type replicaWatch struct {
	mu      sync.Mutex
	addrs   []string // in the order in which they were found
	states  map[string]failover.ReplicaState
	errs    map[string]error // the error of the last dial of those that are down
	reached bool             // some replica was ready at some time
	changed chan struct{}    // closed and replaced at every change
}

func newReplicaWatch() *replicaWatch {
	return &replicaWatch{states: map[string]failover.ReplicaState{}, errs: map[string]error{}, changed: make(chan struct{})}
}

func (w *replicaWatch) note(e failover.ReplicaEvent) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.addrs, e.Replica) {
		w.addrs = append(w.addrs, e.Replica)
	}
	w.states[e.Replica], w.errs[e.Replica] = e.State, e.Err
	w.reached = w.reached || e.State == failover.ReplicaReady
	if e.State == failover.ReplicaGone {
		delete(w.states, e.Replica) // settle need not wait for it; its calls still count
	}
	close(w.changed)
	w.changed = make(chan struct{})
}

// list returns the addresses of all replicas that have been found.
func (w *replicaWatch) list() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.addrs)
}

// String returns each replica with its state.
func (w *replicaWatch) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var parts []string
	for _, a := range w.addrs {
		if s, ok := w.states[a]; ok {
			parts = append(parts, fmt.Sprintf("%s %v", a, s))
		}
		if f, ok := errors.AsType[*transport.Failure](w.errs[a]); ok {
			parts[len(parts)-1] += fmt.Sprintf(" (%v)", f)
		}
	}
	return strings.Join(parts, ", ")
}

// tlsFailure returns an error if no replica can be used because of TLS: calls would only repeat it.
func (w *replicaWatch) tlsFailure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	var first error
	for _, a := range w.addrs {
		f, ok := errors.AsType[*transport.Failure](w.errs[a])
		switch _, there := w.states[a]; {
		case !there:
		case !ok:
			return nil
		case first == nil:
			first = &exit{exitFailed, fmt.Sprintf("no connection to %s: %v", a, f)}
		}
	}
	return first
}

// await blocks until there are replicas and all are in a wanted state. It returns false if that
// takes longer than limit, or if the context ends. It keeps requesting connections, because
// replicas that are down are dialed often only on request.
func (w *replicaWatch) await(ctx context.Context, conn *failover.Client, limit time.Duration, wanted func(failover.ReplicaState) bool) bool {
	timeout, ask := time.NewTimer(limit), time.NewTicker(askPeriod)
	defer timeout.Stop()
	defer ask.Stop()
	conn.Connect()
	for {
		changed, done := w.check(wanted)
		if done {
			return true
		}
		select {
		case <-changed:
		case <-ask.C:
			conn.Connect()
		case <-timeout.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

func (w *replicaWatch) check(wanted func(failover.ReplicaState) bool) (<-chan struct{}, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.states {
		if !wanted(s) {
			return w.changed, false
		}
	}
	return w.changed, len(w.states) > 0
}
