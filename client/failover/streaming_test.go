package failover_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
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
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var (
	download = &grpc.StreamDesc{ServerStreams: true}
	upload   = &grpc.StreamDesc{ClientStreams: true}
	chat     = &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}
)

// open opens a stream of work.
func open(ctx context.Context, conn *grpc.ClientConn, desc *grpc.StreamDesc, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := conn.NewStream(ctx, desc, workMethod, opts...)
	if err == nil && desc == download {
		if err = stream.SendMsg(wrapperspb.String("go")); err == nil {
			err = stream.CloseSend()
		}
	}
	return stream, err
}

// drain receives all messages of a stream and returns them in one line, and what it ended with, nil for its end.
func drain(stream grpc.ClientStream) (got string, err error) {
	var all []string
	for {
		m := wrapperspb.String("left over")
		if err = stream.RecvMsg(m); err != nil {
			break
		}
		all = append(all, m.GetValue())
	}
	if err == io.EOF {
		err = nil
	}
	return strings.Join(all, " "), err
}

// fetch makes a call whose replies are a stream.
func fetch(ctx context.Context, conn *grpc.ClientConn, opts ...grpc.CallOption) (got string, attempts []failover.Attempt, err error) {
	stream, err := open(ctx, conn, download, append(opts, failover.Trace(&attempts))...)
	if err != nil {
		return "", attempts, err
	}
	got, err = drain(stream)
	return got, attempts, err
}

// says is what one message of a replica, of a stream's handler, is made of.
func say(stream grpc.ServerStream, words ...string) error {
	for _, word := range words {
		if err := stream.SendMsg(wrapperspb.String(word)); err != nil {
			return err
		}
	}
	return nil
}

func says(words ...string) func(grpc.ServerStream) error {
	return func(stream grpc.ServerStream) error { return say(stream, words...) }
}

// fails is a stream that ends with that code at once.
func fails(c codes.Code) func(grpc.ServerStream) error {
	return func(grpc.ServerStream) error { return status.Error(c, "as told") }
}

func hangs(stream grpc.ServerStream) error { return hang(stream.Context()) }

