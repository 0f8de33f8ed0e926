package failover_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// ledger records which calls replicas have served, in which order.
type ledger struct {
	mu    sync.Mutex
	names []string
}

func (l *ledger) by(next func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		if md, _ := metadata.FromIncomingContext(ctx); len(md.Get("name")) == 1 {
			l.mu.Lock()
			l.names = append(l.names, md.Get("name")[0])
			l.mu.Unlock()
		}
		return next(ctx)
	}
}

func (l *ledger) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.names, " ")
}

// Calls are served one at a time, strictly in the order in which they began.
func TestOldestCallFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		var served ledger
		c[0].handle = served.by(sleep(time.Second))
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, MaxInFlight: 1})
		var calls []*pending
		var want []string
		for i := range 20 {
			calls = append(calls, begin(t.Context(), conn, fmt.Sprint(i)))
			want = append(want, fmt.Sprint(i))
		}
		for i, p := range calls {
			if <-p.over; p.err != nil || p.took != time.Duration(i+1)*time.Second {
				t.Errorf("call %d: %v after %v, want success as the %d. in line", i, p.err, p.took, i+1)
			}
		}
		if served.String() != strings.Join(want, " ") {
			t.Errorf("served %v, want in the order of their age", &served)
		}
	})
}

// A call keeps its age after a failed attempt: it precedes newer calls that were already waiting.
func TestRetryingCallIsOlder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		var atA, atB ledger
		c[0].handle = atA.by(func(ctx context.Context) error {
			time.Sleep(time.Second)
			if atA.String() == "0" {
				return status.Error(codes.Unavailable, "no")
			}
			return nil
		})
		c[1].handle = atB.by(sleep(10 * time.Second))
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, MaxInFlight: 1})
		var calls []*pending
		for i := range 15 {
			calls = append(calls, begin(t.Context(), conn, fmt.Sprint(i)))
		}
		for i, p := range calls {
			if <-p.over; p.err != nil {
				t.Errorf("call %d: %v", i, p.err)
			}
		}
		// The first call fails at a after 1s, and b is free after 10s: no other call precedes it
		// there.
		if !strings.HasPrefix(atB.String(), "1 0") || !strings.HasPrefix(atA.String(), "0 2 3 4 5 6 7 8 9 10") {
			t.Errorf("a served %v and b %v, want the first call at b as soon as it is free", &atA, &atB)
		}
	})
}

// Calls that begin while others wait do not take a place that becomes free in the same instant.
func TestNewCallsDoNotOvertake(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		var served ledger
		for _, r := range c {
			r.handle = served.by(sleep(time.Second))
		}
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, MaxInFlight: 1})
		var calls []*pending
		for i := range 6 {
			calls = append(calls, begin(t.Context(), conn, fmt.Sprint("old", i)))
		}
		for range 2 {
			time.Sleep(time.Second) // until two places are free, and not until they are taken
			for range 4 {
				p := &pending{over: make(chan struct{})}
				calls = append(calls, p)
				go func() {
					defer close(p.over)
					p.attempts, p.err = call(metadata.AppendToOutgoingContext(t.Context(), "name", "new"), conn)
				}()
			}
		}
		for _, p := range calls {
			if <-p.over; p.err != nil {
				t.Error(p.err)
			}
		}
		if got := served.String(); strings.Contains(strings.TrimRight(got, "new "), "new") {
			t.Errorf("served %q, want all the old ones first", got)
		}
	})
}

// A call that has failed for good ends at once, instead of waiting for a replica.
func TestFailedCallDoesNotWait(t *testing.T) {
	for _, tc := range []struct {
		name   string
		handle func(context.Context) error
		opts   []grpc.CallOption
		budget failover.Budget
		want   failover.Reason
	}{
		{"rejected", answer(codes.InvalidArgument), nil, failover.Budget{}, failover.ReasonNotRetryable},
		{"rejected, and the budget is spent", answer(codes.InvalidArgument), nil, failover.Budget{Ratio: 1e-9, Burst: 1}, failover.ReasonNotRetryable},
		{"ambiguous", answer(codes.Unavailable), []grpc.CallOption{failover.WithIdempotent(false)}, failover.Budget{}, failover.ReasonAmbiguous},
		{"pushed back", pushback(codes.Unavailable, "-1"), nil, failover.Budget{}, failover.ReasonPushedBack},
		{"every replica tried", answer(codes.Unavailable), nil, failover.Budget{}, failover.ReasonRoundsSpent},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 1)
				var n atomic.Int32
				c[0].handle = func(ctx context.Context) error {
					if n.Add(1) == 1 {
						time.Sleep(time.Second)
						return tc.handle(ctx)
					}
					return sleep(10 * time.Second)(ctx)
				}
				conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, MaxInFlight: 1, Budget: tc.budget})
				first := begin(t.Context(), conn, "first", tc.opts...)
				for range 3 {
					begin(t.Context(), conn, "others")
				}
				if <-first.over; first.took != time.Second || reason(first.err) != tc.want {
					t.Errorf("ended after %v: %v, want after 1s, and the reason %v", first.took, first.err, tc.want)
				}
				if s := conn.Statistics(); s.Denied != 0 {
					t.Errorf("%d denied, want the budget not to be charged", s.Denied)
				}
			})
		})
	}
}

