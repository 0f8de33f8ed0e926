package failover_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// wantAtRest fails the test if something is still in flight, or the counts of calls do not add up.
func wantAtRest(t *testing.T, conn *failover.Client) {
	t.Helper()
	synctest.Wait()
	got := conn.Statistics()
	ended := got.Succeeded
	for _, n := range got.Failed {
		ended += n
	}
	if ended != got.Calls || got.Waiting != 0 {
		t.Errorf("%d of %d calls have ended, and %d wait", ended, got.Calls, got.Waiting)
	}
	for _, r := range got.Replicas {
		if r.InFlight != 0 {
			t.Errorf("%s has %d attempts in flight", r.Replica, r.InFlight)
		}
	}
}

// A failed stream keeps returning the same error, and counts once.
func TestFailedStreamKeepsItsError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].other, c[1].other = fails(codes.Unavailable), fails(codes.Unavailable)
		calls := 0
		conn := c.connect(t, failover.Policy{OnCall: func(context.Context, failover.Call) { calls++ }})
		stream, err := open(t.Context(), conn, download)
		if err != nil {
			t.Fatal(err)
		}
		first := stream.RecvMsg(new(wrapperspb.StringValue))
		for range 3 {
			if err := stream.RecvMsg(new(wrapperspb.StringValue)); err != first || err == nil {
				t.Errorf("got %v, want %v", err, first)
			}
		}
		if calls != 1 || conn.Statistics().Attempts[failover.OutcomeFailed] != 2 {
			t.Errorf("%d calls and %d failed attempts reported, want 1 and 2", calls, conn.Statistics().Attempts[failover.OutcomeFailed])
		}
		wantAtRest(t, conn)
	})
}

// When each hook is called, and with which arguments.
func TestHooksOfAStream(t *testing.T) {
	for _, tc := range []struct {
		name   string
		desc   *grpc.StreamDesc
		a      func(grpc.ServerStream) error
		leave  bool // the caller cancels after the first message, and does not receive again
		call   codes.Code
		finish codes.Code
	}{
		{name: "to its end", desc: download, a: says("a1", "a2")},
		{name: "an error at last", desc: download, a: func(s grpc.ServerStream) error { say(s, "a1"); return fails(codes.NotFound)(s) }, finish: codes.NotFound},
		{name: "rejected", desc: download, a: fails(codes.NotFound), call: codes.NotFound, finish: codes.NotFound},
		{name: "canceled by the caller", desc: download, a: func(s grpc.ServerStream) error { say(s, "a1"); return hangs(s) }, leave: true, finish: codes.Canceled},
		{name: "an upload", desc: upload, a: says("a1")},
		{name: "an upload that is rejected", desc: upload, a: fails(codes.NotFound), call: codes.NotFound, finish: codes.NotFound},
		{name: "a chat", desc: chat, a: says("a1")},
		{name: "a chat canceled by the caller", desc: chat, a: func(s grpc.ServerStream) error { say(s, "a1"); return hangs(s) }, leave: true, finish: codes.Canceled},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 1)
				c[0].other = tc.a
				var mu sync.Mutex
				var finished []error
				var calls []failover.Call
				conn := c.connect(t, failover.Policy{OnCall: func(_ context.Context, c failover.Call) { calls = append(calls, c) }})
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var attempts []failover.Attempt
				stream, err := open(ctx, conn, tc.desc, failover.Trace(&attempts), grpc.OnFinish(func(err error) {
					mu.Lock()
					defer mu.Unlock()
					finished = append(finished, err)
				}))
				if err != nil {
					t.Fatal(err)
				}
				err = stream.RecvMsg(new(wrapperspb.StringValue))
				if len(calls) != 1 || status.Code(calls[0].Err) != tc.call || path(calls[0].Attempts) != path(attempts) || len(attempts) != 1 {
					t.Errorf("at the first message: OnCall got %+v, want one with %v and the attempts %q", calls, tc.call, path(attempts))
				}
				if tc.leave {
					cancel()
				} else if err == nil && tc.desc.ServerStreams {
					drain(stream)
				}
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				if len(finished) != 1 || status.Code(finished[0]) != tc.finish {
					t.Errorf("OnFinish got %v, want %v once", finished, tc.finish)
				}
				wantAtRest(t, conn)
			})
		})
	}
}