// What becomes of a stream of two replicas, of which the second is well.
func TestStream(t *testing.T) {
	crash := func(stream grpc.ServerStream, r *replica) error { go r.crash(); return hangs(stream) }
	none := map[string]bool{}
	for _, tc := range []struct {
		name   string
		policy failover.Policy
		a      func(stream grpc.ServerStream, r *replica) error
		got    string
		path   string
		code   codes.Code
		raw    bool // the error is the stream's own
		took   time.Duration
	}{
		{name: "well", a: func(s grpc.ServerStream, _ *replica) error { return say(s, "a1", "a2") }, got: "a1 a2", path: "a:1 ok sent"},
		{name: "empty", a: func(grpc.ServerStream, *replica) error { return nil }, path: "a:1 ok sent"},
		{name: "fails at once", a: func(s grpc.ServerStream, _ *replica) error { return fails(codes.Unavailable)(s) },
			got: "b1 b2", path: "a:1 failed sent, b:1 ok sent"},
		{name: "fails after its header, which nobody has seen", a: func(s grpc.ServerStream, _ *replica) error {
			s.SendHeader(metadata.Pairs("by", "a"))
			return fails(codes.Unavailable)(s)
		}, got: "b1 b2", path: "a:1 failed sent, b:1 ok sent"},
		{name: "lost before the first message", a: crash, got: "b1 b2", path: "a:1 lost sent, b:1 ok sent"},
		{name: "lost after the first message", a: func(s grpc.ServerStream, r *replica) error {
			say(s, "a1")
			time.Sleep(time.Millisecond) // until it is delivered
			return crash(s, r)
		}, got: "a1", path: "a:1 ok sent", code: codes.Unavailable, raw: true},
		{name: "fails after the first message", a: func(s grpc.ServerStream, _ *replica) error {
			say(s, "a1")
			return fails(codes.Unavailable)(s)
		}, got: "a1", path: "a:1 ok sent", code: codes.Unavailable, raw: true},
		{name: "rejected", policy: failover.Policy{Rounds: 3}, a: func(s grpc.ServerStream, _ *replica) error { return fails(codes.NotFound)(s) },
			path: "a:1 rejected sent", code: codes.NotFound},
		{name: "no message in time", policy: failover.Policy{Timeout: time.Second}, a: func(s grpc.ServerStream, _ *replica) error { return hangs(s) },
			got: "b1 b2", path: "a:1 timeout sent, b:1 ok sent", took: time.Second},
		{name: "a header in time, and no message", policy: failover.Policy{Timeout: time.Second}, a: func(s grpc.ServerStream, _ *replica) error {
			s.SendHeader(nil)
			return hangs(s)
		}, got: "b1 b2", path: "a:1 timeout sent, b:1 ok sent", took: time.Second},
		{name: "the second message takes its time", policy: failover.Policy{Timeout: time.Second}, a: func(s grpc.ServerStream, _ *replica) error {
			say(s, "a1")
			time.Sleep(time.Hour)
			return say(s, "a2")
		}, got: "a1 a2", path: "a:1 ok sent", took: time.Hour},
		{name: "not idempotent, sent", policy: failover.Policy{Idempotent: none},
			a: func(s grpc.ServerStream, _ *replica) error { return fails(codes.Unavailable)(s) }, path: "a:1 failed sent", code: codes.Unavailable},
		{name: "streams are not hedged", policy: failover.Policy{Hedge: failover.Hedge{After: ms}}, a: func(s grpc.ServerStream, _ *replica) error {
			time.Sleep(time.Second)
			return say(s, "a1")
		}, got: "a1", path: "a:1 ok sent", took: time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c[0].other = func(stream grpc.ServerStream) error { return tc.a(stream, c[0]) }
				c[1].other = says("b1", "b2")
				var s failover.Statistics
				tc.policy.Statistics = &s
				conn := c.connect(t, tc.policy)
				start := time.Now()
				got, attempts, err := fetch(t.Context(), conn)
				took := time.Since(start).Truncate(10 * ms)
				if got != tc.got || path(attempts) != tc.path || status.Code(err) != tc.code || took != tc.took {
					t.Errorf("got %q after %v by %q, %v; want %q after %v by %q, %v", got, took, path(attempts), err, tc.got, tc.took, tc.path, tc.code)
				}
				if _, ours := errors.AsType[*failover.Error](err); err != nil && ours == tc.raw {
					t.Errorf("error %#v: want the stream's own is %v", err, tc.raw)
				}
				wantAtRest(t, &s)
			})
		})
	}
}

// wantAtRest fails the test where something is still in flight, or the calls do not add up.
func wantAtRest(t *testing.T, s *failover.Statistics) {
	t.Helper()
	synctest.Wait()
	got := s.Read()
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

// A stream to replicas that are down: each is tried, be the method idempotent or not, until one is up.
func TestStreamOfWhichNothingWasSent(t *testing.T) {
	for _, desc := range []*grpc.StreamDesc{download, upload, chat} {
		t.Run(fmt.Sprintf("client streams %v, server streams %v", desc.ClientStreams, desc.ServerStreams), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c[1].other = says("b1")
				c.crash()
				conn := c.connect(t, failover.Policy{Idempotent: map[string]bool{}, Rounds: 2, Pause: time.Second})
				var attempts []failover.Attempt
				start := time.Now()
				_, err := open(t.Context(), conn, desc, failover.Trace(&attempts))
				if took := time.Since(start); took != time.Second || path(attempts) != "a:1 refused, b:1 refused, a:1 refused, b:1 refused" {
					t.Errorf("got %q after %v, want two rounds and one pause", path(attempts), took)
				}
				if failed, ok := errors.AsType[*failover.Error](err); !ok || failed.Reason != failover.RoundsSpent || !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("got %v, want a *failover.Error, and the refusal in its chain", err)
				}
				c[1].start()
				stream, err := open(t.Context(), conn, desc, failover.Trace(&attempts))
				if err != nil {
					t.Fatal(err)
				}
				m := new(wrapperspb.StringValue)
				if err := stream.RecvMsg(m); err != nil || m.GetValue() != "b1" {
					t.Errorf("got %v, %v, want b1", m, err)
				}
				if !strings.HasSuffix(path(attempts), "b:1 ok sent") {
					t.Errorf("got %q, want b at last", path(attempts))
				}
				conn.Close()
			})
		})
	}
}