// If too many calls wait, the newest is shed: usually the one that arrives, or another when an
// older call comes back.
func TestMaxWaiting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		fail := make(chan struct{})
		var served ledger
		c[0].handle = served.by(func(ctx context.Context) error {
			if c[0].served.Load() == 1 {
				<-fail
				return status.Error(codes.Unavailable, "no")
			}
			return sleep(time.Second)(ctx)
		})
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, Rounds: 2, MaxInFlight: 1, MaxWaiting: 3})
		var calls []*pending
		for i := range 5 {
			calls = append(calls, begin(t.Context(), conn, fmt.Sprint(i)))
		}
		shed := func(i int) {
			t.Helper()
			p := calls[i]
			if !p.ended() {
				t.Fatalf("call %d still waits", i)
			}
			if status.Code(p.err) != codes.ResourceExhausted || reason(p.err) != failover.ReasonShed || p.took != 0 || len(p.attempts) != 0 {
				t.Errorf("call %d: %v after %v, want it to be shed at once", i, p.err, p.took)
			}
		}
		shed(4)
		if n := conn.Statistics().Waiting; n != 3 {
			t.Errorf("%d wait, want 3", n)
		}
		close(fail) // 1 is served, 0 comes back, and another call arrives
		synctest.Wait()
		calls = append(calls, begin(t.Context(), conn, "5"))
		shed(5)
		for i, p := range calls[:4] {
			if <-p.over; p.err != nil {
				t.Errorf("call %d: %v", i, p.err)
			}
		}
		if served.String() != "0 1 0 2 3" {
			t.Errorf("served %v, want 0 1 0 2 3", &served)
		}
		if s := conn.Statistics(); s.Waiting != 0 || s.Failed[failover.ReasonShed] != 2 || s.Succeeded != 4 {
			t.Errorf("statistics %+v, want none waiting, 2 shed and 4 served", s)
		}
	})
}

// An old call that comes back to a full queue takes the place of the newest.
func TestNewestWaiterIsShed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].handle = func(ctx context.Context) error {
			return errors.Join(sleep(time.Second)(ctx), status.Error(codes.Unavailable, "no"))
		}
		c[1].handle = sleep(10 * time.Second)
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, MaxInFlight: 1, MaxWaiting: 2, Ejection: failover.Ejection{Off: true}})
		var calls []*pending
		for i := range 4 { // 0 at a, 1 at b, 2 and 3 wait
			calls = append(calls, begin(t.Context(), conn, fmt.Sprint(i)))
		}
		time.Sleep(1500 * time.Millisecond) // 2 is at a, 0 waits for b
		calls = append(calls, begin(t.Context(), conn, "4"))
		if !calls[4].ended() || reason(calls[4].err) != failover.ReasonShed {
			t.Error("a third call waits, want at most two")
		}
		time.Sleep(time.Second) // 3 is at a, 2 waits for b as well
		calls = append(calls, begin(t.Context(), conn, "5"))
		if !calls[5].ended() || reason(calls[5].err) != failover.ReasonShed {
			t.Error("a third call waits, want at most two")
		}
		time.Sleep(time.Second) // 3 comes back, and is the newest
		if !calls[3].ended() || reason(calls[3].err) != failover.ReasonShed || path(calls[3].attempts) != "a:1 failed sent" {
			t.Errorf("the newest of three: got %q, %v, want it to be shed", path(calls[3].attempts), calls[3].err)
		}
		for _, i := range []int{0, 2} {
			if <-calls[i].over; calls[i].err != nil {
				t.Errorf("call %d: %v, want success at b", i, calls[i].err)
			}
		}
	})
}

// A queue that is full of calls for one replica does not keep other calls from free replicas.
func TestNoCallIsShedWhileAReplicaIsFree(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[1].crash()
		c[0].handle = answer(codes.Unavailable)
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, MaxWaiting: 1, Ejection: failover.Ejection{Off: true}})
		first := begin(t.Context(), conn, "") // has tried a, and waits for b
		if first.ended() {
			t.Fatalf("got %q, %v, want it to wait", path(first.attempts), first.err)
		}
		c[0].handle = nil
		if attempts, err := call(t.Context(), conn); err != nil {
			t.Errorf("got %q, %v, want success at a", path(attempts), err)
		}
	})
}

