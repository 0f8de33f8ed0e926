package failover

import (
	"context"
	"io"
	"testing"
	"time"

	"example.com/crashlab/client/failover/internal/replicas"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// gRPC does not report the fate of a request whose stream ended before it was written. That is not
// an answer of the replica, so the call fails over.
func TestEndOfTheStreamIsNoAnswer(t *testing.T) {
	for name, p := range map[string]Policy{"alone": {}, "hedged": {Hedge: Hedge{After: time.Hour, Share: 1}}} {
		for _, tc := range []struct {
			name string
			ends func(ctx context.Context) // ends the first attempt
			want Outcome
			code codes.Code
		}{
			{"the connection breaks", func(context.Context) {}, OutcomeLost, codes.Unavailable},
			{"the attempt's deadline passes", func(ctx context.Context) { <-ctx.Done() }, OutcomeTimeout, codes.DeadlineExceeded},
		} {
			t.Run(name+", "+tc.name, func(t *testing.T) {
				Bubble(t, func(t *testing.T) {
					p.Idempotent, p.Timeout = map[string]bool{"/": true}, time.Second
					c, conn := readyClient(t, p)
					calls := 0
					var attempts []Attempt
					err := c.unary(t.Context(), "/service/Method", nil, nil, conn, func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
						if calls++; calls > 1 {
							return nil
						}
						on := ctx.(*replicas.Attempt)
						on.Sent, on.Answered = true, true // as after a pick
						tc.ends(ctx)
						return io.EOF
					}, Trace(&attempts))
					if err != nil || len(attempts) != 2 || attempts[0].Outcome != tc.want || attempts[0].Code() != tc.code || !attempts[0].Sent {
						t.Errorf("got %v, %v, want an attempt that is %v with %v, and then success", attempts, err, tc.want, tc.code)
					}
				})
			})
		}
	}
}

// Every kind of attempt records its loss.
func TestLossIsRecorded(t *testing.T) {
	lost := func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
		ctx.(*replicas.Attempt).Sent = true
		return status.Error(codes.Unavailable, "lost")
	}
	for name, p := range map[string]Policy{"alone": {}, "hedged": {Hedge: Hedge{After: time.Hour, Share: 1}}} {
		t.Run(name, func(t *testing.T) {
			c, conn := readyClient(t, p)
			a := c.table().members[0]
			if err := c.unary(t.Context(), "/service/Method", nil, nil, conn, lost); status.Code(err) != codes.Unavailable {
				t.Fatal(err)
			}
			if !a.JustLost(c.now()) {
				t.Error("the loss is not recorded")
			}
		})
	}
}
