package failover_test

import (
	"context"
	"errors"
	"fmt"
	"runtime/metrics"
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

// pending is a call under way.
type pending struct {
	over     chan struct{} // closed when the call ends
	attempts []failover.Attempt
	err      error
	took     time.Duration
}

// begin begins a call with the given name in its metadata, and returns when it has got as far as it
// can.
func begin(ctx context.Context, conn grpc.ClientConnInterface, name string, opts ...grpc.CallOption) *pending {
	p := &pending{over: make(chan struct{})}
	start := time.Now()
	go func() {
		defer close(p.over)
		p.attempts, p.err = call(metadata.AppendToOutgoingContext(ctx, "name", name), conn, opts...)
		p.took = time.Since(start)
	}()
	synctest.Wait()
	return p
}

// ended reports whether the call has ended.
func (p *pending) ended() bool {
	select {
	case <-p.over:
		return true
	default:
		return false
	}
}

// While a call waits, a replica that is down is dialed at least every 30 ms, so a waiting call is
// at most that late, however long it has waited.
func TestWaitsUntilAReplicaIsUp(t *testing.T) {
	for _, down := range []time.Duration{10 * time.Millisecond, time.Second, 6 * time.Second} {
		t.Run(down.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 3)
				c.crash()
				conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait})
				time.AfterFunc(down, c[1].start)
				start := time.Now()
				attempts, err := call(t.Context(), conn)
				if err != nil || path(attempts) != "b:1 ok sent" {
					t.Fatalf("got %q, %v, want one attempt, at the replica that is up", path(attempts), err)
				}
				if late := time.Since(start) - down; late < 0 || late > 30*time.Millisecond {
					t.Errorf("served %v after the replica was up, want at most 30ms", late)
				}
			})
		})
	}
}

// After a crash, the call that was lost is served first, then those that waited. The lost
// connection costs the waiting calls nothing.
func TestWaitingCallsOutliveACrash(t *testing.T) {
	for _, limit := range []int{1, 3} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 1)
				var served ledger
				var crash sync.Once
				c[0].handle = served.by(func(ctx context.Context) error {
					time.Sleep(time.Second)
					crash.Do(func() {
						go c[0].crash()
						time.AfterFunc(3*time.Second, c[0].start)
						<-ctx.Done()
					})
					return nil
				})
				conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, Rounds: 2, MaxInFlight: limit})
				var calls []*pending
				for i := range 3 * limit {
					calls = append(calls, begin(t.Context(), conn, fmt.Sprint(i)))
				}
				for i, p := range calls {
					<-p.over
					want := "a:1 ok sent"
					if i < limit {
						want = "a:1 lost sent, a:1 ok sent"
					}
					if p.err != nil || path(p.attempts) != want {
						t.Errorf("call %d: got %q, %v, want %q", i, path(p.attempts), p.err, want)
					}
				}
				if limit == 1 && served.String() != "0 0 1 2" {
					t.Errorf("served %v, want the call that was lost before those that waited", &served)
				}
			})
		})
	}
}

// wakeups returns how often goroutines of this process have become runnable, in a sample of one in
// eight.
func wakeups() (n uint64) {
	s := []metrics.Sample{{Name: "/sched/latencies:seconds"}}
	metrics.Read(s)
	for _, k := range s[0].Value.Float64Histogram().Counts {
		n += k
	}
	return n
}

// While all replicas are up and full, waiting costs nothing for weeks, except that servers check
// every two hours whether their clients are still there.
func TestWaitingCostsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		for _, r := range c {
			r.handle = sleep(3000 * time.Hour)
		}
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, MaxInFlight: 1, MaxWait: 4000 * time.Hour, ResolveEvery: -1})
		var calls []*pending
		for range 20 {
			calls = append(calls, begin(t.Context(), conn, ""))
		}
		time.Sleep(time.Minute)
		before, dials := wakeups(), c[0].dials.Load()+c[1].dials.Load()
		time.Sleep(2000 * time.Hour) // one wakeup a minute of one call would make 120,000, and 15,000 in the sample
		if n := wakeups() - before; n > 10_000 {
			t.Errorf("%d wakeups in the sample while 18 calls waited for 2000 hours, want a few thousand at most", n)
		}
		if n := c[0].served.Load() + c[1].served.Load(); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
		if n := c[0].dials.Load() + c[1].dials.Load(); n != dials {
			t.Errorf("%d dials, want none", n-dials)
		}
		conn.Close()
		for _, p := range calls {
			<-p.over
		}
	})
}

