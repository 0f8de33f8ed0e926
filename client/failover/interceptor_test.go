package failover_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func TestHungReplicaCostsOneTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3)
		c[0].handle = hang
		conn := c.connect(t, failover.Policy{Timeout: time.Second})
		start := time.Now()
		attempts, err := call(t.Context(), conn)
		if err != nil || path(attempts) != "a:1 timeout sent, b:1 ok sent" {
			t.Errorf("got %q, %v", path(attempts), err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v, want exactly one timeout", took)
		}
	})
}

// An attempt begins when the previous one has ended.
func TestAttemptStartAndDuration(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].handle = hang
		conn := c.connect(t, failover.Policy{Timeout: time.Second})
		start := time.Now()
		attempts, err := call(t.Context(), conn)
		if path(attempts) != "a:1 timeout sent, b:1 ok sent" {
			t.Fatalf("got %q, %v", path(attempts), err)
		}
		for i, want := range []struct{ after, took time.Duration }{{0, time.Second}, {time.Second, 0}} {
			if a := attempts[i]; a.Start.Sub(start) != want.after || a.Duration != want.took {
				t.Errorf("%s began after %v and took %v, want %v and %v", a.Replica, a.Start.Sub(start), a.Duration, want.after, want.took)
			}
		}
	})
}

func TestAllDownCostsTwoPauses(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3)
		c.crash()
		conn := c.connect(t, failover.Policy{Timeout: time.Second, Rounds: 3, Pause: 200 * time.Millisecond})
		start := time.Now()
		attempts, err := call(t.Context(), conn)
		if took := time.Since(start); took != 400*time.Millisecond {
			t.Errorf("took %v, want exactly two pauses", took)
		}
		if want := strings.Repeat("a:1 refused, b:1 refused, c:1 refused, ", 3); path(attempts)+", " != want {
			t.Errorf("got %q", path(attempts))
		}
		var failed *failover.Error
		if !errors.As(err, &failed) || len(failed.Attempts) != 9 || failed.Attempts[8].Round != 3 {
			t.Errorf("error %#v, want a *failover.Error with nine attempts", err)
		}
		if status.Code(err) != codes.Unavailable || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("error %v: want Unavailable, and the refusal in its chain", err)
		}
	})
}

// Every outcome, with Sent and the error of the call.
func TestOutcomes(t *testing.T) {
	for _, tc := range []struct {
		name    string
		prepare func(c cluster)
		policy  failover.Policy
		budget  time.Duration
		want    string
		code    codes.Code
		is      error
	}{
		{name: "refused", prepare: func(c cluster) { c[0].crash() }, want: "a:1 refused", code: codes.Unavailable, is: syscall.ECONNREFUSED},
		{name: "failed", prepare: func(c cluster) { c[0].handle = answer(codes.Unavailable) }, want: "a:1 failed sent", code: codes.Unavailable},
		{name: "lost", prepare: func(c cluster) {
			c[0].handle = func(ctx context.Context) error { go c[0].crash(); <-ctx.Done(); return ctx.Err() }
		}, want: "a:1 lost sent", code: codes.Unavailable},
		{name: "timeout", prepare: func(c cluster) { c[0].handle = hang }, policy: failover.Policy{Timeout: time.Second},
			want: "a:1 timeout sent", code: codes.DeadlineExceeded},
		{name: "rejected", prepare: func(c cluster) { c[0].handle = answer(codes.InvalidArgument) }, policy: failover.Policy{Rounds: 3},
			want: "a:1 rejected sent", code: codes.InvalidArgument},
		{name: "the replica's own deadline error is an answer", prepare: func(c cluster) { c[0].handle = answer(codes.DeadlineExceeded) },
			policy: failover.Policy{Timeout: time.Second}, want: "a:1 rejected sent", code: codes.DeadlineExceeded},
		{name: "retryable by policy", prepare: func(c cluster) { c[0].handle = answer(codes.Aborted) },
			policy: failover.Policy{Retryable: []codes.Code{codes.Aborted}}, want: "a:1 failed sent", code: codes.Aborted},
		{name: "not in the policy's list", prepare: func(c cluster) { c[0].handle = answer(codes.Unavailable) },
			policy: failover.Policy{Retryable: []codes.Code{codes.Aborted}}, want: "a:1 rejected sent", code: codes.Unavailable},
		{name: "caller's deadline", prepare: func(c cluster) { c[0].handle = hang }, policy: failover.Policy{Timeout: time.Minute, Rounds: 3},
			budget: time.Second, want: "a:1 canceled sent", code: codes.DeadlineExceeded, is: context.DeadlineExceeded},
		{name: "no time for the pause", prepare: func(c cluster) { c[0].crash() }, policy: failover.Policy{Rounds: 2, Pause: time.Minute},
			budget: time.Second, want: "a:1 refused", code: codes.Unavailable, is: syscall.ECONNREFUSED},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 1)
				tc.prepare(c)
				if tc.budget == 0 {
					tc.budget = long
				}
				ctx, cancel := context.WithTimeout(t.Context(), tc.budget)
				defer cancel()
				attempts, err := call(ctx, c.connect(t, tc.policy))
				if path(attempts) != tc.want {
					t.Errorf("got %q, want %q", path(attempts), tc.want)
				}
				if status.Code(err) != tc.code {
					t.Errorf("code %v, want %v", status.Code(err), tc.code)
				}
				if tc.is != nil && !errors.Is(err, tc.is) {
					t.Errorf("error %v: want %v in its chain", err, tc.is)
				}
				if tc.is != context.DeadlineExceeded && errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v claims that the caller's deadline has passed", err)
				}
				if len(attempts) > 0 && !strings.Contains(err.Error(), attempts[0].String()) {
					t.Errorf("error %q does not name the attempt %q", err, attempts[0])
				}
			})
		})
	}
}