// All replicas are too late with their first message: the code is that of a deadline, as for other calls.
func TestStreamThatTimesOutEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].other, c[1].other = hangs, hangs
		_, attempts, err := fetch(t.Context(), c.connect(t, failover.Policy{Timeout: time.Second, Rounds: 2}))
		if status.Code(err) != codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded) || len(attempts) != 4 {
			t.Errorf("got %q, %v, want four attempts and DeadlineExceeded, not the caller's", path(attempts), err)
		}
		for _, a := range attempts {
			if a.Outcome != failover.Timeout || a.Code() != codes.DeadlineExceeded || a.Duration != time.Second {
				t.Errorf("got %+v, want a timeout of 1s with its code", a)
			}
		}
	})
}

// The first message and the deadline for it come in the same instant: it is either of the two, and no message is of a replica
// that was given up.
func TestFirstMessageAtTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].other = func(stream grpc.ServerStream) error { time.Sleep(time.Second); return say(stream, "a1", "a2") }
		c[1].other = says("b1", "b2")
		conn := c.connect(t, failover.Policy{Timeout: time.Second, Ejection: failover.Ejection{After: -1}})
		seen := map[string]int{}
		for range 300 {
			got, attempts, err := fetch(t.Context(), conn)
			seen[fmt.Sprint(got, ": ", path(attempts), " ", err)]++
		}
		for what := range seen {
			if what != "a1 a2: a:1 ok sent <nil>" && what != "b1 b2: a:1 timeout sent, b:1 ok sent <nil>" {
				t.Errorf("%d times %s", seen[what], what)
			}
		}
	})
}

// Who has seen a header has seen something of that replica.
func TestHeaderCommitsAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].other = func(stream grpc.ServerStream) error {
			stream.SendHeader(metadata.Pairs("by", "a"))
			time.Sleep(time.Second)
			return status.Error(codes.Unavailable, "after the header")
		}
		c[1].other = func(stream grpc.ServerStream) error {
			stream.SetHeader(metadata.Pairs("by", "b"))
			stream.SetTrailer(metadata.Pairs("by", "b"))
			return say(stream, "b1")
		}
		var s failover.Statistics
		conn := c.connect(t, failover.Policy{Rounds: 2, Statistics: &s})
		var attempts []failover.Attempt
		stream, err := open(t.Context(), conn, download, failover.Trace(&attempts))
		if err != nil {
			t.Fatal(err)
		}
		if md, err := stream.Header(); err != nil || strings.Join(md["by"], " ") != "a" {
			t.Errorf("got the header %v, %v, want a's", md, err)
		}
		_, err = drain(stream)
		if path(attempts) != "a:1 failed sent" || status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "after the header") {
			t.Errorf("got %q, %v, want a's error at the only attempt", path(attempts), err)
		}

		c[0].other = fails(codes.Unavailable) // without a header there is nothing to see
		if stream, err = open(t.Context(), conn, download, failover.Trace(&attempts)); err != nil {
			t.Fatal(err)
		}
		if md, err := stream.Header(); err != nil || md["by"] != nil {
			t.Errorf("got the header %v, %v, want none", md, err)
		}
		if got, err := drain(stream); got != "b1" || err != nil || path(attempts) != "a:1 failed sent, b:1 ok sent" {
			t.Errorf("got %q by %q, %v, want b1 by b", got, path(attempts), err)
		}
		if md, _ := stream.Header(); strings.Join(md["by"], " ") != "b" || strings.Join(stream.Trailer()["by"], " ") != "b" {
			t.Errorf("got the header %v and the trailer %v, want b's", md, stream.Trailer())
		}
		wantAtRest(t, &s)
	})
}

