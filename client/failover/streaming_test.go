package failover_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
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
func open(ctx context.Context, conn grpc.ClientConnInterface, desc *grpc.StreamDesc, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := conn.NewStream(ctx, desc, workMethod, opts...)
	if err == nil && desc == download {
		if err = stream.SendMsg(wrapperspb.String("go")); err == nil {
			err = stream.CloseSend()
		}
	}
	return stream, err
}

// drain receives all messages of a stream and returns them in one line, with its error, which is
// nil at its end.
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

// fetch makes a server-streaming call.
func fetch(ctx context.Context, conn grpc.ClientConnInterface, opts ...grpc.CallOption) (got string, attempts []failover.Attempt, err error) {
	stream, err := open(ctx, conn, download, append(opts, failover.Trace(&attempts))...)
	if err != nil {
		return "", attempts, err
	}
	got, err = drain(stream)
	return got, attempts, err
}

// says returns a handler that sends the words, one in each message.
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

// fails returns a handler that ends the stream with the code at once.
func fails(c codes.Code) func(grpc.ServerStream) error {
	return func(grpc.ServerStream) error { return status.Error(c, "as requested") }
}

func hangs(stream grpc.ServerStream) error { return hang(stream.Context()) }

// A stream to two replicas, of which the second is healthy.
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
		raw    bool // the error is that of the replica's stream
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
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c[0].other = func(stream grpc.ServerStream) error { return tc.a(stream, c[0]) }
				c[1].other = says("b1", "b2")
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
				wantAtRest(t, conn)
			})
		})
	}
}

// A stream to replicas that are down tries each until one is up, whether or not the method is
// idempotent.
func TestUnsentStreamIsRepeated(t *testing.T) {
	for _, desc := range []*grpc.StreamDesc{download, upload, chat} {
		t.Run(fmt.Sprintf("client streams %v, server streams %v", desc.ClientStreams, desc.ServerStreams), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
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
				if failed, ok := errors.AsType[*failover.Error](err); !ok || failed.Reason != failover.ReasonRoundsSpent || !errors.Is(err, syscall.ECONNREFUSED) {
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

// If the first message of every replica is too late, the code is DeadlineExceeded, as for unary
// calls.
func TestStreamThatTimesOutEverywhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].other, c[1].other = hangs, hangs
		_, attempts, err := fetch(t.Context(), c.connect(t, failover.Policy{Timeout: time.Second, Rounds: 2}))
		if status.Code(err) != codes.DeadlineExceeded || errors.Is(err, context.DeadlineExceeded) || len(attempts) != 4 {
			t.Errorf("got %q, %v, want four attempts and DeadlineExceeded, not the caller's", path(attempts), err)
		}
		for _, a := range attempts {
			if a.Outcome != failover.OutcomeTimeout || a.Code() != codes.DeadlineExceeded || a.Duration != time.Second {
				t.Errorf("got %+v, want a timeout of 1s with its code", a)
			}
		}
	})
}

// If the first message comes in the instant of its deadline, either may win, but no message of an
// abandoned replica is delivered.
func TestFirstMessageAtTheLastMoment(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].other = func(stream grpc.ServerStream) error { time.Sleep(time.Second); return say(stream, "a1", "a2") }
		c[1].other = says("b1", "b2")
		conn := c.connect(t, failover.Policy{Timeout: time.Second, Ejection: failover.Ejection{Off: true}})
		seen := map[string]int{}
		for range times(100) {
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

// A stream whose header the caller has seen does not fail over.
func TestHeaderCommitsAStream(t *testing.T) {
	bubble(t, func(t *testing.T) {
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
		conn := c.connect(t, failover.Policy{Rounds: 2})
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
		wantAtRest(t, conn)
	})
}

// A server-streaming call begins with its message; before that there is no stream.
func TestStreamBeforeItsMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
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

// A request that cannot be marshaled ends the call before another replica is tried.
func TestStreamOfInvalidMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		conn := c.connect(t, failover.Policy{Rounds: 3})
		stream, err := conn.NewStream(t.Context(), download, workMethod)
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
		wantAtRest(t, conn)
	})
}
