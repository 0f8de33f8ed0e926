package failover_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/grpc/status"
)

// sleep returns a handler that takes the given time, or until its request ends.
func sleep(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
			return nil
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

// crowd counts the requests in flight at an incarnation of a replica, as seen by the replica. A
// request that its client has abandoned does not count, even if its handler is still running. Only
// requests with a name count, so probes do not.
type crowd struct {
	mu    sync.Mutex
	here  map[context.Context]bool
	limit int // the maximum so far
}

func (c *crowd) by(next func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if md, _ := metadata.FromIncomingContext(ctx); len(md.Get("name")) == 0 {
			return nil
		}
		c.enter(ctx)
		defer c.leave(ctx)
		return next(ctx)
	}
}

func (c *crowd) enter(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.here == nil {
		c.here = map[context.Context]bool{}
	}
	c.here[ctx] = true
	n := 0
	for x := range c.here {
		if x.Err() == nil && x.Value(incarnation{}) == ctx.Value(incarnation{}) {
			n++
		}
	}
	c.limit = max(c.limit, n)
}

// most returns the largest number of simultaneous requests.
func (c *crowd) most() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.limit
}

func (c *crowd) leave(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.here, ctx)
}

// mishap is a handler that usually answers soon, and sometimes fails, hangs or crashes its replica.
func (r *replica) mishap(ctx context.Context) error {
	switch rand.IntN(40) {
	case 0:
		r.relaunch()
		return hang(ctx)
	case 1:
		return hang(ctx)
	case 2, 3:
		return status.Error(codes.Unavailable, "by chance")
	case 4:
		return status.Error(codes.InvalidArgument, "by chance")
	}
	return sleep(time.Duration(rand.IntN(10)) * time.Millisecond)(ctx)
}

// Whatever happens to the replicas and the callers, no replica has more requests in flight than the
// limit, and in the end none has any.
func TestLimitHolds(t *testing.T) {
	seen := map[failover.Outcome]int64{}
	for order := failover.OrderFirst; order <= failover.OrderSticky; order++ {
		for _, whenDown := range []failover.WhenDown{failover.WhenDownAttempt, failover.WhenDownWait} {
			t.Run(fmt.Sprint(order, " ", whenDown), func(t *testing.T) {
				bubble(t, func(t *testing.T) { limitHolds(t, order, whenDown, seen) })
			})
		}
	}
	for _, o := range failover.Outcomes() {
		if seen[o] == 0 && o != failover.OutcomeRefused {
			t.Errorf("no attempt was %v, want some", o)
		}
	}
}

func limitHolds(t *testing.T, order failover.Order, whenDown failover.WhenDown, outcomes map[failover.Outcome]int64) {
	const limit, callers = 3, 24
	each := times(8)
	c := newCluster(t, 3)
	crowds := make([]crowd, len(c))
	for i, r := range c {
		r.handle = crowds[i].by(r.mishap)
	}
	conn := c.connect(t, failover.Policy{
		Timeout: 50 * time.Millisecond, Rounds: 2, Pause: time.Millisecond, Order: order, WhenDown: whenDown,
		MaxInFlight: limit, Hedge: failover.Hedge{After: 8 * time.Millisecond, Share: 1}, Ejection: failover.Ejection{Off: true},
	})
	var group sync.WaitGroup
	for i := range callers {
		group.Go(func() {
			ctx := metadata.AppendToOutgoingContext(t.Context(), "name", fmt.Sprint(i))
			for range each {
				ctx, cancel := context.WithTimeout(ctx, time.Duration(1+rand.IntN(100))*time.Millisecond)
				call(ctx, conn)
				cancel()
			}
		})
	}
	group.Wait()
	synctest.Wait()
	most := 0
	for i, r := range c {
		n := int(crowds[i].most())
		if most = max(most, n); n > limit {
			t.Errorf("%s had up to %d requests in flight, want at most %d", r.addr, n, limit)
		}
	}
	if most < limit { // a replica that is down for long may not reach it
		t.Errorf("no replica had more than %d requests in flight, want the limit of %d reached", most, limit)
	}
	s := conn.Statistics()
	for _, r := range s.Replicas {
		if r.InFlight != 0 {
			t.Errorf("in the end, %d in flight at %s", r.InFlight, r.Replica)
		}
	}
	if want := int64(callers * each); s.Waiting != 0 || s.Calls != want {
		t.Errorf("in the end, %d of %d calls wait, want none of %d", s.Waiting, s.Calls, want)
	}
	for o, n := range s.Attempts {
		outcomes[o] += n
	}
}