// A call waits for MaxWait in total, however often it waits, or for a minute if neither it nor the
// policy sets a bound.
func TestMaxWait(t *testing.T) {
	for _, tc := range []struct {
		name     string
		policy   failover.Policy
		deadline time.Duration
		took     time.Duration
		reason   failover.Reason
		code     codes.Code
	}{
		{"by the policy", failover.Policy{MaxWait: 5 * time.Second}, 0, 5 * time.Second, failover.ReasonShed, codes.ResourceExhausted},
		{"before the deadline", failover.Policy{MaxWait: 5 * time.Second}, time.Minute, 5 * time.Second, failover.ReasonShed, codes.ResourceExhausted},
		{"by default", failover.Policy{}, 0, time.Minute, failover.ReasonShed, codes.ResourceExhausted},
		{"until the deadline", failover.Policy{}, 90 * time.Second, 90 * time.Second, failover.ReasonCallerEnded, codes.DeadlineExceeded},
		{"until the deadline, which comes first", failover.Policy{MaxWait: time.Minute}, time.Second, time.Second, failover.ReasonCallerEnded, codes.DeadlineExceeded},
		{"until too little is left", failover.Policy{MinTimeout: time.Second}, time.Minute, 59 * time.Second, failover.ReasonOutOfTime, codes.DeadlineExceeded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c.crash()
				tc.policy.WhenDown, tc.policy.Redial.Every = failover.WhenDownWait, time.Second
				var reported failover.Call
				tc.policy.OnCall = func(_ context.Context, x failover.Call) { reported = x }
				ctx := t.Context()
				if tc.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.deadline)
					defer cancel()
				}
				conn := c.connect(t, tc.policy)
				p := begin(ctx, conn, "")
				<-p.over
				if p.took != tc.took || reason(p.err) != tc.reason || status.Code(p.err) != tc.code || len(p.attempts) != 0 {
					t.Errorf("ended after %v: %v, want after %v, %v, and the reason %v", p.took, p.err, tc.took, tc.code, tc.reason)
				}
				if reported.Waited != tc.took || reported.Duration != tc.took {
					t.Errorf("OnCall got %v, %v of it waiting, want %v", reported.Duration, reported.Waited, tc.took)
				}
				if is := errors.Is(p.err, context.DeadlineExceeded); is != (tc.reason == failover.ReasonCallerEnded) {
					t.Errorf("%v: caused by the caller's deadline is %v", p.err, is)
				}
			})
		})
	}
}

func TestMaxWaitCountsEveryWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c[0].handle = func(ctx context.Context) error { // up for a second, then down for three, again and again
			time.Sleep(time.Second)
			go c[0].crash()
			time.AfterFunc(3*time.Second, c[0].start)
			return hang(ctx)
		}
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, Rounds: 9, MaxWait: 8 * time.Second})
		p := begin(t.Context(), conn, "")
		<-p.over
		if len(p.attempts) != 3 || p.took != 11*time.Second || reason(p.err) != failover.ReasonShed {
			t.Errorf("got %q and %v after %v, want 3 attempts of 1s, 8s of waiting, and to be shed", path(p.attempts), p.err, p.took)
		}
	})
}

// Canceling a waiting call ends it at once, and leaves nothing behind.
func TestCallerLeavesWhileWaiting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c[0].handle = sleep(10 * time.Second)
		var waited []time.Duration
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, MaxInFlight: 1, OnCall: func(_ context.Context, x failover.Call) {
			if errors.Is(x.Err, context.Canceled) {
				waited = append(waited, x.Waited)
			}
		}})
		first := begin(t.Context(), conn, "first")
		ctx, cancel := context.WithCancel(t.Context())
		second := begin(ctx, conn, "second")
		third := begin(t.Context(), conn, "third")
		time.Sleep(time.Second)
		cancel()
		<-second.over
		if second.took != time.Second || !errors.Is(second.err, context.Canceled) || reason(second.err) != failover.ReasonCallerEnded || len(second.attempts) != 0 {
			t.Errorf("got %v after %v, want Canceled after 1s", second.err, second.took)
		}
		if len(waited) != 1 || waited[0] != time.Second {
			t.Errorf("OnCall got a wait of %v, want 1s", waited)
		}
		if n := conn.Statistics().Waiting; n != 1 {
			t.Errorf("%d wait, want 1", n)
		}
		<-first.over
		if <-third.over; third.err != nil || third.took != 20*time.Second {
			t.Errorf("the one behind it: %v after %v, want success after 20s", third.err, third.took)
		}
	})
}

