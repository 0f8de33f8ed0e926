package integration

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"example.com/crashlab/client/failover"
	counterv1 "example.com/crashlab/gen/counter/v1"
)

// client makes calls through failover.
type client struct {
	t       testing.TB
	conn    *failover.Client
	counter counterv1.CounterClient

	mu      sync.Mutex
	states  map[string]failover.ReplicaState
	changed chan struct{} // closed and replaced at each change
}

// newClient returns a client of the target with a policy.
func newClient(t testing.TB, target string, p failover.Policy) *client {
	t.Helper()
	c := &client{t: t, states: map[string]failover.ReplicaState{}, changed: make(chan struct{})}
	p.OnReplica = c.note
	conn, err := failover.NewClient(target, p, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.Connect()
	c.conn, c.counter = conn, counterv1.NewCounterClient(conn)
	return c
}

func (c *client) note(e failover.ReplicaEvent) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.states[e.Replica] = e.State
	close(c.changed)
	c.changed = make(chan struct{})
}

// awaitReady waits until the client sees n replicas ready, and all others down.
func (c *client) awaitReady(n int) {
	c.t.Helper()
	timeout := time.After(patience)
	for {
		c.mu.Lock()
		count := map[failover.ReplicaState]int{}
		for _, s := range c.states {
			count[s]++
		}
		done := len(c.states) > 0 && count[failover.ReplicaReady] == n && count[failover.ReplicaDown] == len(c.states)-n
		states, changed := fmt.Sprint(c.states), c.changed
		c.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			c.t.Fatalf("after %v the replicas are %v, want %d ready", patience, states, n)
		}
	}
}

// get makes a call, and returns its result and its attempts.
func (c *client) get() (*counterv1.GetResponse, []failover.Attempt, error) {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	var attempts []failover.Attempt
	reply, err := c.counter.Get(ctx, new(counterv1.GetRequest), failover.Trace(&attempts))
	return reply, attempts, err
}

// mustGet makes a call that must succeed.
func (c *client) mustGet() (*counterv1.GetResponse, []failover.Attempt) {
	c.t.Helper()
	reply, attempts, err := c.get()
	if err != nil {
		c.t.Fatal(err)
	}
	return reply, attempts
}

// mustGetUntil makes calls until last returns true for a reply, and returns all replies.
func (c *client) mustGetUntil(last func(*counterv1.GetResponse) bool) []*counterv1.GetResponse {
	c.t.Helper()
	var replies []*counterv1.GetResponse
	for begin := time.Now(); time.Since(begin) < patience; {
		reply, _ := c.mustGet()
		replies = append(replies, reply)
		if last(reply) {
			return replies
		}
	}
	c.t.Fatalf("after %v and %d calls no reply is the expected one", patience, len(replies))
	return nil
}

// steadily makes calls that must succeed, on n goroutines. The function it returns stops them, and
// returns their replies.
func (c *client) steadily(n int) (stop func() []*counterv1.GetResponse) {
	var (
		stopped atomic.Bool
		callers sync.WaitGroup
		mu      sync.Mutex
		replies []*counterv1.GetResponse
	)
	caller := func() {
		for !stopped.Load() {
			reply, _, err := c.get()
			if err != nil {
				c.t.Errorf("a call failed: %v", err)
				return
			}
			mu.Lock()
			replies = append(replies, reply)
			mu.Unlock()
		}
	}
	for range n {
		callers.Go(caller)
	}
	stop = func() []*counterv1.GetResponse {
		stopped.Store(true)
		callers.Wait()
		return replies
	}
	c.t.Cleanup(func() { stop() })
	return stop
}

// incarnation identifies an incarnation of a replica.
type incarnation struct {
	replica string
	number  uint64
}

// valuesByIncarnation returns the values in the replies of each incarnation, in ascending order.
func valuesByIncarnation(replies []*counterv1.GetResponse) map[incarnation][]uint64 {
	values := map[incarnation][]uint64{}
	for _, r := range replies {
		key := incarnation{r.Replica, r.Incarnation}
		values[key] = append(values[key], r.Value)
	}
	for _, v := range values {
		slices.Sort(v)
	}
	return values
}

// checkAllRefused checks that the call failed after one attempt at each address, none of which was
// sent.
func checkAllRefused(t *testing.T, err error, addrs []string) {
	t.Helper()
	failed, ok := errors.AsType[*failover.Error](err)
	if !ok {
		t.Fatalf("error is %v, want a *failover.Error", err)
	}
	tried := slices.SortedFunc(slices.Values(failed.Attempts), func(a, b failover.Attempt) int { return cmp.Compare(a.Replica, b.Replica) })
	if len(tried) != len(addrs) {
		t.Fatalf("%d attempts, want one at each of %v: %v", len(tried), addrs, err)
	}
	for i, a := range tried {
		if a.Replica != addrs[i] || a.Outcome != failover.OutcomeRefused || a.Sent || a.Round != 1 {
			t.Errorf("attempt at %s in round %d is %v, sent %v; want %s refused, unsent, in round 1",
				a.Replica, a.Round, a.Outcome, a.Sent, addrs[i])
		}
	}
}