// The same in real time, with goroutines in parallel.
func TestLimitHoldsInParallel(t *testing.T) {
	t.Parallel()
	for _, whenDown := range []failover.WhenDown{failover.WhenDownAttempt, failover.WhenDownWait} {
		t.Run(whenDown.String(), func(t *testing.T) {
			c := newCluster(t, 2)
			crowds := make([]crowd, len(c))
			for i, r := range c {
				r.handle = crowds[i].by(func(context.Context) error {
					if rand.IntN(10) == 0 {
						return status.Error(codes.Unavailable, "by chance")
					}
					return nil
				})
			}
			conn := c.connect(t, failover.Policy{
				WhenDown: whenDown, Order: failover.OrderLeastInFlight, MaxInFlight: 2, Ejection: failover.Ejection{Off: true},
			})
			var callers sync.WaitGroup
			for range 16 {
				callers.Go(func() {
					ctx := metadata.AppendToOutgoingContext(t.Context(), "name", "x")
					for range times(50) {
						call(ctx, conn)
					}
				})
			}
			callers.Wait()
			for i, r := range conn.Statistics().Replicas {
				if most := crowds[i].most(); most > 2 || r.InFlight != 0 {
					t.Errorf("%s had up to %d requests in flight and has %d in the end; want at most 2, and 0", r.Replica, most, r.InFlight)
				}
			}
		})
	}
}

func TestZeroIsNoLimit(t *testing.T) {
	for _, whenDown := range []failover.WhenDown{failover.WhenDownAttempt, failover.WhenDownWait} {
		bubble(t, func(t *testing.T) {
			c := newCluster(t, 1)
			c[0].handle = sleep(time.Second)
			conn := c.connect(t, failover.Policy{WhenDown: whenDown})
			var calls []*pending
			for range 200 {
				calls = append(calls, begin(t.Context(), conn, ""))
			}
			if s := conn.Statistics(); s.Replicas[0].InFlight != 200 || s.Limit != 0 || c[0].served.Load() != 200 {
				t.Errorf("%v: %d in flight with a limit of %d, want 200 and none", whenDown, s.Replicas[0].InFlight, s.Limit)
			}
			for _, p := range calls {
				if <-p.over; p.err != nil {
					t.Error(p.err)
				}
			}
			if n := conn.Statistics().Replicas[0].InFlight; n != 0 {
				t.Errorf("%v: %d in flight in the end", whenDown, n)
			}
		})
	}
}

// A call that does not wait skips a full replica, and fails if all are full.
func TestFullReplicasAreSkipped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3)
		for _, r := range c {
			r.handle = sleep(time.Second)
		}
		conn := c.connect(t, failover.Policy{MaxInFlight: 1, Rounds: 2})
		var calls []*pending
		for range 3 {
			calls = append(calls, begin(t.Context(), conn, ""))
		}
		attempts, err := call(t.Context(), conn)
		if len(attempts) != 0 || status.Code(err) != codes.ResourceExhausted || reason(err) != failover.ReasonShed {
			t.Errorf("with all full: got %q, %v, want ResourceExhausted and no attempt", path(attempts), err)
		}
		var paths []string
		for _, p := range calls {
			<-p.over
			paths = append(paths, path(p.attempts))
		}
		if want := []string{"a:1 ok sent", "b:1 ok sent", "c:1 ok sent"}; !slices.Equal(paths, want) {
			t.Errorf("got %q, want one at each", paths)
		}
		if attempts, err := call(t.Context(), conn); err != nil || path(attempts) != "a:1 ok sent" {
			t.Errorf("with room again: got %q, %v", path(attempts), err)
		}
	})
}

// A replica that was full may have room after the pause between two rounds.
func TestFullReplicaIsTriedInTheNextRound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c[0].handle = sleep(time.Second)
		conn := c.connect(t, failover.Policy{MaxInFlight: 1, Rounds: 3, Pause: 600 * time.Millisecond})
		begin(t.Context(), conn, "")
		start := time.Now()
		attempts, err := call(t.Context(), conn)
		if err != nil || len(attempts) != 1 || attempts[0].Round != 3 || attempts[0].Start.Sub(start) != 1200*time.Millisecond {
			t.Errorf("got %q, %v, want success in round 3, after 1.2s", path(attempts), err)
		}
	})
}

