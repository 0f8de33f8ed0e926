package failover_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

// tally counts what the hooks receive.
type tally struct {
	attempts [7]atomic.Int64
	reasons  [10]atomic.Int64
	ok       atomic.Int64
	hedges   atomic.Int64
	calls    atomic.Int64
	under    sync.WaitGroup // calls that have not ended
}

func (n *tally) policy(p failover.Policy) failover.Policy {
	p.OnAttempt = func(_ context.Context, _ string, a failover.Attempt) {
		n.attempts[a.Outcome].Add(1)
		if a.Hedge {
			n.hedges.Add(1)
		}
	}
	p.OnCall = func(_ context.Context, c failover.Call) {
		if failed, ok := errors.AsType[*failover.Error](c.Err); ok {
			n.reasons[failed.Reason].Add(1)
		} else {
			n.ok.Add(1)
		}
		n.under.Done()
	}
	return p
}

// begins records that a call begins.
func (n *tally) begins() {
	n.calls.Add(1)
	n.under.Add(1)
}

// complete reports whether every outcome except a refusal has occurred.
func (n *tally) complete() bool {
	for o := range n.attempts {
		if n.attempts[o].Load() == 0 && failover.Outcome(o) != failover.OutcomeRefused {
			return false
		}
	}
	return true
}

// check waits until all calls have ended, including abandoned ones, and fails the test if the
// statistics differ from what the hooks received.
func (n *tally) check(t *testing.T, conn *failover.Client) {
	t.Helper()
	n.under.Wait()
	want := func(what string, got, want int64) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	got := conn.Statistics()
	ended := got.Succeeded
	want("calls", got.Calls, n.calls.Load())
	want("succeeded", got.Succeeded, n.ok.Load())
	want("hedges", got.Hedges, n.hedges.Load())
	want("waiting", int64(got.Waiting), 0)
	for _, r := range failover.Reasons() {
		ended += got.Failed[r]
		want(r.String(), got.Failed[r], n.reasons[r].Load())
	}
	want("calls that have ended", ended, n.calls.Load())
	for _, o := range failover.Outcomes() {
		want(o.String(), got.Attempts[o], n.attempts[o].Load())
	}
	for _, r := range got.Replicas {
		want("in flight at "+r.Replica, int64(r.InFlight), 0)
	}
}

// misbehave is a handler with a random outcome. It may crash its replica if that is allowed.
func (r *replica) misbehave(crashes bool) func(grpc.ServerStream) error {
	return func(stream grpc.ServerStream) error {
		switch n := rand.IntN(60); {
		case n == 0 && crashes:
			r.relaunch()
			return hangs(stream)
		case n < 4:
			return hangs(stream)
		case n < 8:
			return status.Error(codes.Unavailable, "by chance")
		case n < 12:
			return status.Error(codes.NotFound, "by chance")
		case n < 20:
			time.Sleep(rand.N(5 * ms))
		}
		return say(stream, r.addr)
	}
}

// After calls of all kinds by 16 callers, while replicas crash, leave and come, the numbers agree
// with what the hooks received, and nothing is in flight. No number ever decreases.
func TestStatisticsAddUp(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 4)
	for i, r := range c {
		r.other = r.misbehave(i > 0)
	}
	m := manual.NewBuilderWithScheme("test")
	m.InitialState(endpoints("abcd"))
	var reported tally
	var shared atomic.Pointer[failover.Client]
	conn := c.connectTo(t, "test:///x", 4, reported.policy(failover.Policy{
		Rounds: 2, Pause: ms, Order: failover.OrderRandom, MaxInFlight: 6,
		Hedge: failover.Hedge{After: 2 * ms, Share: 0.5}, Budget: failover.Budget{Ratio: 0.5},
		Ejection: failover.Ejection{After: 3, Probe: 10 * ms}, OnReplica: func(failover.ReplicaEvent) {
			if c := shared.Load(); c != nil {
				c.Statistics() // may be called anywhere
			}
		},
	}), grpc.WithResolvers(m))
	shared.Store(conn)
	stop := neverFalls(t, conn)
	for timeout := 20 * ms; !reported.complete(); timeout *= 2 { // a slow machine needs more time for a success
		var callers sync.WaitGroup
		for range 16 {
			callers.Go(func() {
				for range times(50) {
					callAnyhow(t.Context(), conn, m, &reported, timeout)
				}
			})
		}
		callers.Wait()
	}
	stop()
	reported.check(t, conn)
}