// Before the one message with which it begins there is no stream to ask.
func TestStreamBeforeItsMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c[0].other = says("a1")
		stream, err := c.connect(t, failover.Policy{}).NewStream(t.Context(), download, workMethod)
		if err != nil {
			t.Fatal(err)
		}
		_, header := stream.Header()
		for what, err := range map[string]error{"RecvMsg": stream.RecvMsg(new(wrapperspb.StringValue)), "Header": header} {
			if status.Code(err) != codes.Internal || !strings.Contains(err.Error(), what+" before SendMsg") {
				t.Errorf("%s: got %v, want Internal, for it comes before SendMsg", what, err)
			}
		}
		if md := stream.Trailer(); md != nil || stream.Context() == nil {
			t.Errorf("got the trailer %v and the context %v, want none and the caller's", md, stream.Context())
		}
		if err := stream.SendMsg(wrapperspb.String("go")); err != nil {
			t.Fatal(err)
		}
		if got, err := drain(stream); got != "a1" || err != nil {
			t.Errorf("got %q, %v, want a1", got, err)
		}
	})
}

// Who asks a stream that has failed once more is told the same, and it counts once.
func TestStreamThatHasFailedIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].other, c[1].other = fails(codes.Unavailable), fails(codes.Unavailable)
		var s failover.Statistics
		calls := 0
		conn := c.connect(t, failover.Policy{Statistics: &s, OnCall: func(context.Context, failover.Call) { calls++ }})
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
		if calls != 1 || s.Read().Attempts[failover.Failed] != 2 {
			t.Errorf("told of %d calls and %d attempts that failed, want 1 and 2", calls, s.Read().Attempts[failover.Failed])
		}
		wantAtRest(t, &s)
	})
}

// At which moment each hook is called, and with what.
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
		{name: "the caller leaves", desc: download, a: func(s grpc.ServerStream) error { say(s, "a1"); return hangs(s) }, leave: true, finish: codes.Canceled},
		{name: "an upload", desc: upload, a: says("a1")},
		{name: "an upload that is rejected", desc: upload, a: fails(codes.NotFound), finish: codes.NotFound},
		{name: "a chat", desc: chat, a: says("a1")},
		{name: "a chat that the caller leaves", desc: chat, a: func(s grpc.ServerStream) error { say(s, "a1"); return hangs(s) }, leave: true, finish: codes.Canceled},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 1)
				c[0].other = tc.a
				var mu sync.Mutex
				var finished []error
				var calls []failover.Call
				var s failover.Statistics
				conn := c.connect(t, failover.Policy{Statistics: &s, OnCall: func(_ context.Context, c failover.Call) { calls = append(calls, c) }})
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
					t.Errorf("at the first message: told of the calls %+v, want one with %v and the attempts %q", calls, tc.call, path(attempts))
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
					t.Errorf("OnFinish was told %v, want once %v", finished, tc.finish)
				}
				wantAtRest(t, &s)
			})
		})
	}
}