// A place that is granted to a call in the moment when its caller cancels goes to the next call. To
// provoke this, a replica cancels another caller during each answer.
func TestPlaceIsNotLostWithItsCaller(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 2)
	var calm atomic.Bool
	var leave [16]atomic.Pointer[context.CancelFunc]
	for _, r := range c {
		r.handle = func(ctx context.Context) error {
			if other := leave[rand.IntN(len(leave))].Load(); other != nil {
				(*other)()
			}
			if !calm.Load() && rand.IntN(4) == 0 {
				return status.Error(codes.Unavailable, "by chance")
			}
			return nil
		}
	}
	conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, MaxInFlight: 1, Rounds: 2})
	var callers sync.WaitGroup
	var left atomic.Int64
	for i := range leave {
		callers.Go(func() {
			for range times(100) {
				ctx, cancel := context.WithCancel(t.Context())
				leave[i].Store(&cancel)
				if _, err := call(ctx, conn); errors.Is(err, context.Canceled) {
					left.Add(1)
				}
				cancel()
			}
			leave[i].Store(nil)
		})
	}
	callers.Wait()
	if left.Load() == 0 {
		t.Error("no caller left, want some")
	}
	s := conn.Statistics()
	for _, r := range s.Replicas {
		if r.InFlight != 0 || s.Waiting != 0 {
			t.Errorf("in the end, %d in flight at %s and %d waiting", r.InFlight, r.Replica, s.Waiting)
		}
	}
	calm.Store(true)
	if attempts, err := call(t.Context(), conn); err != nil {
		t.Errorf("afterwards: got %q, %v", path(attempts), err)
	}
}

// The budget is charged before the wait, so that no call waits in vain.
func TestBudgetIsChargedBeforeTheWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].handle = answer(codes.Unavailable)
		c[1].crash()
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, Budget: failover.Budget{Ratio: 1e-9, Burst: 1}})
		first := begin(t.Context(), conn, "")
		second := begin(t.Context(), conn, "")
		if <-second.over; second.took != 0 || reason(second.err) != failover.ReasonBudgetSpent {
			t.Errorf("got %v after %v, want the budget to be spent", second.err, second.took)
		}
		time.AfterFunc(time.Second, c[1].start)
		if <-first.over; first.err != nil || path(first.attempts) != "a:1 failed sent, b:1 ok sent" {
			t.Errorf("got %q, %v, want success with the one token", path(first.attempts), first.err)
		}
	})
}

// A call that waits pauses between two tries of the same replica, and another call may use the
// replica meanwhile.
func TestCallThatWaitsPauses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		var served ledger
		c[0].handle = served.by(func(ctx context.Context) error {
			time.Sleep(time.Second)
			if c[0].served.Load() == 1 {
				return status.Error(codes.Unavailable, "no")
			}
			return nil
		})
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, MaxInFlight: 1, Rounds: 2, Pause: 5 * time.Second})
		first, second := begin(t.Context(), conn, "first"), begin(t.Context(), conn, "second")
		if <-second.over; second.took != 2*time.Second {
			t.Errorf("the second call took %v, want 2s: it comes in while the first pauses", second.took)
		}
		if <-first.over; first.err != nil || first.took != 7*time.Second && first.took != 8*time.Second {
			t.Errorf("the first call: %v after %v, want success after its pause", first.err, first.took)
		}
		if served.String() != "first second first" {
			t.Errorf("served %v", &served)
		}
	})
}

// A call may wait if the policy does not say so, and vice versa.
func TestWhenDownOfACall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.crash()
		for _, w := range []failover.WhenDown{failover.WhenDownAttempt, failover.WhenDownWait} {
			conn := c.connect(t, failover.Policy{WhenDown: w})
			attempts, err := call(t.Context(), conn, failover.WithWhenDown(failover.WhenDownAttempt))
			if path(attempts) != "a:1 refused" {
				t.Errorf("policy %v, call that does not wait: got %q, %v", w, path(attempts), err)
			}
			time.AfterFunc(time.Second, c[0].start)
			attempts, err = call(t.Context(), conn, failover.WithWhenDown(failover.WhenDownWait))
			if err != nil || path(attempts) != "a:1 ok sent" {
				t.Errorf("policy %v, call that waits: got %q, %v", w, path(attempts), err)
			}
			c.crash()
			synctest.Wait()
		}
	})
}