func TestCallerCancels(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		ctx, cancel := context.WithCancel(t.Context())
		c[0].handle = func(ctx context.Context) error { cancel(); return hang(ctx) }
		attempts, err := call(ctx, c.connect(t, failover.Policy{Timeout: time.Second, Rounds: 2}))
		if path(attempts) != "a:1 canceled sent" || status.Code(err) != codes.Canceled || !errors.Is(err, context.Canceled) {
			t.Errorf("got %q, %v", path(attempts), err)
		}
	})
}

func TestPrefersReadyReplicas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 3)
		conn := c.connect(t, failover.Policy{})
		c[0].crash()
		synctest.Wait()
		for range 10 {
			if attempts, err := call(t.Context(), conn); err != nil || path(attempts) != "b:1 ok sent" {
				t.Fatalf("got %q, %v: want the first ready replica at once", path(attempts), err)
			}
		}
	})
}

// The first call starts at the first replica, each further call at the next one.
func TestRoundRobinSharesTheCalls(t *testing.T) {
	c := newCluster(t, 3)
	conn := c.connect(t, failover.Policy{Order: failover.OrderRoundRobin})
	for i := range 30 {
		want := c[i%3].addr + " ok sent"
		if attempts, err := call(t.Context(), conn); path(attempts) != want {
			t.Fatalf("call %d: got %q, %v, want %q", i+1, path(attempts), err, want)
		}
	}
	for _, r := range c {
		if r.served.Load() != 10 {
			t.Errorf("%s served %d of 30 calls, want 10", r.addr, r.served.Load())
		}
	}
}

// Sixteen callers share a connection to three replicas, two of which crash and come back at every
// twentieth request. No round tries a replica twice, and the healthy replica suffices for every
// call, in one round.
func TestRoundsAreDistinctUnderConcurrency(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	for _, r := range c[:2] {
		r.handle = func(ctx context.Context) error {
			if r.served.Load()%20 != 0 {
				return nil
			}
			r.relaunch()
			return hang(ctx)
		}
	}
	conn := c.connect(t, failover.Policy{Order: failover.OrderRoundRobin})
	var lost atomic.Int64
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for range times(60) {
				attempts, err := call(t.Context(), conn)
				if err != nil {
					t.Errorf("a call failed with one healthy replica: %v", err)
				}
				lost.Add(int64(len(attempts) - 1))
				seen := map[string]bool{}
				for _, a := range attempts {
					if seen[a.Replica] {
						t.Errorf("one round tried %s twice: %s", a.Replica, path(attempts))
					}
					seen[a.Replica] = true
				}
			}
		})
	}
	callers.Wait()
	if lost.Load() == 0 {
		t.Error("no attempt failed, want some")
	}
}

// An attempt reaches the replica that it names, and no other.
func TestAttemptsReachTheReplicaTheyName(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	for _, r := range c {
		r.handle = func(ctx context.Context) error {
			grpc.SetHeader(ctx, metadata.Pairs("served-by", r.addr))
			if rand.IntN(2) == 0 {
				return status.Error(codes.Unavailable, "by chance")
			}
			return nil
		}
	}
	conn := c.connect(t, failover.Policy{Rounds: 30, Order: failover.OrderRoundRobin})
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for range times(25) {
				var header metadata.MD
				attempts, err := call(t.Context(), conn, grpc.Header(&header))
				if err != nil {
					t.Errorf("call failed: %v", err)
					return
				}
				last := attempts[len(attempts)-1].Replica
				if by := header.Get("served-by"); len(by) != 1 || by[0] != last {
					t.Errorf("the attempt at %s was served by %v", last, by)
				}
			}
		})
	}
	callers.Wait()
}

func TestWaitForReadyDoesNotHoldARound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].crash()
		start := time.Now()
		attempts, err := call(t.Context(), c.connect(t, failover.Policy{Timeout: time.Second}), grpc.WaitForReady(true))
		if err != nil || time.Since(start) != 0 {
			t.Errorf("got %q, %v after %v", path(attempts), err, time.Since(start))
		}
	})
}

// gRPC ends a request with two replies without notifying the picker. The attempt was sent
// nevertheless.
func TestSurplusReplyCountsAsSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c[0].other = func(stream grpc.ServerStream) error {
			return errors.Join(stream.SendMsg(new(healthv1.HealthCheckResponse)), stream.SendMsg(new(healthv1.HealthCheckResponse)))
		}
		var attempts []failover.Attempt
		err := c.connect(t, failover.Policy{}).Invoke(t.Context(), "/a/Method", new(healthv1.HealthCheckRequest),
			new(healthv1.HealthCheckResponse), failover.Trace(&attempts))
		if path(attempts) != "a:1 rejected sent" || status.Code(err) != codes.Internal {
			t.Errorf("got %q, %v, want a rejected attempt that was sent, and Internal", path(attempts), err)
		}
	})
}