// A caller may cancel and never receive: no place at a replica is lost with that, no trial, and nothing of ours goes on.
func TestStreamThatIsAbandoned(t *testing.T) {
	for _, tc := range []struct {
		name string
		a    func(grpc.ServerStream) error
		do   func(t *testing.T, ctx context.Context, conn *grpc.ClientConn)
	}{
		{"before the message with which it begins", hangs, func(t *testing.T, ctx context.Context, conn *grpc.ClientConn) {
			if _, err := conn.NewStream(ctx, download, workMethod); err != nil {
				t.Fatal(err)
			}
		}},
		{"before the first reply", hangs, func(t *testing.T, ctx context.Context, conn *grpc.ClientConn) {
			if _, err := open(ctx, conn, download); err != nil {
				t.Fatal(err)
			}
		}},
		{"while it is received", hangs, func(t *testing.T, ctx context.Context, conn *grpc.ClientConn) {
			stream, err := open(ctx, conn, download)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				_, err := drain(stream)
				failed, ok := errors.AsType[*failover.Error](err)
				if !ok || failed.Reason != failover.CallerEnded || !errors.Is(err, context.Canceled) || path(failed.Attempts) != "a:1 canceled sent" {
					t.Errorf("got %v, want that the caller has left", err)
				}
			}()
		}},
		{"after the first reply", func(s grpc.ServerStream) error { say(s, "a1"); return hangs(s) }, func(t *testing.T, ctx context.Context, conn *grpc.ClientConn) {
			stream, err := open(ctx, conn, download)
			if err == nil {
				err = stream.RecvMsg(new(wrapperspb.StringValue))
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
		{"in a pause", fails(codes.Unavailable), func(t *testing.T, ctx context.Context, conn *grpc.ClientConn) {
			stream, err := open(ctx, conn, download)
			if err != nil {
				t.Fatal(err)
			}
			go stream.RecvMsg(new(wrapperspb.StringValue))
		}},
		{"a chat", hangs, func(t *testing.T, ctx context.Context, conn *grpc.ClientConn) {
			if _, err := open(ctx, conn, chat); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, 1)
				c[0].other = tc.a
				var s failover.Statistics
				conn := c.connect(t, failover.Policy{Statistics: &s, MaxInFlight: 1, Rounds: 2, Pause: time.Hour, Timeout: time.Hour})
				ctx, cancel := context.WithCancel(t.Context())
				tc.do(t, ctx, conn)
				time.Sleep(time.Second)
				cancel()
				wantAtRest(t, &s)
				if _, err := call(t.Context(), conn); err != nil {
					t.Errorf("the next call: %v, want that there is room for it", err)
				}
			})
		})
	}
}

// A stream that is abandoned in the middle of failing over, at any moment.
func TestStreamIsCanceledAtAnyMoment(t *testing.T) {
	c := newCluster(t, 3)
	for i, r := range c {
		r.other = func(stream grpc.ServerStream) error {
			if i < 2 {
				return status.Error(codes.Unavailable, "no")
			}
			return say(stream, "c1", "c2")
		}
	}
	var s failover.Statistics
	conn := c.connect(t, failover.Policy{Statistics: &s, Rounds: 3, Order: failover.Random, Timeout: time.Second, Ejection: failover.Ejection{After: -1}})
	var callers sync.WaitGroup
	for k := range 8 {
		callers.Go(func() {
			for i := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Duration(i*(k+1))*time.Microsecond, cancel)
				if got, _, err := fetch(ctx, conn); err == nil && got != "c1 c2" {
					t.Errorf("got %q, want c1 c2", got)
				}
				cancel()
			}
		})
	}
	callers.Wait()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(ms) {
		got := s.Read()
		ended, flying := got.Succeeded, 0
		for _, n := range got.Failed {
			ended += n
		}
		for _, r := range got.Replicas {
			flying += r.InFlight
		}
		if ended == got.Calls && flying == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d calls have ended, %d attempts are in flight", ended, got.Calls, flying)
		}
	}
}

// Once it is open, a stream that the client sends on is the replica's for good, and that it is open is no proof of anything.
func TestChatGoesOnOnlyUntilItIsOpen(t *testing.T) {
	for _, desc := range []*grpc.StreamDesc{upload, chat} {
		t.Run(fmt.Sprintf("server streams %v", desc.ServerStreams), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, works := newWork(t, 2)
				works[0].does(answer(codes.Unavailable))
				var s failover.Statistics
				conn := c.connect(t, failover.Policy{Statistics: &s, Timeout: time.Second})
				for range 3 {
					stream, err := open(t.Context(), conn, desc)
					if err != nil {
						t.Fatal(err)
					}
					if r := s.Read().Replicas[0]; r.InFlight != 0 || r.Attempts[failover.OK] == 0 {
						t.Errorf("once it is open: %+v, want it counted as over", r)
					}
					time.Sleep(10 * time.Second) // the attempt's deadline is met
					stream.SendMsg(new(healthv1.HealthCheckRequest))
					err = stream.RecvMsg(new(wrapperspb.StringValue))
					if _, ours := errors.AsType[*failover.Error](err); ours || status.Code(err) != codes.Unavailable {
						t.Errorf("got %v, want the replica's own Unavailable", err)
					}
					wantPath(t, conn, "a:1 failed sent, b:1 ok sent")
				}
				wantPath(t, conn, "b:1 ok sent") // three in a row
			})
		})
	}
}

