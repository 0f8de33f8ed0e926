package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"example.com/crashlab/client/experiment/trials"
	"example.com/crashlab/client/failover"
	counterv1 "example.com/crashlab/gen/counter/v1"
	"example.com/crashlab/supervisor/transport"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// The watch does not wait for a replica that has left the target.
func TestWatchForgetsWhatIsGone(t *testing.T) {
	w := newReplicaWatch()
	ready := func(s failover.ReplicaState) bool { return s == failover.ReplicaReady }
	for _, e := range []failover.ReplicaEvent{{Replica: "a:1"}, {Replica: "b:1"}, {Replica: "a:1", State: failover.ReplicaReady}} {
		w.note(e)
	}
	if _, done := w.check(ready); done {
		t.Error("done while b:1 is connecting")
	}
	w.note(failover.ReplicaEvent{Replica: "b:1", State: failover.ReplicaGone})
	if _, done := w.check(ready); !done {
		t.Error("still waiting for b:1, which is gone")
	}
	if got := w.list(); len(got) != 2 {
		t.Errorf("replicas of the statistics are %v, want both", got)
	}
}

// A target that never resolved to a replica is a user error; after one, a call without replicas is
// a failed call.
func TestNoReplicasIsAMistakeOnlyAtFirst(t *testing.T) {
	conn, err := failover.NewClient("dns:///"+unresolved+":1", failover.Policy{}, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &client{conn: conn, get: trials.Caller(conn, 0), target: "dns:///" + unresolved + ":1", replicas: newReplicaWatch()}
	if _, err := c.call(t.Context()); !isExit(err) {
		t.Errorf("before any replica: %v, want a mistake", err)
	}
	c.replicas.note(failover.ReplicaEvent{Replica: "a:1"})
	if _, err := c.call(t.Context()); !errors.Is(err, failover.ErrNoReplicas) || isExit(err) {
		t.Errorf("after one: %v, want a failed call", err)
	}
}

// The error of a call without attempts describes each replica.
func TestCauseOfACallWithoutAttempts(t *testing.T) {
	down := make(chan struct{})
	policy := failover.Policy{WhenDown: failover.WhenDownWait, OnReplica: func(e failover.ReplicaEvent) {
		if e.State == failover.ReplicaDown {
			close(down)
		}
	}}
	conn, err := failover.NewClient("static:///a:1", policy, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return nil, errors.New("the reason") }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-down
		cancel()
	}()
	_, err = counterv1.NewCounterClient(conn).Get(ctx, new(counterv1.GetRequest))
	failed, ok := errors.AsType[*failover.Error](err)
	if !ok || len(failed.Attempts) > 0 {
		t.Fatalf("got %v, want a call without attempts", err)
	}
	if got := cause(failed); !strings.HasPrefix(got, "context canceled; a:1: ") || !strings.Contains(got, "the reason") {
		t.Errorf("got %q, want the reason why the replica is down", got)
	}
}

// If no replica can be used because of TLS, no calls are made.
func TestTLSFailureOfAllReplicas(t *testing.T) {
	w := newReplicaWatch()
	note := func(replica string, state failover.ReplicaState, err error) {
		w.note(failover.ReplicaEvent{Replica: replica, State: state, Err: err})
	}
	bad := fmt.Errorf("dial: %w", &transport.Failure{Err: errors.New("x509: bad"), Advice: "mend it"})
	note("a:1", failover.ReplicaDown, bad)
	note("b:1", failover.ReplicaDown, errors.New("refused"))
	if err := w.tlsFailure(); err != nil {
		t.Errorf("with one that is only down: %v", err)
	}
	if want := "a:1 down (x509: bad; mend it), b:1 down"; w.String() != want {
		t.Errorf("got %q, want %q", w, want)
	}
	note("b:1", failover.ReplicaDown, bad)
	note("c:1", failover.ReplicaDown, nil)
	note("c:1", failover.ReplicaGone, nil)
	if err := w.tlsFailure(); !isExit(err) || err.Error() != "no connection to a:1: x509: bad; mend it" {
		t.Errorf("got %v, want the first one's failure", err)
	}
	note("a:1", failover.ReplicaReady, nil)
	if err := w.tlsFailure(); err != nil {
		t.Errorf("with one that is ready: %v", err)
	}
}

func isExit(err error) bool {
	_, ok := errors.AsType[*exit](err)
	return ok
}
