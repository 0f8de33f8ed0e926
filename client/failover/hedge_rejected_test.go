package failover_test

import (
	"context"
	"testing"
	"time"

	"example.com/crashlab/client/failover"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// A replica rejects the call while its hedge is in flight, or after the hedge was lost: the
// rejection is the error of the call, not the outcome of the hedge.
func TestRejectionBesideAHedge(t *testing.T) {
	for name, hedged := range map[string]func(context.Context) error{
		"in flight": hang,
		"failed":    answer(codes.Unavailable),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t, 2)
			begun := make(chan struct{})
			c[0].handle = func(context.Context) error { <-begun; return status.Error(codes.InvalidArgument, "no") }
			c[1].handle = func(ctx context.Context) error { close(begun); return hedged(ctx) }
			conn := c.connect(t, failover.Policy{
				Hedge: failover.Hedge{After: time.Millisecond, Share: 1}, Idempotent: map[string]bool{"/": true},
			})
			attempts, err := call(t.Context(), conn)
			if status.Code(err) != codes.InvalidArgument || len(attempts) != 2 {
				t.Errorf("code %v after %v, want InvalidArgument after an attempt and its hedge", status.Code(err), attempts)
			}
		})
	}
}

// An attempt that has joined others rejects the call: the rejection is the error of the call, not
// the cancellation of the others.
func TestRejectionByOneOfThree(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newCluster(t, 4)
		conn := c.connect(t, failover.Policy{})
		for range 100 { // to learn how long attempts take
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if _, err := call(ctx, conn); err != nil {
				t.Fatal(err)
			}
			cancel()
		}
		c[0].handle, c[1].handle, c[2].handle = hang, hang, answer(codes.InvalidArgument)
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		attempts, err := call(ctx, conn)
		if status.Code(err) != codes.InvalidArgument || reason(err) != failover.ReasonNotRetryable || len(attempts) != 3 {
			t.Errorf("%q, reason %v: %v, want InvalidArgument by the third", path(attempts), reason(err), err)
		}
	})
}
