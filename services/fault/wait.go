package fault

import (
	"context"
	"time"

	"google.golang.org/grpc/status"
)

// coarse is how late a Go timer may be on an idle machine: while nothing else happens, the runtime
// waits for it by epoll, in whole milliseconds.
const coarse = 1500 * time.Microsecond

// wait returns after d, or with the status of ctx if that ends first. For exact times it spends the
// last moments, in which it ignores ctx, in the system's sleep. That blocks a thread, but only for
// the requests that are about to end.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	end := time.Now().Add(d)
	if d > coarse {
		timer := time.NewTimer(d - coarse)
		defer timer.Stop()
		select {
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		case <-timer.C:
		}
	}
	sleepUntil(end)
	return status.FromContextError(ctx.Err()).Err()
}