func TestClosedConnectionEndsTheWait(t *testing.T) {
	for _, full := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			c := newCluster(t, 1)
			c[0].handle = hang
			if !full {
				c.crash()
			}
			conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, MaxInFlight: 1})
			var calls []*pending
			for range 5 {
				calls = append(calls, begin(t.Context(), conn, ""))
			}
			time.AfterFunc(time.Second, func() { conn.Close() })
			for _, p := range calls {
				if <-p.over; status.Code(p.err) != codes.Canceled || p.took != time.Second {
					t.Errorf("got %v after %v, want Canceled as the connection was closed after 1s", p.err, p.took)
				}
			}
			for _, p := range calls[1:] {
				if reason(p.err) != failover.ReasonNoReplica {
					t.Errorf("the reason is %q, want %q", reason(p.err), failover.ReasonNoReplica)
				}
			}
		})
	}
}

// An idle connection has no replicas. A call that waits for one wakes the connection.
func TestIdleConnectionKeepsTheQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c.crash()
		var served ledger
		c[0].handle = served.by(sleep(time.Second))
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, MaxInFlight: 1}, grpc.WithIdleTimeout(time.Second))
		var calls []*pending
		for i := range 5 {
			calls = append(calls, begin(t.Context(), conn, fmt.Sprint(i)))
		}
		time.Sleep(10*time.Second + 500*time.Millisecond) // not at a time when it goes idle
		c[0].start()
		for i, p := range calls {
			if <-p.over; p.err != nil {
				t.Errorf("call %d: %v", i, p.err)
			}
		}
		if served.String() != "0 1 2 3 4" {
			t.Errorf("served %v, want in the order of their age", &served)
		}
	})
}

// Replicas that come, go or come back release the waiting calls.
func TestScaleReleasesWaiters(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 4)
		for _, r := range c {
			r.handle = hang
		}
		m := manual.NewBuilderWithScheme("test")
		m.InitialState(endpoints("a"))
		conn := c.connectTo(t, "test:///x", 1, failover.Policy{WhenDown: failover.WhenDownWait, MaxInFlight: 1}, grpc.WithResolvers(m))
		var calls []*pending
		for range 4 {
			calls = append(calls, begin(t.Context(), conn, ""))
		}
		served := func(want ...int64) {
			t.Helper()
			synctest.Wait()
			var got []int64
			for _, r := range c {
				got = append(got, r.served.Load())
			}
			if !slices.Equal(got, want) {
				t.Errorf("served %v, want %v", got, want)
			}
		}
		served(1, 0, 0, 0)
		m.UpdateState(endpoints("ab")) // up
		served(1, 1, 0, 0)
		m.UpdateState(endpoints("b")) // down: the call at a continues, and no other begins there
		served(1, 1, 0, 0)
		m.UpdateState(endpoints("bcd"))
		served(1, 1, 1, 1)
		conn.Close()
		for _, p := range calls {
			<-p.over
		}
	})
}

// A waiting call ends at once when the only replica that it has not tried is gone.
func TestScaleDownEndsTheWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].handle = answer(codes.Unavailable)
		c[1].crash()
		m := manual.NewBuilderWithScheme("test")
		m.InitialState(endpoints("ab"))
		conn := c.connectTo(t, "test:///x", 2, failover.Policy{WhenDown: failover.WhenDownWait}, grpc.WithResolvers(m))
		p := begin(t.Context(), conn, "")
		time.AfterFunc(time.Second, func() { m.UpdateState(endpoints("a")) })
		if <-p.over; p.took != time.Second || path(p.attempts) != "a:1 failed sent" || reason(p.err) != failover.ReasonRoundsSpent {
			t.Errorf("got %q, %v after %v, want the rounds to be spent after 1s", path(p.attempts), p.err, p.took)
		}
	})
}

// A stream that waits is served after a crash, like a unary call.
func TestWaitingStreamOutlivesACrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c[0].handle = func(ctx context.Context) error {
			go c[0].crash()
			time.AfterFunc(time.Second, c[0].start)
			return hang(ctx)
		}
		conn := c.connect(t, failover.Policy{WhenDown: failover.WhenDownWait, MaxInFlight: 1})
		time.AfterFunc(time.Second, func() { call(t.Context(), conn) })
		time.Sleep(time.Second)
		var attempts []failover.Attempt
		if err := receive(t.Context(), conn, failover.Trace(&attempts)); path(attempts) != "a:1 rejected sent" {
			t.Errorf("got %q, %v, want one attempt, and the replica's answer", path(attempts), err)
		}
	})
}
