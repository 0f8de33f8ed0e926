package failover_test

import (
	"context"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// pushback returns a handler that answers with a status and the pushback trailer.
func pushback(c codes.Code, ms ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		grpc.SetTrailer(ctx, metadata.MD{"grpc-retry-pushback-ms": ms})
		return status.Error(c, "not now")
	}
}

// A call is repeated when the replica says, even at another replica, and ends at once if that would
// be too late.
func TestPushbackIsObeyed(t *testing.T) {
	const soon, all = "a:1 failed sent, b:1 ok sent", 2 * time.Second
	for _, tc := range []struct {
		name     string
		trailer  []string
		policy   failover.Policy
		deadline time.Duration // zero: none
		want     string
		took     time.Duration
		reason   failover.Reason
	}{
		{name: "at once", trailer: []string{"0"}, want: soon, reason: -1},
		{name: "later", trailer: []string{"250"}, want: soon, took: 250 * time.Millisecond, reason: -1},
		{name: "later, and within the deadline", trailer: []string{"1999"}, deadline: all, want: soon, took: 1999 * time.Millisecond, reason: -1},
		{name: "later, under WhenDownWait", trailer: []string{"250"}, policy: failover.Policy{WhenDown: failover.WhenDownWait}, want: soon, took: 250 * time.Millisecond, reason: -1},
		{name: "at the deadline", trailer: []string{"2000"}, deadline: all, want: "a:1 failed sent", reason: failover.ReasonPushedBack},
		{name: "after the deadline", trailer: []string{"60000"}, deadline: all, want: "a:1 failed sent", reason: failover.ReasonPushedBack},
		{name: "too late for MinTimeout", trailer: []string{"1500"}, policy: failover.Policy{MinTimeout: time.Second}, deadline: all,
			want: "a:1 failed sent", reason: failover.ReasonPushedBack},
		{name: "in time for MinTimeout", trailer: []string{"1000"}, policy: failover.Policy{MinTimeout: time.Second}, deadline: all,
			want: soon, took: time.Second, reason: -1},
		{name: "longer than any Duration", trailer: []string{"9223372036854775807"}, deadline: all, want: "a:1 failed sent", reason: failover.ReasonPushedBack},
		{name: "never", trailer: []string{"-1"}, want: "a:1 failed sent", reason: failover.ReasonPushedBack},
		{name: "never, under WhenDownWait", trailer: []string{"-1"}, policy: failover.Policy{WhenDown: failover.WhenDownWait}, want: "a:1 failed sent", reason: failover.ReasonPushedBack},
		{name: "not a number", trailer: []string{"soon"}, want: "a:1 failed sent", reason: failover.ReasonPushedBack},
		{name: "not a whole number", trailer: []string{"1.5"}, want: "a:1 failed sent", reason: failover.ReasonPushedBack},
		{name: "nothing", trailer: []string{""}, want: "a:1 failed sent", reason: failover.ReasonPushedBack},
		{name: "too large", trailer: []string{"9223372036854775808"}, want: "a:1 failed sent", reason: failover.ReasonPushedBack},
		{name: "two", trailer: []string{"1", "2"}, want: "a:1 failed sent", reason: failover.ReasonPushedBack},
		{name: "not idempotent", trailer: []string{"1"}, policy: failover.Policy{Idempotent: map[string]bool{"/": false}},
			want: "a:1 failed sent", reason: failover.ReasonAmbiguous},
		{name: "not retryable", trailer: []string{"1"}, policy: failover.Policy{Retryable: []codes.Code{codes.Aborted}},
			want: "a:1 rejected sent", reason: failover.ReasonNotRetryable},
		{name: "later than the budget", trailer: []string{"250"}, policy: failover.Policy{Budget: failover.Budget{PerSecond: 1e-3, Burst: 1}},
			want: soon, took: 250 * time.Millisecond, reason: -1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c[0].handle = pushback(codes.Unavailable, tc.trailer...)
				ctx := t.Context()
				if tc.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tc.deadline)
					defer cancel()
				}
				conn := c.connect(t, tc.policy)
				start := time.Now()
				attempts, err := call(ctx, conn)
				if path(attempts) != tc.want || reason(err) != tc.reason {
					t.Errorf("got %q, %v, want %q and the reason %v", path(attempts), err, tc.want, tc.reason)
				}
				if took := time.Since(start); took != tc.took {
					t.Errorf("took %v, want %v", took, tc.took)
				}
			})
		})
	}
}