// callAnyhow makes a call, or a stream, of a random kind.
func callAnyhow(ctx context.Context, conn *failover.Client, m *manual.Resolver, reported *tally, timeout time.Duration) {
	views := []string{"abcd", "abc", "acd", "ad", "dcba", "a"}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	usual := failover.WithTimeout(timeout)
	reported.begins()
	switch rand.IntN(8) {
	case 0:
		time.AfterFunc(rand.N(10*ms), cancel)
		do(ctx, conn, usual)
	case 1:
		fetch(ctx, conn, usual)
	case 2:
		time.AfterFunc(rand.N(10*ms), cancel)
		fetch(ctx, conn, usual)
	case 3:
		do(ctx, conn, usual, failover.WithIdempotent(false), failover.WithWhenDown(failover.WhenDownWait))
	case 4:
		m.UpdateState(endpoints(views[rand.IntN(len(views))]))
		time.AfterFunc(50*ms, cancel)
		do(ctx, conn, failover.WithTimeout(0), failover.WithRounds(1))
	default:
		do(ctx, conn, usual)
	}
}

// neverFalls checks, until it is stopped, that no number decreases.
func neverFalls(t *testing.T, conn *failover.Client) (stop func()) {
	done := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		var last failover.Statistics
		for {
			now := conn.Statistics()
			if now.Calls < last.Calls || now.Succeeded < last.Succeeded || slices.ContainsFunc(failover.Outcomes(), func(o failover.Outcome) bool {
				return now.Attempts[o] < last.Attempts[o]
			}) {
				t.Errorf("a number has decreased: %+v, then %+v", last, now)
			}
			last = now
			select {
			case <-done:
				return
			case <-time.After(ms):
			}
		}
	})
	return func() { close(done); watcher.Wait() }
}

// Counts of a replica that is gone are kept in the totals. A replica that comes back starts from
// zero.
func TestCountsOfAReplicaThatIsGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 2)
		m := manual.NewBuilderWithScheme("test")
		m.InitialState(endpoints("ab"))
		conn := c.connectTo(t, "test:///x", 2, failover.Policy{}, grpc.WithResolvers(m))
		works[0].does(takes(time.Second, codes.OK))
		var late sync.WaitGroup
		late.Go(func() { wantPath(t, conn, "a:1 ok sent") })
		wantPath(t, conn, "a:1 ok sent")
		synctest.Wait()
		late.Go(func() { wantPath(t, conn, "a:1 ok sent") })
		synctest.Wait()
		m.UpdateState(endpoints("b")) // with one attempt still at a
		wantPath(t, conn, "b:1 ok sent")
		if got := conn.Statistics(); len(got.Replicas) != 1 || got.Replicas[0].Replica != "b:1" || got.Attempts[failover.OutcomeOK] != 3 {
			t.Errorf("a is gone: %+v, want b alone, and 3 attempts in all", got)
		}
		late.Wait()
		if n := conn.Statistics().Attempts[failover.OutcomeOK]; n != 4 {
			t.Errorf("the last attempt at a has ended: %d attempts, want 4", n)
		}
		m.UpdateState(endpoints("ab"))
		synctest.Wait()
		if got := conn.Statistics(); got.Replicas[0].Attempts[failover.OutcomeOK] != 0 || got.Attempts[failover.OutcomeOK] != 4 {
			t.Errorf("a is back: %+v, want none at it, and 4 in all", got)
		}
	})
}

// The statistics while a call is under way.
func TestStatisticsOfCallUnderWay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, works := newWork(t, 1)
		fresh := c.client(t, c.target(), failover.Policy{})
		if got := fresh.Statistics(); got.Calls != 0 || len(got.Replicas) != 0 || len(got.Attempts) != len(failover.Outcomes()) || len(got.Failed) != len(failover.Reasons()) {
			t.Errorf("before the first call: %+v, want every outcome and reason with zero", got)
		}
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, MaxInFlight: 1})
		works[0].does(takes(time.Second, codes.OK))
		var calls sync.WaitGroup
		for range 2 {
			calls.Go(func() { wantPath(t, conn, "a:1 ok sent") })
		}
		synctest.Wait()
		if got := conn.Statistics(); got.Calls != 2 || got.Succeeded != 0 || got.Waiting != 1 || got.Replicas[0].InFlight != 1 || got.Limit != 1 {
			t.Errorf("got %+v, want two calls, one of them in flight and one waiting", got)
		}
		calls.Wait()
		wantAtRest(t, conn)
	})
}