// A replica that leaves the target and comes back keeps its count of requests in flight.
func TestLimitHoldsForAReplicaThatComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		var crowd crowd
		c[0].handle = crowd.by(sleep(time.Second))
		m := manual.NewBuilderWithScheme("test")
		m.InitialState(endpoints("ab"))
		conn := c.connectTo(t, "test:///x", 2, failover.Policy{MaxInFlight: 1}, grpc.WithResolvers(m))
		first := begin(t.Context(), conn, "first")
		m.UpdateState(endpoints("b"))
		synctest.Wait()
		m.UpdateState(endpoints("ab"))
		synctest.Wait()
		second := begin(t.Context(), conn, "second")
		<-first.over
		<-second.over
		if first.err != nil || second.err != nil || crowd.most() != 1 {
			t.Errorf("got %v and %v, with up to %d requests in flight, want success and 1", first.err, second.err, crowd.most())
		}
		s := conn.Statistics()
		if s.Replicas[0].InFlight != 0 || s.Attempts[failover.OutcomeOK] != 2 {
			t.Errorf("in the end, %d in flight and %d served, want 0 and 2", s.Replicas[0].InFlight, s.Attempts[failover.OutcomeOK])
		}
	})
}

// A stream from which the caller does not receive gives its place back, and the call ends, when the
// context ends.
func TestAbandonedStreamGivesItsPlaceBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c[0].other = func(stream grpc.ServerStream) error { <-stream.Context().Done(); return nil }
		conn := c.connect(t, failover.Policy{MaxInFlight: 1})
		ctx, cancel := context.WithCancel(t.Context())
		var attempts []failover.Attempt
		stream, err := openCheck(ctx, conn, failover.Trace(&attempts))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := conn.Statistics().Replicas[0].InFlight; n != 1 {
			t.Errorf("%d in flight while the first message is awaited, want 1", n)
		}
		cancel()
		synctest.Wait()
		if s := conn.Statistics(); s.Replicas[0].InFlight != 0 || s.Failed[failover.ReasonCallerEnded] != 1 || s.Attempts[failover.OutcomeCanceled] != 1 {
			t.Errorf("%+v after the caller has left, want nothing in flight and the call ended", s)
		}
		// A caller that does come back gets its traces and error.
		if err := stream.RecvMsg(nil); reason(err) != failover.ReasonCallerEnded || path(attempts) != "a:1 canceled sent" {
			t.Errorf("got %q, %v, want the attempt and Canceled", path(attempts), err)
		}
	})
}

// Many attempts lost with one connection are one crash: the rate is the same as with one lost
// attempt.
func TestCrashCountsOnce(t *testing.T) {
	rate := func(victims int) (rate float64) {
		bubble(t, func(t *testing.T) {
			c := newCluster(t, 1)
			conn := c.connect(t, failover.Policy{AdaptiveLimit: true, WhenDown: failover.WhenDownWait})
			for range 20 {
				call(t.Context(), conn)
			}
			c[0].handle = hang
			var calls []*pending
			for range victims {
				calls = append(calls, begin(t.Context(), conn, ""))
			}
			inFlight := conn.Statistics().Replicas[0].InFlight
			c[0].crash()
			for _, p := range calls[:min(inFlight, victims)] {
				<-p.over
			}
			synctest.Wait()
			if victims > 1 && conn.Statistics().Attempts[failover.OutcomeLost] < 2 {
				t.Errorf("%d attempts were lost, want several", conn.Statistics().Attempts[failover.OutcomeLost])
			}
			rate = conn.Statistics().CrashRate
			conn.Close()
		})
		return rate
	}
	if one, many := rate(1), rate(16); one == 0 || one != many {
		t.Errorf("the rate is %v after a crash with one lost attempt, %v with 16; want the same, above zero", one, many)
	}
}

// The counts of a replica are shown while the connection is idle, and continue afterwards.
func TestStatisticsOfAnIdleConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		conn := newCluster(t, 2).connect(t, failover.Policy{}, grpc.WithIdleTimeout(time.Minute))
		for n := range int64(3) {
			call(t.Context(), conn)
			time.Sleep(time.Hour)
			s := conn.Statistics()
			if len(s.Replicas) != 2 || s.Replicas[0].Ready || s.Attempts[failover.OutcomeOK] != n+1 ||
				s.Replicas[0].Attempts[failover.OutcomeOK]+s.Replicas[1].Attempts[failover.OutcomeOK] != n+1 { // each goes to the first that is ready
				t.Errorf("%+v, want two replicas without a connection, and %d attempts at them", s, n+1)
			}
		}
	})
}