// A caller may cancel and never receive. That must not lose a place at a replica or a trial, nor
// leave a goroutine behind.
func TestStreamThatIsAbandoned(t *testing.T) {
	for _, tc := range []struct {
		name string
		a    func(grpc.ServerStream) error
		do   func(t *testing.T, ctx context.Context, conn *failover.Client)
	}{
		{"before the message with which it begins", hangs, func(t *testing.T, ctx context.Context, conn *failover.Client) {
			if _, err := conn.NewStream(ctx, download, workMethod); err != nil {
				t.Fatal(err)
			}
		}},
		{"before the first reply", hangs, func(t *testing.T, ctx context.Context, conn *failover.Client) {
			if _, err := open(ctx, conn, download); err != nil {
				t.Fatal(err)
			}
		}},
		{"while it is received", hangs, func(t *testing.T, ctx context.Context, conn *failover.Client) {
			stream, err := open(ctx, conn, download)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				_, err := drain(stream)
				failed, ok := errors.AsType[*failover.Error](err)
				if !ok || failed.Reason != failover.ReasonCallerEnded || !errors.Is(err, context.Canceled) || path(failed.Attempts) != "a:1 canceled sent" {
					t.Errorf("got %v, want that the caller has left", err)
				}
			}()
		}},
		{"after the first reply", func(s grpc.ServerStream) error { say(s, "a1"); return hangs(s) }, func(t *testing.T, ctx context.Context, conn *failover.Client) {
			stream, err := open(ctx, conn, download)
			if err == nil {
				err = stream.RecvMsg(new(wrapperspb.StringValue))
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
		{"in a pause", fails(codes.Unavailable), func(t *testing.T, ctx context.Context, conn *failover.Client) {
			stream, err := open(ctx, conn, download)
			if err != nil {
				t.Fatal(err)
			}
			go stream.RecvMsg(new(wrapperspb.StringValue))
		}},
		{"a chat", hangs, func(t *testing.T, ctx context.Context, conn *failover.Client) {
			if _, err := open(ctx, conn, chat); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 1)
				c[0].other = tc.a
				conn := c.connect(t, failover.Policy{MaxInFlight: 1, Rounds: 2, Pause: time.Hour, Timeout: time.Hour})
				ctx, cancel := context.WithCancel(t.Context())
				tc.do(t, ctx, conn)
				time.Sleep(time.Second)
				cancel()
				wantAtRest(t, conn)
				if _, err := call(t.Context(), conn); err != nil {
					t.Errorf("the next call: %v, want that there is room for it", err)
				}
			})
		})
	}
}

// A stream may be canceled at any moment while it fails over.
func TestStreamIsCanceledAtAnyMoment(t *testing.T) {
	t.Parallel()
	c := newCluster(t, 3)
	for i, r := range c {
		r.other = func(stream grpc.ServerStream) error {
			if i < 2 {
				return status.Error(codes.Unavailable, "no")
			}
			return say(stream, "c1", "c2")
		}
	}
	var told tally
	conn := c.connect(t, told.policy(failover.Policy{
		Rounds: 3, Order: failover.OrderRandom, Timeout: time.Second, Ejection: failover.Ejection{Off: true},
	}))
	var callers sync.WaitGroup
	for k := range 8 {
		callers.Go(func() {
			for i := range times(100) {
				told.begins()
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Duration(2*i*(k+1))*time.Microsecond, cancel)
				if got, _, err := fetch(ctx, conn); err == nil && got != "c1 c2" {
					t.Errorf("got %q, want c1 c2", got)
				}
				cancel()
			}
		})
	}
	callers.Wait()
	told.check(t, conn)
}