// The attempt's deadline bounds the wait for a connection.
func TestChatWaitsForAConnectionUntilTheTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		conn := c.client(t, c.target(), failover.Policy{Timeout: time.Second, Rounds: 2}, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
		var attempts []failover.Attempt
		start := time.Now()
		_, err := open(t.Context(), conn, chat, failover.Trace(&attempts))
		if took := time.Since(start); path(attempts) != "a:1 timeout, a:1 timeout" || status.Code(err) != codes.DeadlineExceeded || took != 2*time.Second {
			t.Errorf("got %q, %v after %v, want two timeouts in 2s", path(attempts), err, took)
		}
	})
}

// Sending and receiving at a time, on many streams at a time.
func TestChatsSendAndReceiveAtATime(t *testing.T) {
	c := newCluster(t, 2)
	for _, r := range c {
		r.other = func(stream grpc.ServerStream) error {
			for {
				m := new(wrapperspb.StringValue)
				if err := stream.RecvMsg(m); err == io.EOF {
					return nil
				} else if err != nil {
					return err
				}
				if err := stream.SendMsg(m); err != nil {
					return err
				}
			}
		}
	}
	conn := c.connect(t, failover.Policy{Order: failover.RoundRobin, Timeout: time.Minute})
	const words = 200
	var chats sync.WaitGroup
	for range 8 {
		chats.Go(func() {
			stream, err := open(t.Context(), conn, chat)
			if err != nil {
				t.Error(err)
				return
			}
			chats.Go(func() {
				for i := range words {
					if err := stream.SendMsg(wrapperspb.String(fmt.Sprint(i))); err != nil {
						t.Error(err)
					}
				}
				stream.CloseSend()
			})
			if got, err := drain(stream); err != nil || len(strings.Fields(got)) != words {
				t.Errorf("got %d words, %v, want %d", len(strings.Fields(got)), err, words)
			}
		})
	}
	chats.Wait()
}

// The sender of a chat is told that the replica is gone before the receiver looks.
func TestChatEndsForItsSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1)
		c[0].other = fails(codes.Unavailable)
		var finished []error
		stream, err := open(t.Context(), c.connect(t, failover.Policy{}), chat, grpc.OnFinish(func(err error) { finished = append(finished, err) }))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := stream.SendMsg(wrapperspb.String("?")); err != io.EOF {
			t.Errorf("sending: got %v, want EOF", err)
		}
		if err := stream.RecvMsg(new(wrapperspb.StringValue)); status.Code(err) != codes.Unavailable {
			t.Errorf("receiving: got %v, want Unavailable", err)
		}
		if len(finished) != 1 || status.Code(finished[0]) != codes.Unavailable {
			t.Errorf("OnFinish was told %v, want once Unavailable", finished)
		}
	})
}

// A request that cannot be marshaled ends the call before anything is asked of another replica.
func TestStreamOfNoMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 2)
		var s failover.Statistics
		stream, err := c.connect(t, failover.Policy{Statistics: &s, Rounds: 3}).NewStream(t.Context(), download, workMethod)
		if err != nil {
			t.Fatal(err)
		}
		err = stream.SendMsg("no message")
		failed, ok := errors.AsType[*failover.Error](err)
		if !ok || status.Code(err) != codes.Internal || len(failed.Attempts) != 1 {
			t.Errorf("got %v, want Internal after one attempt", err)
		}
		if again := stream.RecvMsg(new(wrapperspb.StringValue)); again != err {
			t.Errorf("receiving: got %v, want the same", again)
		}
		wantAtRest(t, &s)
	})
}