// If a pause is due as well, at least the time of the pushback passes.
func TestPushbackAtTheEndOfARound(t *testing.T) {
	for _, tc := range []struct {
		pause, pushback time.Duration
	}{{time.Second, 250 * time.Millisecond}, {250 * time.Millisecond, time.Second}} {
		bubble(t, func(t *testing.T) {
			c := newCluster(t, 1)
			c[0].handle = pushback(codes.Unavailable, "250")
			if tc.pushback == time.Second {
				c[0].handle = pushback(codes.Unavailable, "1000")
			}
			attempts, _ := call(t.Context(), c.connect(t, failover.Policy{Rounds: 2, Pause: tc.pause}))
			if len(attempts) != 2 {
				t.Fatalf("got %q, want two attempts", path(attempts))
			}
			if gap := attempts[1].Start.Sub(attempts[0].Start); gap < time.Second || gap > tc.pause+tc.pushback {
				t.Errorf("after a pushback of %v and a pause of %v the next attempt began in %v", tc.pushback, tc.pause, gap)
			}
		})
	}
}

// Only the last attempt counts: an earlier pushback has already been obeyed.
func TestEachAttemptPushesBackForItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 4)
		c[0].handle = pushback(codes.Unavailable, "100")
		c[1].handle = answer(codes.Unavailable)
		c[2].handle = pushback(codes.Unavailable, "300")
		c[3].handle = func(ctx context.Context) error {
			return grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", "-1"))
		}
		start := time.Now()
		attempts, err := call(t.Context(), c.connect(t, failover.Policy{}))
		if want := "a:1 failed sent, b:1 failed sent, c:1 failed sent, d:1 ok sent"; err != nil || path(attempts) != want {
			t.Fatalf("got %q, %v, want %q", path(attempts), err, want)
		}
		for i, want := range []time.Duration{0, 100, 100, 400} {
			if after := attempts[i].Start.Sub(start); after != want*time.Millisecond {
				t.Errorf("attempt %d began after %v, want %vms", i+1, after, want.Nanoseconds())
			}
		}
	})
}

func TestCallerCancelsDuringAPushback(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 2)
		c[0].handle = pushback(codes.Unavailable, "5000")
		ctx, cancel := context.WithCancel(t.Context())
		conn := c.connect(t, failover.Policy{})
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		attempts, err := call(ctx, conn)
		if path(attempts) != "a:1 failed sent" || status.Code(err) != codes.Canceled || reason(err) != failover.ReasonCallerEnded {
			t.Errorf("got %q, %v, want Canceled after one attempt", path(attempts), err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v, want until the caller left after 1s", took)
		}
	})
}

// A stream obeys a pushback like a unary call.
func TestPushbackOfAStream(t *testing.T) {
	for _, tc := range []struct {
		trailer string
		code    codes.Code
		took    time.Duration
	}{{"250", codes.Unimplemented, 250 * time.Millisecond}, {"-1", codes.Unavailable, 0}} {
		t.Run(tc.trailer, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newCluster(t, 2)
				c[0].other = func(stream grpc.ServerStream) error {
					stream.SetTrailer(metadata.Pairs("grpc-retry-pushback-ms", tc.trailer))
					return status.Error(codes.Unavailable, "not now")
				}
				conn := c.connect(t, failover.Policy{})
				start := time.Now()
				err := receive(t.Context(), conn)
				if took := time.Since(start); status.Code(err) != tc.code || took != tc.took {
					t.Errorf("got %v after %v, want %v after %v", err, took, tc.code, tc.took)
				}
			})
		})
	}
}

// open opens a server stream that the replicas answer with other.
func openCheck(ctx context.Context, conn grpc.ClientConnInterface, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/a/Method", opts...)
	if err != nil {
		return nil, err
	}
	if err := stream.SendMsg(new(healthv1.HealthCheckRequest)); err != nil {
		return nil, err
	}
	return stream, stream.CloseSend()
}

// receive opens such a stream, and returns the error of its first message.
func receive(ctx context.Context, conn grpc.ClientConnInterface, opts ...grpc.CallOption) error {
	stream, err := openCheck(ctx, conn, opts...)
	if err != nil {
		return err
	}
	return stream.RecvMsg(new(healthv1.HealthCheckResponse))
}
